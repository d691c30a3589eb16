"""`--dry-run`: what each verb would do and cost, before it does anything."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from latentdrift import config, preflight, record
from latentdrift.cli.show import duration, size
from latentdrift.service import (
    Result,
    check_demo_folder,
    demo_steps,
    drawing_model,
    edit_run_of,
    key_file_of,
    load_model,
    reader_items_of,
    replayed,
    requests_of,
    time_spent,
)
from latentdrift.timing import Timing, repeated
from latentdrift.verbs import find, load, name_of

if TYPE_CHECKING:
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.edit.io.edit_requests import Request
    from latentdrift.edit.io.edit_run import EditRun
    from latentdrift.model.model import Model
    from latentdrift.sample.generate import SamplingOptions

log = logging.getLogger(__name__)
PHANTOM_PATIENTS = 8
"""Patients of the small cohort by which the fit of the demo is timed."""
ENOUGH = 4.0
"""Seconds of steps, or of images, after which no further one is timed."""
BUSY = 2.0
"""Slowest call over the fastest one, above which the machine is called busy."""


def run(verb: str, options: config.Options) -> Result:
    """Estimate the work and cost of a verb, without doing it.

    Args:
        verb: Name of the verb.
        options: Its options.

    Returns:
        JSON values to show.

    Raises:
        LatentDriftError: As the verb raises before work starts.
    """
    preflight.check(verb, options)
    result: Result = load(find(verb).plan)(options)
    return result


def import_(options: config.ImportOptions) -> Result:
    """Estimate an import: files that it would read, refuse and need, and the time, from a few
    files."""
    from latentdrift.data.importing.cohort_registration import is_cohort
    from latentdrift.data.importing.import_cost import import_cost
    from latentdrift.data.importing.import_plan import prepare, survey
    from latentdrift.data.importing.registration_cost import registration_cost, seconds_per_visit

    if is_cohort(options):
        registration = registration_cost(options)
        return {**asdict(registration), "seconds": round(registration.seconds, 1)}
    plan = prepare(options)
    surveyed = survey(plan, options)
    cost = import_cost(plan, options)
    left_out = Counter(surveyed["files_left_out"])
    if cost.tried == cost.files:
        left_out.update(cost.refused)
    registering = (
        cost.files * seconds_per_visit(options) / options.workers if options.register else 0.0
    )
    return {
        **surveyed,
        "files_left_out": dict(left_out.most_common()),
        "files_tried": cost.tried,
        "files_tried_and_refused": dict(cost.refused),
        "disk_bytes": cost.disk_bytes,
        "seconds_per_file": round(cost.seconds_per_file, 5),
        "seconds": round(cost.seconds, 1),
        "seconds_at_most": round(cost.seconds_at_most + registering, 1),
    }


def fit(options: config.FitOptions) -> Result:
    """Estimate a fit: parameters, memory without taking it, time from a few real steps, disk."""
    began = time.monotonic()
    from latentdrift.adapt.training.cost_estimate import plan
    from latentdrift.adapt.training.loop.distributed import Processes
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.model.base import Base
    from latentdrift.study.fit_critics import FitCritics

    Processes.join(options.device)  # before the base is put onto this process's device
    base = Base.load(
        options.base, device=options.device, precision=options.precision, weights=False
    )
    cohort = Cohort.load(options.cohort)
    critics = FitCritics(cohort, options.resolution or base.resolution, options.seed)
    spent = partial(time_spent, began, critics, options)
    return plan(base, cohort, options, options.out, spent)


def readable(verb: str, result: Result) -> Result:
    """Say the cost of a fit or demo in units that people read; results of other verbs stay.

    Args:
        verb: Name of the verb.
        result: JSON values of its dry run, in bytes and seconds.
    """
    if verb == "demo":
        return _readable_demo(result)
    if "fit" not in (verb, result.get("verb")):
        return result
    facts = {
        name: value
        for name, value in result.items()
        if name not in ("advice", "extrapolated_from")
        and not name.startswith("seconds")
        and not name.startswith("memory_")
        and not name.endswith("_bytes")
    }
    parts = ", ".join(
        f"{name} {size(value)}" for name, value in result["memory_parts_bytes"].items() if value
    )
    return {
        **facts,
        "time": _time(result),
        "memory": f"about {size(result['memory_bytes'])} ({parts})",
        "memory at most": size(result["memory_upper_bytes"]),
        "free memory": size(result["memory_free_bytes"]),
        "disk": f"about {size(result['disk_bytes'])}",
        **({"too large": result["advice"]} if result["advice"] else {}),
    }


def _readable_demo(result: Result) -> Result:
    """The cost of a demo in units that people read."""
    facts = {name: result[name] for name in result if name not in ("seconds", "seconds_parts")}
    not_counted = ", ".join(facts.pop("not_counted"))
    return {**facts, "time": f"{_time_of_parts(result)}; not counted: {not_counted}"}


def _time_of_parts(result: Result) -> str:
    """Time of all parts and of each one, in words."""
    parts = ", ".join(
        f"{name} {duration(seconds)}"
        for name, seconds in result["seconds_parts"].items()
        if seconds
    )
    return f"about {duration(result['seconds'])} ({parts})"


def _time(result: Result) -> str:
    """Time of a fit, in words."""
    if result["seconds"] is None:
        return "not measured: not even a smaller step fits into the free memory"
    text = f"{_time_of_parts(result)}, {duration(result['seconds_per_step'])} a step"
    tried = result["extrapolated_from"]
    if tried is None:
        return text
    return (
        f"{text}; extrapolated from steps of `batch_size={tried['batch_size']}` at "
        f"`resolution={tried['resolution']}`"
    )


def generate(options: config.GenerateOptions) -> Result:
    """Estimate the generation of images, and check that it can start."""
    from latentdrift.adapt.training.batches.hint_batches import pictures
    from latentdrift.evaluate.privacy.copy_gate import open_gate
    from latentdrift.sample.generate import SamplingOptions
    from latentdrift.sample.medical_objects import bits, check_format
    from latentdrift.sample.start_override import restart

    model = drawing_model(options)
    model = replace(model, drift=restart(model, options))
    info = model.info
    wanted = requests_of(options, model)
    resolution = options.resolution or info.side
    sampling = SamplingOptions.of(options, resolution)
    hints = pictures(options, model, [one.row for one in wanted], resolution)
    open_gate(options, model.trained_on)
    bits(options.depth, info)
    check_format(options.format, info)
    _work_as_a_worker(options)
    each = _seconds_per_image(model, wanted[0].prompt, sampling, hints)
    return {
        "images": len(wanted),
        "seconds_per_image": round(each, 3),
        "seconds": round(each * len(wanted) / options.workers, 2),
        "first_prompt": wanted[0].prompt,
        "out": str(options.out),
    }


def _work_as_a_worker(options: config.WorkerOptions) -> None:
    """Take as many threads as one of several workers has."""
    from latentdrift.engines.work import use_one_thread

    if options.workers > 1 or options.ray is not None:
        use_one_thread()


def _seconds_per_image(
    model: Model, prompt: str, sampling: SamplingOptions, images: Any = None
) -> float:
    """Wall time of one of the images that are drawn together, from a few real steps."""
    from latentdrift.sample.generate import slots_of

    slots = sampling.slots or slots_of(model.base)
    few = replace(sampling, steps=min(4, sampling.steps))
    timing = _timing_of_images(model, prompt, few, images)
    return timing.seconds / few.steps * sampling.steps / slots


def _timing_of_images(
    model: Model, prompt: str, sampling: SamplingOptions, images: Any = None
) -> Timing:
    """Wall times of the images that are drawn together."""
    from latentdrift.sample.generate import generate as draw

    def work() -> None:
        list(draw(model.base, model.drift, {0: prompt}, sampling, model.statistics, images))

    return repeated(work, ENOUGH)


def drift_estimate(options: config.DriftEstimateOptions) -> Result:
    """Estimate the work of `drift estimate`, and check that it can start."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.sample.generate import SamplingOptions
    from latentdrift.study.drift.estimate import check_copy_slope, first_signal

    cohort = Cohort.load(options.cohort)
    model = load_model(options)
    a_t0 = first_signal(model.base, options)
    check_copy_slope(model, options)
    image_count = options.n if options.copy_slope else 0
    sampling = SamplingOptions.of(options, options.resolution)
    each = _seconds_per_image(model, "", sampling)
    images = len(cohort.rows("train"))
    return {
        "images_encoded": images,
        "images_drawn": image_count,
        "seconds": round(each * image_count, 2),
        "a_t0": a_t0,
        "out": str(options.out),
    }


def drift_search(options: config.DriftSearchOptions) -> Result:
    """Estimate the work of `drift search`: points, fits and images."""
    from latentdrift.adapt.training import cost_estimate
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.study.drift.search import FINE, Question

    cohort = Cohort.load(options.cohort)
    model = load_model(options)
    question = Question.of(model.about(cohort), cohort, options)
    trains = options.stage == "train"
    deltas = len(question.grid)
    each = _seconds_per_image(model, "", question.sampling)
    images = options.n * (deltas + (len(FINE) if trains else 0))
    fitting = (
        cost_estimate.seconds(model.base, cohort, question.fitting(0.0)) * deltas if trains else 0.0
    )
    return {
        "deltas": list(question.grid),
        "target": asdict(question.target.summary),
        "images": images,
        "fits": deltas if trains else 0,
        "seconds": round(each * images + fitting, 2),
        "out": str(options.out),
    }


def bench(options: config.BenchOptions) -> Result:
    """Estimate the work of a bench: fits, images and time."""
    from latentdrift.adapt.training.cost_estimate import seconds as seconds_of_fit
    from latentdrift.adapt.training.records.run_folder import Run
    from latentdrift.evaluate.downstream.tstr import seconds_per_step
    from latentdrift.model.base import Base
    from latentdrift.model.model import Model
    from latentdrift.sample.generate import SamplingOptions
    from latentdrift.study.benchmarks.benchmark import Bench

    benchmark = Bench(options)
    cells = benchmark.all_cells
    missing = benchmark.missing(cells)
    wanted = {cell.name: cell for cell in (*benchmark.firsts(missing), *missing) if cell.fit}
    fits = {
        name: cell for name, cell in wanted.items() if not Run(benchmark.fitting(cell).out).finished
    }
    shared = [variants for _, variants in benchmark.shared(missing)]
    images = sum(max(variants.values()) for variants in shared)
    seconds = 0.0
    for name in {cell.method for cell in fits.values()}:
        base = Base.load(options.base, device=options.device, precision=options.precision)
        same = [cell for cell in fits.values() if cell.method == name]
        alone = benchmark.fitting(same[0]).model_copy(
            update={"start": ()}
        )  # which may not be there yet, and costs no time
        seconds += len(same) * seconds_of_fit(base, benchmark.cohort, alone)
    if images and benchmark.table.editor:
        seconds += images * _seconds_per_visit(benchmark)
    elif isinstance(options, config.BenchDrawnOptions) and images:
        base = Base.load(options.base, device=options.device, precision=options.precision)
        sampling = SamplingOptions.of(options, options.resolution)
        seconds += images * _seconds_per_image(Model.of_base(base), "", sampling)
    counts: Result = {"fits": len(fits), "images": images}
    if isinstance(options, config.BenchTable1Options):
        counts |= {"by": str(benchmark.classes), "classifiers": sum(map(len, shared))}
        seconds += sum(map(len, shared)) * options.classifier_steps * seconds_per_step()
    there = sum(len(cell.variants) for cell in cells) - sum(map(len, shared))
    return {
        **counts,
        "results_there": there,
        "seconds": round(seconds / options.workers, 1),
        "out": str(options.out),
    }


def _seconds_per_visit(benchmark: Any) -> float:
    """Wall time of one edit, by the base in the shape that fits give it."""
    from latentdrift.adapt.methods.methods import METHODS
    from latentdrift.model.base import Base
    from latentdrift.study.benchmarks.bench_edits import trial

    options, (method, *_) = benchmark.options, benchmark.options.methods
    base = Base.load(options.base, device=options.device, precision=options.precision)
    shaped, _ = METHODS[method].prepare(base, benchmark.fitting(benchmark.all_cells[0]), {})
    began = time.perf_counter()
    trial(benchmark, shaped)
    return time.perf_counter() - began


def bench_editors(options: config.BenchEditorsOptions) -> Result:
    """Estimate the work of `bench editors` from one edit by each editor."""
    from latentdrift.study.editors import round_trip
    from latentdrift.study.editors.editor_benchmark import EditorBenchmark, edited, unmade

    benchmark = EditorBenchmark.of(load_model(options, options.also), options)
    todo = [(row, case) for row, case in unmade(benchmark) if row in benchmark.editors]
    seconds = 0.0
    for row, case in dict(
        todo
    ).items():  # one edit by each editor: they differ by an order of magnitude
        began = time.perf_counter()
        edited(benchmark, row, case, cache=None)
        seconds += (time.perf_counter() - began) * sum(row == other for other, _ in todo)
    trips = round_trip.unmade(benchmark)
    for editor, steps, case in {one[:2]: one for one in trips}.values():
        began = time.perf_counter()
        edited(benchmark, editor, case, cache=None, steps=steps)
        seconds += (time.perf_counter() - began) * sum(
            (editor, steps) == other[:2] for other in trips
        )
    return {
        "editors": list(benchmark.editors),
        "cases": len(benchmark.cases),
        "edits": len(todo),
        "round_trips": len(trips),
        "seconds": round(seconds, 1),
        "out": str(options.out),
    }


def evaluate(options: config.EvaluateOptions) -> Result:
    """Estimate the work of an evaluation: images and networks to train."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.evaluate.evaluations.evaluation import Request
    from latentdrift.evaluate.evaluations.evaluations import check, training_cost
    from latentdrift.evaluate.images import image_sets, subgroups

    cohort = Cohort.load(options.real)
    size = image_sets.native_size(options.synthetic)
    request = Request(options, cohort)
    check(request)
    synthetic = image_sets.named((options.synthetic, *options.compare), size)
    subgroups.check(image_sets.from_cohort(cohort, options.split, size), synthetic, options.by)
    cost = training_cost(request)
    return {
        "real": len(cohort.rows(options.split)),
        **{name: len(images) for name, images in synthetic.items()},
        "classifiers": cost.networks,
        "seconds_of_training": round(cost.seconds, 1),
        "out": str(options.out),
    }


def edit(options: config.EditOptions) -> Result:
    """Estimate the work of `edit`: edits, inversions and time."""
    from latentdrift.evaluate.privacy.copy_gate import open_gate

    work = edit_run_of(options)
    open_gate(options, work.model.trained_on)
    missing = work.missing()
    _work_as_a_worker(options)
    inversion, each = _seconds_per_edit(work, missing[0]) if missing else (0.0, 0.0)
    seconds = inversion * work.inversions(missing) + each * len(missing) * options.seeds
    seconds *= 2 if options.reverse else 1
    return {
        "images": len({bench.entry.name for bench in work.requests}),
        "counterfactuals": len(work.requests),
        "counterfactuals_there": len(work.requests) - len(missing),
        "edited_back": len(work.requests) if options.reverse else 0,
        "seeds": options.seeds,
        "seconds_per_inversion": round(inversion, 3),
        "seconds_per_counterfactual": round(each, 3),
        "seconds": round(seconds / options.workers, 2),
        "base": work.model.base.name,
        "editor": work.plan.editor,
        **work.requests[0].to_dict(),
    }


def _seconds_per_edit(work: EditRun, request: Request) -> tuple[float, float]:
    """Wall time of an inversion and of the edit that starts from it, from real ones of few steps:
    both grow along a line."""
    from latentdrift.edit.inversions.inversion_cache import InversionCache

    def timed(depth: int) -> tuple[float, float, int]:
        steps = min(work.options.steps, max(depth, round(depth / share)))
        with TemporaryDirectory() as folder:
            seconds_taken = []
            for _ in range(2):  # the second finds the inversion of the first
                began = time.perf_counter()
                work.make(
                    request,
                    InversionCache(Path(folder), {}),
                    replace(work.spec, steps=steps, seeds=1),
                )
                seconds_taken.append(time.perf_counter() - began)
        return seconds_taken[0] - seconds_taken[1], seconds_taken[1], max(1, round(share * steps))

    share, wanted = work.share, max(1, round(work.share * work.options.steps))
    timed(1)  # warms up
    few = timed(1)
    more = timed(3)
    along = (wanted - few[2]) / max(more[2] - few[2], 1)
    inversion, each = (
        max(one + along * (other - one), 0.0) for one, other in zip(few[:2], more[:2], strict=True)
    )
    return (inversion if work.inversions([request]) else 0.0), each


def phantom(options: config.PhantomOptions) -> Result:
    """Estimate a phantom study from a few scans, and check that it can write into its folder."""
    from latentdrift.data.phantom.phantom import check_free
    from latentdrift.data.phantom.phantom_cost import phantom_seconds

    study = options.model_dump(exclude={"out", "size"})
    check_free(options.out, **study)
    seconds = phantom_seconds(**study, size=options.size)
    return {
        **echo(options),
        "scans": options.patients * options.visits,
        "seconds": round(seconds, 1),
    }


def inspect(options: config.InspectOptions) -> Result:
    """Estimate an inspection: images to read, and pairs that may be compared."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.data.inspection.inspection_cost import inspection_cost

    cost = inspection_cost(Cohort.load(options.cohort))
    return {
        **echo(options),
        "out": str(options.folder),
        "images": cost.images,
        "pairs_at_most": cost.pairs_at_most,
        "seconds_per_image": round(cost.seconds_per_image, 4),
        "seconds_per_pair": round(cost.seconds_per_pair, 4),
        "seconds_at_most": round(cost.seconds_at_most, 1),
    }


def audit(options: config.AuditOptions) -> Result:
    """Estimate an audit from a few losses of one image, and check that it can start."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.study.audit.audit import audit_cost

    cohort = Cohort.load(options.cohort)
    cost = audit_cost(load_model(options), cohort, options)
    return {
        "images": cost.images,
        "training_images": cost.members,
        "draws": options.draws,
        "seconds": round(cost.seconds, 1),
        "out": str(options.out),
    }


def reader_score(options: config.ReaderScoreOptions) -> Result:
    """Estimate the scoring of a reader study from a few resamples, and check key and answers."""
    from latentdrift.evaluate.reader_study import reader_score as study
    from latentdrift.resampling import Resampling

    key = study.read_key(options.key)
    few = 10
    began = time.perf_counter()
    result = study.score_files(key, options.answers, Resampling(few, options.seed))
    seconds = (time.perf_counter() - began) * options.bootstrap / few
    return {
        "readers": list(result.readers),
        "seconds": round(seconds, 1),
        "out": str(options.out),
    }


def reader_make(options: config.ReaderMakeOptions) -> Result:
    """Choose the images of a reader study, and check that its files can be written."""
    from latentdrift.evaluate.reader_study.reader_study import study_files

    key = key_file_of(options)
    began = time.perf_counter()
    items = reader_items_of(options)
    study, _ = study_files(options.out, items, key, by=options.by, seed=options.seed)
    seconds = round(time.perf_counter() - began, 1)  # all but the writing
    images = len(items)
    return {**echo(options), "key": str(key), "study": study, "images": images, "seconds": seconds}


def replay(options: config.ReplayOptions) -> Result:
    """Estimate the verb that a record repeats, and check that it can be run again."""
    old = record.read(options.record)
    again = replayed(old, options)
    plan: Result = load(find(old["verb"]).plan)(again)
    return {**echo(options), "verb": old["verb"], **plan}


def demo(options: config.DemoOptions) -> Result:
    """Name the steps of the demo, estimate the longest ones at the present speed of the machine,
    and check that it can write into its folder."""
    check_demo_folder(options.out)
    steps = demo_steps(options)
    verbs = {name_of(step.options): step.options for step in steps}
    parts = _seconds_of_demo(verbs)
    return {
        **echo(options),
        "steps": [step.title for step in steps],
        "seconds_parts": {verb: round(seconds, 1) for verb, seconds in parts.items()},
        "seconds": round(sum(parts.values()), 1),
        "not_counted": [verb for verb in verbs if verb not in parts],
    }


def _seconds_of_demo(steps: dict[str, Any]) -> dict[str, float]:
    """Wall time of the scans, the fit and the images of a demo.

    The images that calibrate the drift at the end of the fit take as long as those of `generate`.

    Args:
        steps: Verb -> its options in the demo.
    """
    from latentdrift.adapt.training.cost_estimate import step_timing
    from latentdrift.adapt.training.setup import drift_calibration
    from latentdrift.data.phantom.phantom_cost import phantom_seconds
    from latentdrift.model.base import Base
    from latentdrift.model.model import Model
    from latentdrift.sample.generate import SamplingOptions, slots_of

    scans, fitting, drawing = steps["phantom"], steps["fit"], steps["generate"]
    base = Base.load(fitting.base, device=fitting.device, precision=fitting.precision)
    model = Model.of_base(base)
    sampling = replace(SamplingOptions.of(drawing, model.info.side), steps=1)
    call = _timing_of_images(model, "", sampling)
    with TemporaryDirectory() as folder:
        cohort = _phantom_cohort(Path(folder), scans)
        step = step_timing(base, cohort, fitting, ENOUGH)  # the steps change the base
    _warn_if_busy(call, step)
    each = call.seconds / slots_of(base)
    calibration = drift_calibration.PICTURES * drift_calibration.SAMPLING.steps * each
    return {
        "phantom": phantom_seconds(**scans.model_dump(exclude={"out"})),
        "fit": fitting.steps * step.seconds + calibration,
        "generate": drawing.n * drawing.steps * each,
    }


def _warn_if_busy(*timings: Timing) -> None:
    """Warn where calls of the same work took times that differ much."""
    scatter = max(timing.scatter for timing in timings)
    if scatter > BUSY:
        log.warning(
            "The machine is busy: the same work took up to %.1f times as long from one call to the "
            "next one (more than %.0f times). The time is uncertain.",
            scatter,
            BUSY,
        )


def _phantom_cohort(folder: Path, scans: config.PhantomOptions) -> Cohort:
    """A small cohort of phantoms.

    Args:
        folder: Where it is made.
        scans: Options of a larger one.
    """
    from latentdrift.data.importing.importer import import_cohort

    source = folder / "scans"
    few = scans.model_copy(update={"out": source, "patients": PHANTOM_PATIENTS, "visits": 1})
    load(find("phantom").function)(few)
    return import_cohort(
        config.ImportOptions(
            source=source,
            table=source / "table.csv",
            map=source / "map.yaml",
            out=folder / "cohort",
        )
    )


def echo(options: config.Options) -> Result:
    """Options as JSON values, for verbs that take seconds."""
    return options.model_dump(mode="json")

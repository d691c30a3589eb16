"""The verbs: each a story of one call per stage. START READING HERE.

`run` is what the command line and the studio call; a verb takes its options and returns what there
is to say, as a dict.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from latentdrift import config, preflight, record
from latentdrift.adapt.training.loop import distributed_ranks
from latentdrift.errors import InputError, OptionError
from latentdrift.progress import ProgressCallback, bar
from latentdrift.storage import held
from latentdrift.verbs import find, load, name_of

if TYPE_CHECKING:
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.edit.io.edit_requests import Request as EditRequest
    from latentdrift.edit.io.edit_run import EditRun
    from latentdrift.evaluate.privacy.copy_filter import Verdict
    from latentdrift.evaluate.reader_study.reader_study import Item
    from latentdrift.model.adapter_info import AdapterInfo
    from latentdrift.model.model import Model
    from latentdrift.sample.synthetic_cohort import Request
    from latentdrift.study.fit_critics import FitCritics

log = logging.getLogger(__name__)
Result = dict[str, Any]
"""Result of a verb as JSON values, which the option `json` prints."""
DEMO = "made-by-demo.txt"
PATIENT_FILES = ("source", "mask", "protect", "hint_image")
"""Options of `edit` that name files of patients."""
SMALL_CHANGE_WARNING = (
    "No edit changed more than 1 %% of its pixels by %.0f %% of the intensity range (the largest "
    "change: %.1f %%). This network hardly distinguishes '%s' from '%s'. %s"
)
MORE_CHANGE = (
    "Raise `strength` or `guidance`. If `latentdrift generate --same-noise` draws both alike, "
    "train longer; for a finding or diagnosis, also use `train_text_encoder` and "
    "`prompt_style=findings-first`."
)
MORE_CHANGE_BY_INSTRUCTION = (
    "Two visits may differ by no more: ask for more years, raise `guidance`, or train longer."
)


def run(
    verb: str, options: config.Options, *, quiet: bool = False, model: Model | None = None
) -> Result:
    """Do a verb.

    Args:
        verb: A row of VERBS.
        options: Its options.
        quiet: Whether to show no progress.
        model: For `generate` and `edit`: the model that the options name, if it is loaded already.

    Raises:
        ResourceError: Another process writes to the same `out`.
    """
    with ready(verb, options):
        function = load(find(verb).function)
        result: Result = (
            function(options, quiet) if model is None else function(options, quiet, model)
        )
        return result


@contextmanager
def ready(verb: str, options: config.Options) -> Iterator[None]:
    """Check the options of a verb, and lock its output until the verb is done.

    Args:
        verb: A row of VERBS.
        options: Its options.

    Raises:
        ResourceError: Another process writes to the same `out`.
    """
    preflight.check(verb, options)
    out = getattr(options, "out", None)
    is_writer = not distributed_ranks.rank()  # of several processes, the first one writes
    with held(out) if out and is_writer else nullcontext():
        yield


def load_model(
    options: config.GenerateOptions
    | config.EditOptions
    | config.DriftOptions
    | config.AuditOptions
    | config.BenchEditorsOptions,
    also: Sequence[str] = (),
) -> Model:
    """Load the model that a verb's options name.

    Args:
        options: Options of the verb.
        also: Further adapters on top.
    """
    from latentdrift.model.model import Model

    return Model.load(
        options.adapter,
        also=also,
        base=options.base,
        device=options.device,
        precision=options.precision,
    )


def import_(options: config.ImportOptions, quiet: bool = False) -> Result:
    """Read scans and a table into a cohort; returns its counts and warnings."""
    from latentdrift.data.importing.finalize import summary
    from latentdrift.data.importing.importer import import_cohort
    from latentdrift.data.tables.pseudonymization import read_private

    with bar("import", quiet=quiet) as report:
        cohort = import_cohort(options, report)
    for line in summary(cohort.info, read_private(options.out, "cells.csv")):
        log.info(line)
    return {
        "cohort": str(options.out),
        "images": cohort.info.images,
        "patients": cohort.info.patients,
        "splits": cohort.info.splits,
        "example prompt": _example_prompt(cohort),
    }


def _example_prompt(cohort: Cohort) -> str:
    """Prompt that `fit` gives to the first training image by default; of any image without one."""
    from latentdrift.prompts import Manner

    trained = cohort.rows("train")
    rows = trained if len(trained) else cohort.rows()
    place, row = next(iter(rows.to_dict("index").items()))
    return Manner().words(cohort.describe, row, cohort.attributes, int(place))


def inspect(options: config.InspectOptions, quiet: bool = False) -> Result:
    """Inspect a cohort; write a page with counts, leaks, plots and a contact sheet."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.data.inspection.report import write_inspection

    cohort = Cohort.load(options.cohort)
    inspection = write_inspection(cohort, options.folder)
    return {
        "page": str(options.folder / "inspect.html"),
        "images": inspection.images,
        "warnings": inspection.warnings,
        "example prompt": _example_prompt(cohort),
    }


def fit(options: config.FitOptions, quiet: bool = False) -> Result:
    """Adapt a base to a cohort, and write the adapter.

    Returns:
        JSON values to show: the adapter's folder, losses and drift.
    """
    began = time.monotonic()  # the imports take seconds of a budget
    from latentdrift.adapt.adapters.volume_model_file import write_volume_model
    from latentdrift.adapt.training.cost_estimate import within_budget
    from latentdrift.adapt.training.loop.distributed import Processes
    from latentdrift.adapt.training.train import fit as train
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.model.base import Base
    from latentdrift.study.fit_critics import FitCritics

    processes = Processes.join(options.device)  # before the base is put onto this process's device
    cohort = Cohort.load(options.cohort)
    load_base = partial(Base.load, options.base, device=options.device, precision=options.precision)
    base = load_base()
    inputs = {"base": base.hash, "cohort": cohort.fingerprint}
    critics = FitCritics(cohort, options.resolution or base.resolution, options.seed)
    if options.budget is not None:
        spent = partial(time_spent, began, critics, options)
        options = within_budget(base, cohort, options, options.out, spent)
        base = load_base()  # the steps that were timed have changed its weights
    draw = partial(_preview, seed=options.seed)
    result = train(base, cohort, options, options.out, preview=draw, judge=critics, quiet=quiet)
    if processes.first:
        with bar("volumes", quiet=quiet) as report:
            write_volume_model(cohort, result.info, result.adapter, report)
    results = {
        "drift": result.info.drift.to_dict(),
        "losses": result.info.losses,
        "outputs": record.outputs(result.adapter),
    }
    if processes.first and not (result.already and (options.out / record.NAME).is_file()):
        record.write(options.out, "fit", result.options, inputs=inputs, results=results)
    return {
        "adapter": str(result.adapter),
        "already finished": result.already,
        **{k: results[k] for k in ("drift", "losses")},
    }


def time_spent(began: float, critics: FitCritics, options: config.FitOptions) -> float:
    """Seconds of a fit's budget that are gone, or that go to other work than training.

    Args:
        began: `time.monotonic()` at the start of the fit.
        critics: Critics of the previews, which are trained in a fit with previews.
        options: Options of `fit`.
    """
    judging = critics.seconds() if options.preview_every else 0.0
    return time.monotonic() - began + judging


def generate(
    options: config.GenerateOptions, quiet: bool = False, loaded: Model | None = None
) -> Result:
    """Generate synthetic images with an adapter, as a cohort.

    Args:
        options: Options of `generate`.
        quiet: Whether to show no progress.
        loaded: Model that the options name; None: it is loaded.
    """
    from latentdrift.evaluate.privacy.copy_gate import gate_images, open_gate
    from latentdrift.jobs.image_job import ImageJob, draw_missing
    from latentdrift.sample.generate import slots_of
    from latentdrift.sample.medical_objects import check_format
    from latentdrift.sample.synthetic_cohort import ImageStore, quarantine

    model = drawing_model(options, loaded)
    options = options.model_copy(update={"slots": options.slots or slots_of(model.base)})
    requests = requests_of(options, model)
    job = ImageJob.of(options, model, [request.row for request in requests])
    model = job.model
    gate = open_gate(options, model.trained_on)
    check_format(options.format, model.info)
    settings = job.settings([request.prompt for request in requests])
    inputs = {
        "base": model.base.hash,
        "adapters": model.adapter_records,
        "settings": ImageStore.key(settings),
    }
    if record.is_of(options.out, "generate", options, inputs):
        images = len(ImageStore.finished(options.out).table)
        there = {"cohort": str(options.out), "images": images, "already finished": True}
        return {**there, "drift": model.drift.to_dict()}

    store = ImageStore.open(options.out, settings)
    with bar("generate", quiet=quiet) as report:
        draw_missing(job, requests, store, report)
    verdict = gate_images(gate, store.pictures(len(requests)))
    copies = {i: verdict.why(i) for i in verdict.copies} if verdict else {}
    cohort_info = _synthetic_cohort_info(model, verdict)
    finish = partial(
        _write_objects_and_record,
        options=options,
        info=model.info,
        inputs=inputs,
        gate=cohort_info["gate"],
    )
    mask = job.hints.mask if job.hints else None
    store.publish(requests, cohort_info, options.seed, mask, copies, finish)
    return {
        "cohort": str(options.out),
        "images": len(requests) - len(copies),
        **_quarantine_result(quarantine(options.out), len(copies)),
        "drift": model.drift.to_dict(),
    }


def _synthetic_cohort_info(model: Model, verdict: Verdict | None) -> dict[str, Any]:
    """Entries of cohort.json that say how synthetic images were generated and checked."""
    return {
        "describe": model.info.pictures,
        "drift": model.drift.to_dict(),
        "base": model.info.base.to_dict(),
        "method": model.info.method,
        "adapters": model.adapter_records,
        "gate": verdict and verdict.to_dict(),
    }


def _write_objects_and_record(
    folder: Path,
    *,
    options: config.GenerateOptions,
    info: AdapterInfo,
    inputs: Result,
    gate: Result | None,
) -> None:
    """Write DICOM or NIfTI files and record.json into a new cohort's folder, before it appears."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.sample.medical_objects import OBJECTS, write_objects

    if options.format in OBJECTS:
        write_objects(Cohort.load(folder), options.format, info)
    record.write(
        folder,
        "generate",
        options,
        inputs=inputs,
        results={"outputs": record.outputs(folder), "gate": gate},
        private=("hint_image",),
        home=options.out,
    )


def _quarantine_result(folder: Path, count: int) -> Result:
    """Result entries about images that the copy gate held back; none where it held none back."""
    return {"quarantine": str(folder), "quarantined": count} if count else {}


def drawing_model(options: config.GenerateOptions, loaded: Model | None = None) -> Model:
    """The model that `generate` draws with; a base alone takes the words of the cohort in `like`.

    Args:
        options: Options of `generate`.
        loaded: Model that the options name; None: it is loaded.
    """
    from latentdrift.data.cohort.cohort import Cohort

    model = loaded or load_model(options, options.also)
    return model.about(Cohort.load(options.like)) if options.like else model


def requests_of(options: config.GenerateOptions, model: Model) -> list[Request]:
    """Requests for the images that `generate` draws; see `image_requests`."""
    from latentdrift.adapt.training.batches.hint_batches import followed
    from latentdrift.sample.image_requests import image_requests

    def rows_with_hints(cohort: Cohort) -> list[int]:
        return followed(cohort, options.split, model)

    return image_requests(options, model, rows_with_hints)


def edit_run_of(options: config.EditOptions, loaded: Model | None = None) -> EditRun:
    """Prepare the edits of `edit`, and the model that makes them.

    Args:
        options: Options of `edit`.
        loaded: Model that the options name; None: it is loaded.

    Raises:
        OptionError, InputError, CohortError: The change does not fit the model, or an image or hint
            cannot be read.
    """
    from latentdrift.adapt.training.batches.edit_hints import sourced
    from latentdrift.edit.editors.editors import starting, with_inversion
    from latentdrift.edit.io.edit_inputs import entries
    from latentdrift.edit.io.edit_requests import EditPlan
    from latentdrift.edit.io.edit_run import EditRun

    model = loaded or load_model(options, options.also)
    plan = EditPlan.of(options, model)
    cohort = options.source if (options.source / "cohort.json").is_file() else None
    hints = sourced(
        model, cohort, options.hint_image, plane=options.plane, position=options.position
    )
    images = hints.having(entries(options, model.info, model.info.side))
    requests = plan.requests(images)
    model = replace(model, drift=starting(plan.editor, model, options.steps))
    run = EditRun(model, with_inversion(options, plan.editor), plan, hints, requests)
    run.check_free()
    return run


@dataclass(frozen=True)
class Edits:
    """Edits of one call of `edit`."""

    folder: Path
    images: int
    """Number of edited images."""
    released: tuple[Path, ...]
    """Folder of each counterfactual, in the order of the images and values."""
    held_back: tuple[str, ...]
    """Names of the counterfactuals in quarantine."""
    new_copies: int
    """Number of counterfactuals that this call has moved to quarantine."""
    quarantine: Path
    """Folder of the counterfactuals that were held back."""


def edit(options: config.EditOptions, quiet: bool = False, loaded: Model | None = None) -> Result:
    """Make counterfactuals, and write the images, their differences and a record for each.

    Args:
        options: Options of `edit`.
        quiet: Whether to show no progress.
        loaded: Model that the options name; None: it is loaded.
    """
    edits = make_edits(options, quiet, loaded)
    return {
        "folder": str(edits.folder),
        "images": edits.images,
        "counterfactuals": len(edits.released),
        **_quarantine_result(edits.quarantine, edits.new_copies),
    }


def make_edits(
    options: config.EditOptions, quiet: bool = False, loaded: Model | None = None
) -> Edits:
    """Make the counterfactuals of `edit`; arguments as of `edit`."""
    from latentdrift.data.images.dicom.uids import Uids
    from latentdrift.data.tables.pseudonymization import private_folder
    from latentdrift.edit.io.attribute_sweep import write_series
    from latentdrift.edit.io.edit_writer import hold_back, quarantine
    from latentdrift.evaluate.privacy.copy_gate import gate_edits, open_gate
    from latentdrift.jobs.edit_job import write_edits
    from latentdrift.jobs.volume_forecast import write_forecasts

    work = edit_run_of(options, loaded)
    options = work.options
    if options.reverse:
        for request in work.requests:
            work.back(request, request.entry.read)  # refuses what cannot be edited back
    missing = work.missing()
    gate = open_gate(options, work.model.trained_on)
    uids = Uids.open(options.private or private_folder(options.out))
    with bar("edit", quiet=quiet) as report:
        changes = write_edits(work, missing, uids, report)
    _warn_of_small_changes(changes, missing)
    edits = work.completed()
    verdict = gate_edits(
        gate,
        [request.name for request in edits],
        work.plan.info.side,
        lambda kind, position: work.square_picture(edits[position], kind),
    )
    copies = {edits[i].name: verdict.why(i) for i in verdict.copies} if verdict else {}
    hold_back(options.out, copies)
    released = [request for request in edits if request.name not in copies]
    if work.plan.grid:
        write_series(options.out, released, work.plan.grid, options.animate)
    write_forecasts(work, released)
    inputs = {"base": work.model.base.hash, "adapters": work.model.adapter_records}
    outputs = record.outputs(options.out, work.output_names(released))
    results = {"outputs": outputs, "gate": verdict and verdict.to_dict()}
    record.write(
        options.out, "edit", options, inputs=inputs, results=results, private=PATIENT_FILES
    )
    released_names = {request.name for request in released}
    return Edits(
        options.out,
        images=len({request.entry.name for request in work.requests}),
        released=tuple(work.folder(request) for request in released),
        held_back=tuple(
            request.name for request in work.requests if request.name not in released_names
        ),
        new_copies=len(copies),
        quarantine=quarantine(options.out),
    )


def _warn_of_small_changes(changes: Sequence[float], requests: Sequence[EditRequest]) -> None:
    """Log where edits did as good as nothing.

    Args:
        changes: Largest change of each edit.
        requests: The edits.
    """
    from latentdrift.edit.io.edit_writer import SMALL_CHANGE

    if changes and max(changes) < SMALL_CHANGE:
        first = requests[0]
        log.warning(
            SMALL_CHANGE_WARNING,
            100 * SMALL_CHANGE,
            100 * max(changes),
            first.source,
            first.network_prompt,
            MORE_CHANGE_BY_INSTRUCTION if first.instruction else MORE_CHANGE,
        )


def evaluate(options: config.EvaluateOptions, quiet: bool = False) -> Result:
    """Compare synthetic images with real ones; write report.json and report.html."""
    from latentdrift.adapt.adapters import scores
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.evaluate.evaluations.evaluation import Inputs, Request
    from latentdrift.evaluate.evaluations.evaluations import check
    from latentdrift.evaluate.features import feature_cache
    from latentdrift.evaluate.images import image_sets, subgroups
    from latentdrift.evaluate.images.recorded_edits import read_edits
    from latentdrift.evaluate.privacy.copy_detection import gate_advice
    from latentdrift.evaluate.report import report
    from latentdrift.jobs.evaluation_job import cache_of, fill_cache, open_spaces, search_workers
    from latentdrift.model.base import Base
    from latentdrift.resampling import Resampling

    cohort = Cohort.load(options.real)
    size = image_sets.native_size(options.synthetic)
    is_cohort = image_sets.is_cohort(options.synthetic)
    origin = Cohort.load(options.synthetic).info if is_cohort else None
    if options.adapter is not None:
        scores.check(options.adapter, origin)
    request = Request(options, cohort)
    check_warnings = check(request)
    synthetic = image_sets.named((options.synthetic, *options.compare), size)
    real = image_sets.from_cohort(cohort, options.split, size)
    subgroups.check(real, synthetic, options.by)
    train = image_sets.from_cohort(cohort, "train", size) if len(cohort.rows("train")) else None
    edits = read_edits(options.edits) if options.edits else []

    encoder = Base.load("pocket", device=options.device, precision="fp32")
    spaces = feature_cache.keep(open_spaces(options, train, encoder), cache_of(options))
    sets = [real, *synthetic.values(), *([train] if train else [])]
    fill_cache(options, spaces, sets, train, encoder, quiet=quiet)
    with search_workers(options) as workers, bar("classifiers", quiet=quiet) as progress:
        inputs = Inputs(
            real=real,
            synthetic=synthetic["synthetic"],
            train=train,
            spaces=spaces,
            resampling=Resampling(options.bootstrap, options.seed),
            edits=edits,
            by=options.by,
            request=request,
            device=str(encoder.device),
            progress=progress,
            workers=workers,
        )
        further = {name: images for name, images in synthetic.items() if name != "synthetic"}
        results = report.evaluate_sets(inputs, further, check_warnings)
    results = results.with_warnings(gate_advice(origin) + cohort.warnings)
    images = {"real": real, **synthetic} | ({"train": train} if train else {})
    page = report.write_report(options.out, results, images, edits)
    if options.adapter is not None:
        facts = {"cohort": cohort.fingerprint, "split": options.split}
        facts |= {"version": record.versions()["latentdrift"]}
        scores.write_scores(options.adapter, report.scores_of(results) | facts)
    record.write(options.out, "evaluate", options, inputs={"real": cohort.fingerprint}, results={})
    values = {name: metric.value for name, metric in results.metrics.items()}
    return {**values, "report": str(page)}


def reader_make(options: config.ReaderMakeOptions, quiet: bool = False) -> Result:
    """Make a reader study of real and synthetic images: a page for readers, and the key."""
    from latentdrift.evaluate.reader_study import reader_study

    key = key_file_of(options)
    items = reader_items_of(options)
    study = reader_study.write_study(options.out, items, key, by=options.by, seed=options.seed)
    return {
        "page": str(options.out / "study.html"),
        "key": str(key),
        "study": study,
        "images": len(items),
    }


def key_file_of(options: config.ReaderMakeOptions) -> Path:
    """File of the key of a reader study; default: beside the study's folder."""
    return options.key or options.out.with_name(f"{options.out.name}-key.json")


def reader_items_of(options: config.ReaderMakeOptions) -> list[Item]:
    """Choose the images of a reader study, in the order in which they are shown.

    Args:
        options: Options of `reader make`.

    Raises:
        CohortError, InputError, OptionError: The sets cannot be read, are too small, or lack `by`.
    """
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.evaluate.images import image_sets
    from latentdrift.evaluate.reader_study import reader_study

    size = image_sets.native_size(options.synthetic)
    real = image_sets.from_cohort(Cohort.load(options.real), options.split, size)
    synthetic = image_sets.load_set(options.synthetic, None, size)
    return reader_study.choose(real, synthetic, options.n, options.by, options.seed)


def reader_score(options: config.ReaderScoreOptions, quiet: bool = False) -> Result:
    """Score the answers of readers with the key of their study."""
    from latentdrift.evaluate.reader_study import reader_score as study
    from latentdrift.resampling import Resampling

    resampling = Resampling(options.bootstrap, options.seed)
    result = study.score_files(study.read_key(options.key), options.answers, resampling)
    study.write_score(options.out, result)
    return {
        "file": str(options.out),
        **{name: reader.verdict for name, reader in result.readers.items()},
    }


def audit(options: config.AuditOptions, quiet: bool = False) -> Result:
    """Measure whether an adapter's loss reveals its training patients; write audit.json and
    audit.html."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.study.audit import audit as study

    cohort = Cohort.load(options.cohort)
    model = load_model(options)
    inputs = {
        "base": model.base.hash,
        "adapters": model.adapter_records,
        "cohort": cohort.fingerprint,
    }
    files = {"file": str(options.out / "audit.json"), "page": str(options.out / "audit.html")}
    if all(Path(file).is_file() for file in files.values()) and record.is_of(
        options.out, "audit", options, inputs
    ):
        before = record.read(options.out)["results"]
        _log_audit(before["verdict"]["sentence"], before["matches"])
        return {**files, **before, "already finished": True}
    with bar("audit", quiet=quiet) as report:
        result = study.audit(model, lambda info: _base_of(options, info), cohort, options, report)
    study.write_audit(options.out, result)
    _log_audit(result.sentence, result.matches)
    content = result.to_dict()
    summary = {name: content[name] for name in ("verdict", "loss", "ratio", "patients", "matches")}
    record.write(options.out, "audit", options, inputs=inputs, results=summary)
    return {**files, **summary}


def _log_audit(sentence: str, matches: bool) -> None:
    """Log the verdict of an audit, and a warning where the cohort is not the adapter's own."""
    from latentdrift.study.audit.audit import OTHERS

    log.info(sentence)
    if not matches:
        log.warning(OTHERS)


def _base_of(options: config.AuditOptions, info: AdapterInfo) -> Model:
    """The base of an adapter, alone."""
    from latentdrift.model.base import Base
    from latentdrift.model.model import Model

    base = Base.load(
        options.base or info.base.name,
        device=options.device,
        precision=options.precision,
        fetch=options.base is not None,
    )
    return Model.of_base(base, info.resolution)


def drift_estimate(options: config.DriftEstimateOptions, quiet: bool = False) -> Result:
    """Estimate the drift of a model's starts for a cohort; write estimate.json and
    estimate.html."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.study.drift.drift_report import write_estimate
    from latentdrift.study.drift.estimate import estimate

    cohort = Cohort.load(options.cohort)
    with bar("drift estimate", quiet=quiet) as report:
        result = estimate(load_model(options), cohort, options, report)
    write_estimate(options.out, result)
    content = result.to_dict()
    summary = {name: content[name] for name in ("delta", "interval", "sd")}
    summary["copy_slope"] = content["copy_slope"] and {
        name: content["copy_slope"][name] for name in ("slope", "full", "r2", "sentence")
    }
    inputs = {"base": result.base.hash, "cohort": cohort.fingerprint}
    record.write(options.out, "drift estimate", options, inputs=inputs, results=summary)
    return {
        "file": str(options.out / "estimate.json"),
        "page": str(options.out / "estimate.html"),
        **summary,
    }


def drift_search(options: config.DriftSearchOptions, quiet: bool = False) -> Result:
    """Search the drift with the least distance to real images; write search.json and
    search.html."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.study.drift.drift_report import write_search
    from latentdrift.study.drift.search import search

    cohort = Cohort.load(options.cohort)
    with bar("drift search", quiet=quiet) as report:
        result = search(partial(load_model, options), cohort, options, report)
    write_search(options.out, result)
    for stage in result.stages:
        for flag in stage.flags:
            log.warning("%s: %s", stage.name, flag.sentence)
    content = result.to_dict()
    summary = {name: content[name] for name in ("delta", "sd", "mode", "start", "lowest", "flags")}
    inputs = {"base": result.question.base.hash, "cohort": cohort.fingerprint}
    record.write(options.out, "drift search", options, inputs=inputs, results=summary)
    return {
        "file": str(options.out / "search.json"),
        "page": str(options.out / "search.html"),
        **summary,
    }


def bench(options: config.BenchOptions, quiet: bool = False) -> Result:
    """Run a benchmark of drift or a table of the paper, with intervals; write its page."""
    from latentdrift.study.benchmarks import bench_page, bench_run
    from latentdrift.study.benchmarks.benchmark import Bench

    verb = name_of(options)
    benchmark = Bench(options)
    with bar(verb, quiet=quiet) as report:
        results = bench_run.bench(benchmark, report)
    answers = bench_page.sensitivity(benchmark)
    page = bench_page.write_bench(options.out, benchmark, results, answers)
    inputs = {"cohort": benchmark.cohort.fingerprint, "settings": benchmark.key}
    record.write(options.out, verb, options, inputs=inputs, results={"results": len(results)})
    return {
        "file": str(options.out / "bench.json"),
        "table": str(options.out / "bench.md"),
        "page": str(page),
    }


def bench_editors(options: config.BenchEditorsOptions, quiet: bool = False) -> Result:
    """Compare editors on edits with a known result, with intervals; write the page."""
    from latentdrift.study.editors import editor_benchmark, round_trip
    from latentdrift.study.editors.editing_page import write_editors

    benchmark = editor_benchmark.EditorBenchmark.of(load_model(options, options.also), options)
    with bar("bench editors", quiet=quiet) as report:
        rows = editor_benchmark.run(benchmark, report)
    with bar("round trips", quiet=quiet or not options.round_trip) as report:
        trips = round_trip.run(benchmark, editor_benchmark.open_inversion_cache(benchmark), report)
    page = write_editors(options.out, benchmark, rows, trips)
    inputs = {
        "base": benchmark.model.base.hash,
        "adapters": benchmark.model.adapter_records,
        "settings": benchmark.key,
    }
    record.write(options.out, "bench editors", options, inputs=inputs, results={"rows": len(rows)})
    return {
        "file": str(options.out / "editors.json"),
        "table": str(options.out / "editors.md"),
        "page": str(page),
    }


def export(options: config.ExportOptions, quiet: bool = False) -> Result:
    """Write an adapter as the files that another tool loads."""
    from latentdrift.adapt.interop.exports import export as write

    is_repeated = options.out.is_dir() and any(options.out.iterdir())  # or `write` refuses it
    files = write(options.adapter, options.to, options.out, base=options.base)
    result = {"folder": str(options.out), "files": files}
    return {**result, "already finished": True} if is_repeated else result


def adopt(options: config.AdoptOptions, quiet: bool = False) -> Result:
    """Make an adapter from a file of another tool."""
    from latentdrift.adapt.interop.importer import adopt as bring_in
    from latentdrift.adapt.interop.importer import finished
    from latentdrift.model.base import Base

    base = Base.load(options.base, device=options.device, precision="fp32")
    inputs = {"base": base.hash}
    folder = options.out / "adapter"
    is_equal = record.is_of(options.out, "adopt", options, inputs)
    before = finished(options.file, folder, record.read(options.out)) if is_equal else None
    info = before or bring_in(base, options.file, folder, options.token, options.hint)
    adopted = info.adopted.to_dict() if info.adopted else {}
    summary = {"is": adopted["format"], "method": info.method, "words": list(info.tokens)}
    result = {"adapter": str(folder), **summary}
    if before:
        return {**result, "already finished": True}
    results = {"adopted": adopted, "outputs": record.outputs(folder)}
    record.write(options.out, "adopt", options, inputs=inputs, results=results)
    return result


def phantom(options: config.PhantomOptions, quiet: bool = False) -> Result:
    """Write a folder of phantom scans with their table."""
    from latentdrift.data.phantom.phantom import write_phantom

    folder = write_phantom(
        options.out,
        kind=options.kind,
        patients=options.patients,
        visits=options.visits,
        size=options.size,
        seed=options.seed,
    )
    return {
        "folder": str(folder),
        "table": str(folder / "table.csv"),
        "map": str(folder / "map.yaml"),
    }


def replay(options: config.ReplayOptions, quiet: bool = False) -> Result:
    """Run a record again, and report whether the output is equal."""
    old = record.read(options.record)
    again = replayed(old, options)
    load(find(old["verb"]).function)(again, quiet)
    before, after = (entry["results"]["outputs"] for entry in (old, record.read(options.out)))
    different = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    return {"same": not different, "files": len(before), "different": different}


def replayed(old: dict[str, Any], options: config.ReplayOptions) -> config.Options:
    """Options that repeat a record into another folder, without network access.

    Args:
        old: Content of the record.
        options: Options of `replay`.

    Raises:
        InputError: The record has no valid options of a verb, or no hashes to compare with.
        OptionError: `out` is the folder of the record.
    """
    from latentdrift.model import model_files as folders

    source = options.record if options.record.is_dir() else options.record.parent
    if options.out.resolve() == source.resolve():
        raise OptionError(
            f"`out={options.out}` is the folder of the record; the replay would be compared with "
            "itself; give a new folder"
        )
    if old["verb"] not in REPLAYED:
        raise InputError(
            f"the record is of the verb '{old['verb']}'; known to replay: {', '.join(REPLAYED)}"
        )
    if not isinstance(old.get("results", {}).get("outputs"), dict):
        raise InputError(
            f"the record {options.record} has no hashes of outputs, with which the new ones could "
            "be compared"
        )
    model = REPLAYED[old["verb"]]
    instead: dict[str, Any] = {"inversions": None, "private": None, "tracker": "tensorboard"}
    instead |= {"workers": 1, "ray": None}  # those of another machine
    instead |= {"budget": None}  # its steps are recorded
    if not old["results"].get("gate"):
        instead["gate"] = False  # none was there, and by default there is one now
    instead |= _options_before_recorded(old)
    here = {name: value for name, value in instead.items() if name in model.model_fields}
    try:
        options_again = model(
            **{**record.complete(old, options.record), **here, "out": options.out}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise InputError(
            f"the record {options.record} has options that `{old['verb']}` does not take ({name}: "
            f"{first['msg']})"
        ) from None
    for place in (getattr(options_again, "base", None), getattr(options_again, "adapter", None)):
        if place is not None and not Path(place).exists():
            folders.find(place, fetch=False)
    return options_again


def _options_before_recorded(old: Mapping[str, Any]) -> dict[str, Any]:
    """Values that options had before records named them; empty for a record that names them.

    Args:
        old: Content of the record.
    """
    from latentdrift.edit.editors.editors import EDITORS
    from latentdrift.sample.generate import SLOTS

    earlier: dict[str, Any] = {}
    before: dict[str, Any] = {}
    if old["verb"] == "generate":
        earlier["slots"] = SLOTS
    if old["verb"] == "edit":
        methods = {adapter.get("method") for adapter in old.get("inputs", {}).get("adapters", [])}
        own = next((name for name in ("instruct-pix2pix", "controlnet") if name in methods), "ddim")
        row = EDITORS.get(str(old["options"].get("editor") or own))
        if row and "iterations" in row.options:
            earlier["iterations"] = 2
        if row and "direct" in row.inversions and not old["options"].get("inversion"):
            before = {"inversion": "negative-prompt"}  # the default until records named it
    new = {name: value for name, value in earlier.items() if name not in old["options"]}
    return new | before


@dataclass(frozen=True)
class DemoStep:
    """A step of the demo."""

    title: str
    options: config.Options
    """Options of its verb."""


def demo_steps(options: config.DemoOptions) -> list[DemoStep]:
    """Steps of the demo, in their order.

    Args:
        options: Options of `demo`.
    """
    out, seed = options.out, options.seed
    scans, cohort, run, edits = (out / name for name in ("scans", "cohort", "run", "edits"))
    phantoms = config.PhantomOptions(out=scans, patients=48, visits=2, seed=seed)
    read = config.ImportOptions(
        source=scans, table=scans / "table.csv", map=scans / "map.yaml", out=cohort, seed=seed
    )
    train = config.FitOptions(cohort=cohort, out=run, steps=600, preview_every=0, seed=seed)
    draw = config.GenerateOptions(
        adapter=str(run), like=cohort, split="test", n=32, seed=seed, out=out / "synthetic"
    )
    change = config.EditOptions(
        adapter=str(run),
        source=cohort,
        split="test",
        set=("diagnosis=dementia",),
        strength=0.8,
        guidance=5,
        seed=seed,
        out=edits,
    )
    judge = config.EvaluateOptions(
        real=cohort,
        synthetic=draw.out,
        out=out / "report",
        edits=edits,
        classifier_seeds=1,
        seed=seed,
    )
    return [
        DemoStep("phantom: scans of 48 patients with 2 visits each, and their table", phantoms),
        DemoStep("import", read),
        DemoStep("inspect", config.InspectOptions(cohort=cohort)),
        DemoStep("fit: the whole U-Net, then its start of sampling", train),
        DemoStep("generate", draw),
        DemoStep("edit: what if these patients had dementia?", change),
        DemoStep("evaluate", judge),
    ]


def demo(options: config.DemoOptions, quiet: bool = False) -> Result:
    """Run the whole pipeline on the embedded base and a phantom cohort."""
    _prepare_demo_folder(options.out)
    steps = demo_steps(options)
    result: Result = {}
    for number, step in enumerate(steps, start=1):
        log.info("%d/%d %s", number, len(steps), step.title)
        result = load(find(name_of(step.options)).function)(step.options, quiet)
    return result


def check_demo_folder(out: Path) -> None:
    """Check that a folder is new, empty, or of an earlier demo.

    Raises:
        InputError: The folder holds anything else.
    """
    if out.exists() and not (out / DEMO).is_file() and any(out.iterdir()):
        raise InputError(f"{out} is not empty and was not made by a demo; give another `out`")


def _prepare_demo_folder(out: Path) -> None:
    """Create the folder of a demo, or empty the folder of an earlier demo.

    Raises:
        InputError: The folder holds anything else.
    """
    check_demo_folder(out)
    marker = out / DEMO
    if marker.is_file():
        for path in [*out.iterdir()]:
            if path == marker:  # it stays to the last, so that a killed demo can start again
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    marker.write_text(
        "This folder was made by `latentdrift demo`, which deletes and makes it again.\n"
    )


def _preview(
    base: Any,
    drift: Any,
    statistics: Any,
    texts: list[str],
    image_inputs: Any,
    report: ProgressCallback,
    *,
    seed: int,
) -> Any:
    """Pictures [N, H, W, 3] uint8 of a network in training."""
    import numpy as np

    from latentdrift.adapt.training.loop.preview import PREVIEW
    from latentdrift.data.images.intensity import from_unit
    from latentdrift.sample.generate import generate as draw

    beside = None if image_inputs is None else {i: [part] for i, part in enumerate(image_inputs)}
    sampling = replace(PREVIEW, seed=seed)
    pictures = draw(base, drift, dict(enumerate(texts)), sampling, statistics, beside)
    report(0, len(texts))
    pixels_by_index = {}
    for index, picture in pictures:
        pixels_by_index[index] = from_unit(picture, (0.0, 255.0), np.uint8)
        report(len(pixels_by_index), len(texts))
    return np.stack([pixels_by_index[index] for index in range(len(texts))])


REPLAYED: dict[str, type[config.Options]] = {
    "fit": config.FitOptions,
    "generate": config.GenerateOptions,
    "edit": config.EditOptions,
}
"""Verbs whose output a record can make again."""

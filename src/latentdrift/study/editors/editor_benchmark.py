"""`bench editors`: every editor on edits whose right answer is known, beside doing nothing. START
READING AT `run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from latentdrift.adapt.training.batches.edit_hints import Sourced, sourced
from latentdrift.config import BenchEditorsOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.images.image_writers import write_png
from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.editors.editors import EDITORS, starting
from latentdrift.edit.inversions.inversion_cache import InversionCache
from latentdrift.edit.io.counterfactual import Counterfactual, edit
from latentdrift.edit.io.edit_inputs import Entry
from latentdrift.edit.io.edit_requests import EditPlan
from latentdrift.errors import OptionError, unknown
from latentdrift.evaluate.attributes.ground_truth import (
    against_truth,
    against_visit,
    tissue_fraction,
)
from latentdrift.evaluate.attributes.visit_metrics import change_metrics, coverage, volume_metrics
from latentdrift.longitudinal.tissue_volumes import shows_brains, tissue_volumes
from latentdrift.model.model import Model
from latentdrift.progress import ProgressCallback
from latentdrift.sample.synthetic_cohort import contact_sheet
from latentdrift.storage import Results, key, written
from latentdrift.study.editors.editor_summary import METRICS, EditorRow, summary
from latentdrift.study.editors.reference_edits import Case, of_phantoms, of_visits
from latentdrift.study.editors.visit_baselines import VisitBaselines

MAX_STRIP_CASES = 6  # cases whose pictures are kept
COARSE = (
    0.03  # share of the picture's side: structure that is larger says little of a person (ours)
)
NOTHING = "no change"
ROUND_TRIP = "autoencoder"
MEAN = "mean change"
RIDGE = "ridge regression"
LATER = "the later visit"
BASELINES: dict[str, str] = {
    NOTHING: "the picture as it is",
    ROUND_TRIP: "encoded and decoded, which every editor does",
    MEAN: "plus the mean change per year of training patients, times the years",
    RIDGE: (
        "the mean change, and a ridge regression of the rest on years by age, categories and "
        "principal components of the first visit, fitted to training patients"
    ),
}
"""Baselines that stand in place of an edit, with their descriptions."""
VOLUMES_ALONE = "volume model"
ROWS_BESIDE: dict[str, str] = {
    **BASELINES,
    LATER: "itself, which shows how alike two visits of a patient are",
    VOLUMES_ALONE: (
        "changes of volumes, and no image, predicted from years and years by age, category and "
        "today's volume; fitted to training patients"
    ),
}
"""All rows beside the editors."""


@dataclass(frozen=True, eq=False)
class EditorBenchmark:
    """Edits with a known truth, by one model and several editors."""

    model: Model
    options: BenchEditorsOptions
    hints: Sourced
    """The hints that ControlNets read."""

    @classmethod
    def of(cls, model: Model, options: BenchEditorsOptions) -> EditorBenchmark:
        """Set up the benchmark of a model, with the hints of its ControlNets.

        Raises:
            OptionError: A hint is missing.
        """
        return cls(model, options, sourced(model, options.cohort))

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            OptionError: Neither a cohort nor a phantom, or both; an editor that is unknown, for
                other networks, or needs a mask.
        """
        if (self.options.cohort is None) == (self.options.phantom is None):
            raise OptionError(
                "give a cohort whose patients came twice, or `phantom=brain` or chest: one of them"
            )
        for name in self.options.editors:
            if name not in EDITORS:
                raise unknown("editor", name, EDITORS)
            if name not in self.able:
                raise OptionError(
                    f"editor '{name}' needs a mask, a ControlNet or another network; this bench "
                    f"can run {', '.join(self.able)}"
                )

    @cached_property
    def able(self) -> tuple[str, ...]:
        """Editors that fit this network and need no mask."""
        return tuple(
            name
            for name, row in EDITORS.items()
            if row.fits(self.model.base) and not row.needs_mask
        )

    @property
    def editors(self) -> tuple[str, ...]:
        """Editors of the options; by default all that fit."""
        return self.options.editors or self.able

    @property
    def resolution(self) -> int:
        """Pixels on a side."""
        return self.model.info.side

    @cached_property
    def cohort(self) -> Cohort | None:
        """Cohort whose visits are followed; None for phantoms."""
        return Cohort.load(self.options.cohort) if self.options.cohort else None

    @cached_property
    def cases(self) -> list[Case]:
        """Edits with a known truth: visits of a cohort, or phantoms; at most `n`."""
        options = self.options
        spec = self.model.info.attributes
        if self.cohort is not None:
            return self.hints.having(of_visits(self.cohort, options.split, self.resolution, spec))[
                : options.n
            ]
        return of_phantoms(str(options.phantom), options.n, options.seed, self.resolution, spec)

    @cached_property
    def fine(self) -> np.ndarray:
        """Fine structure of all originals without their common part, [N, R * R]."""
        structure = fine_structure(np.stack([picture_of(case) for case in self.cases]))
        result: np.ndarray = structure - structure.mean(0)
        return result

    @cached_property
    def visit_baselines(self) -> VisitBaselines | None:
        """Baselines fitted to training patients; None for phantoms, and without such visits."""
        if self.cohort is None:
            return None
        spec = self.model.info.attributes
        return VisitBaselines.of(self.cohort, self.resolution, spec, brains=self.has_brains)

    @property
    def has_brains(self) -> bool:
        """Whether the images are slices of brains."""
        return shows_brains(self.model.info.pictures)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Baselines that exist for these cases."""
        fitted = self.visit_baselines
        exists = {
            NOTHING: True,
            ROUND_TRIP: True,
            MEAN: fitted is not None,
            RIDGE: fitted is not None,
            LATER: self.cohort is not None,
            VOLUMES_ALONE: fitted is not None and fitted.volumes is not None,
        }
        return tuple(name for name in ROWS_BESIDE if exists[name])

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows of the table: baselines and editors, see `rows_of`."""
        names = (name for editor in self.editors for name in self.rows_of(editor))
        return (*self.baselines, *names)

    def rows_of(self, editor: str) -> tuple[str, ...]:
        """Rows of an editor in the table.

        The first is the result. Where its change is added to the original, another one is the image
        as drawn; where several seeds are drawn, the last one is the mean of their results.

        Args:
            editor: Row of EDITORS.
        """
        row = EDITORS[editor]
        names = [editor]
        if row.keeps(self.model.base):
            names.append(as_drawn(editor))
        if self.options.seeds > 1 and "seeds" in row.options:
            names.append(mean_of(editor, self.options.seeds))
        return tuple(names)

    @cached_property
    def key(self) -> str:
        """Hash of everything that determines the results.

        Models and cohorts count by their content, not by their path.
        """
        places = {"out", "base", "adapter", "also", "cohort"}
        without_effect = {"editors", "n", "bootstrap", "device", "round_trip"}
        options = self.options.model_dump(mode="json", exclude=places | without_effect)
        cohort = self.cohort.fingerprint if self.cohort else None
        model = self.model
        return key(options, model.base.hash, model.adapter_records, model.drift.to_dict(), cohort)

    def spec(self, editor: str, steps: int | None = None) -> EditSpec:
        """Options of the benchmark that an editor uses.

        Args:
            editor: Row of EDITORS.
            steps: Steps instead of the option's; None: the option's.
        """
        given = {
            name: getattr(self.options, name)
            for name in ("steps", "strength", "guidance", "image_guidance", "seed", "seeds")
            if name in EDITORS[editor].options
        }
        return EditSpec(**given | ({"steps": steps} if steps else {}))

    def result(self, row: str, case: Case) -> dict[str, float] | None:
        """Stored metrics of a case under equal settings; None where there are none.

        Args:
            row: Row of the table.
            case: The case.
        """
        stored = self._results(row).get(case.subject.name)
        return stored["metrics"] if stored else None

    def _results(self, row: str) -> Results:
        """Results of a row of the table."""
        return Results(self.options.out / "results" / row.replace(" ", "-"), self.key)

    def keep(
        self, row: str, case: Case, metrics: Mapping[str, float], picture: np.ndarray | None
    ) -> None:
        """Write the metrics of a case.

        Args:
            row: Row of the table.
            case: The case.
            metrics: Metrics by name.
            picture: Image [R, R] in [0, 1] for the page; None: none is written.
        """
        results = self._results(row)
        name = case.subject.name
        if picture is not None:
            with written(results.path(name, ".png")) as aside:
                write_png(aside, eight_bits(picture), synthetic=True)
        results.put(name, {"group": case.group, "patient": case.patient, "metrics": dict(metrics)})


def run(bench: EditorBenchmark, report: ProgressCallback) -> list[EditorRow]:
    """Make the missing edits, and summarise all.

    Args:
        bench: The benchmark.
        report: Called with (edits done, all).

    Returns:
        Rows of the table.
    """
    missing = unmade(bench)
    cache = open_inversion_cache(bench)
    first = {case.subject.name for case in bench.cases[:MAX_STRIP_CASES]}
    for done, (row, case) in enumerate(missing, start=1):
        original = picture_of(case)
        if row == VOLUMES_ALONE:
            bench.keep(row, case, volume_score(bench, case, original), None)
            report(done, len(missing))
            continue
        outcome = (
            {row: Outcome(baseline(bench, row, case, original))}
            if row in ROWS_BESIDE
            else outcomes(bench, row, edited(bench, row, case, cache))
        )
        for name, made in outcome.items():
            measured = score(bench, case, original, made.picture)
            if len(made.samples):
                measured |= score_of_samples(bench, case, original, made.samples)
            bench.keep(name, case, measured, made.picture if case.subject.name in first else None)
        report(done, len(missing))
    return list(summarise(bench))


def open_inversion_cache(bench: EditorBenchmark) -> InversionCache:
    """Open the cache of the benchmark's inversions."""
    settings = {
        "base": bench.model.base.hash,
        "adapters": bench.model.adapter_records,
        "drift": bench.model.drift.to_dict(),
    }
    return InversionCache(bench.options.out / "cache", settings)


def unmade(bench: EditorBenchmark) -> list[tuple[str, Case]]:
    """Baselines and edits without a stored result: (baseline or editor, case)."""
    every = {name: (name,) for name in bench.baselines} | {
        name: bench.rows_of(name) for name in bench.editors
    }
    return [
        (name, case)
        for name, rows in every.items()
        for case in bench.cases
        if any(bench.result(row, case) is None for row in rows)
    ]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an editor or a baseline makes of a case."""

    picture: np.ndarray
    """[R, R] in [0, 1]."""
    samples: np.ndarray = field(default_factory=lambda: np.empty(0))
    """Results of single seeds [S, R, R], of which the image is the mean; otherwise empty."""


def outcomes(bench: EditorBenchmark, editor: str, result: Counterfactual) -> dict[str, Outcome]:
    """Images of an edit, by row of the table.

    Args:
        bench: The benchmark.
        editor: Row of EDITORS.
        result: The edit.
    """
    keeps = EDITORS[editor].keeps(bench.model.base)
    drawn = [unit(counterfactual) for _, counterfactual in result.of_seeds]
    results = [unit(picture) for picture in result.on_original] if keeps else drawn
    samples = np.stack(results)
    made = {
        editor: Outcome(results[0]),
        as_drawn(editor): Outcome(drawn[0]),
        mean_of(editor, bench.options.seeds): Outcome(samples.mean(0), samples),
    }
    return {name: made[name] for name in bench.rows_of(editor)}


def as_drawn(editor: str) -> str:
    """Row of an editor's image before its change is added to the original."""
    return f"{editor}, as drawn"


def mean_of(editor: str, seeds: int) -> str:
    """Row of the mean of an editor's results under several seeds."""
    return f"{editor}, mean of {seeds} seeds"


def picture_of(case: Case) -> np.ndarray:
    """Original of a case, [R, R] in [0, 1]."""
    return (case.subject.tensor()[0].mean(0).double().numpy() + 1) / 2


def baseline(bench: EditorBenchmark, row: str, case: Case, original: np.ndarray) -> np.ndarray:
    """Image of a baseline, [R, R] in [0, 1].

    Args:
        bench: The benchmark.
        row: Row of ROWS_BESIDE, but for the volume model.
        case: The case.
        original: Its original, [R, R] in [0, 1].
    """
    fitted = bench.visit_baselines
    if fitted and case.interval and row in (MEAN, RIDGE):
        predictor = fitted.mean if row == MEAN else fitted.ridge
        return predictor.predict(original, case.interval)
    if row in (NOTHING, LATER):
        return original if row == NOTHING else case.truth
    base = bench.model.base
    with torch.no_grad():
        return unit(base.decode(base.moments(case.subject.tensor())[0]).cpu())


def edited(
    bench: EditorBenchmark,
    editor: str,
    case: Case,
    cache: InversionCache | None,
    steps: int | None = None,
) -> Counterfactual:
    """Edit a case.

    Args:
        bench: The benchmark.
        editor: Row of EDITORS.
        case: The case.
        cache: Cache of inversions; None: none is read or written.
        steps: Steps instead of the option's; None: the option's.
    """
    options = bench.options
    changes = dict(case.changes)
    age = case.subject.attributes.get("age")
    if bench.model.base.reads_numbers and case.interval and isinstance(age, int | float):
        changes["age"] = age + case.interval.years  # to the day; tables round ages
    request = EditPlan(
        changes,
        case.add,
        (),
        editor,
        options.sentences,
        bench.model.info,
        volume_model=bench.model.volume_model,
    )
    wanted = request.request(
        Entry(case.subject.name, case.subject.attributes, lambda: case.subject)
    )
    drift = starting(editor, bench.model, steps or options.steps)
    return edit(
        replace(bench.model, drift=drift),
        case.subject.tensor(),
        wanted.source,
        wanted.network_prompt,
        editor=editor,
        spec=bench.spec(editor, steps),
        parts=wanted.parts or (),
        sentences=wanted.sentences or ((), ()),
        hints=bench.hints.of(case.subject.picture(), case.subject.fit, case.row),
        cache=cache,
    )


def unit(x: torch.Tensor) -> np.ndarray:
    """Convert an image [1, 3, R, R] in [-1, 1] to grey [R, R] in [0, 1]."""
    return ((x[0].double().mean(0).numpy() + 1) / 2).clip(0, 1)


def score(
    bench: EditorBenchmark, case: Case, original: np.ndarray, edited_image: np.ndarray
) -> dict[str, float]:
    """Metrics of one edit: rows of METRICS, and for visits the parts of RATIOS.

    Args:
        bench: The benchmark.
        case: The case.
        original: Original [R, R] in [0, 1].
        edited_image: Edit [R, R] in [0, 1].
    """
    three = original[None], edited_image[None], case.truth[None]
    scores = dict(against_truth(*three)) if bench.cohort is None else {}
    scores |= against_visit(*three)
    if bench.has_brains:
        before, after, true = (tissue_fraction(part)[0] for part in three)
        scores |= {"tissue": np.array([after - before]), "true_tissue": np.array([true - before])}
    scores |= _of_structure(case, original, edited_image)
    scores["identity"] = np.array([recognised(bench, case, edited_image)])
    numbers = {name: float(values[0]) for name, values in scores.items() if name in METRICS}
    if bench.cohort is not None:
        numbers |= change_metrics(original, edited_image, case.truth)
        if bench.has_brains:
            numbers |= volume_metrics(
                *(tissue_volumes(part) for part in (original, edited_image, case.truth))
            )
    return _finite(numbers)


def score_of_samples(
    bench: EditorBenchmark, case: Case, original: np.ndarray, samples: np.ndarray
) -> dict[str, float]:
    """Metrics of several results of a case that their mean image does not have.

    Args:
        bench: The benchmark.
        case: The case.
        original: Original [R, R] in [0, 1].
        samples: Results of single seeds [S, R, R].

    Returns:
        Coverage of their interval and, of visits of brains, the mean of their changes of volumes: a
        mean image is blurred, and its tissues are those of no brain.
    """
    scores = coverage(original, samples, case.truth)
    if bench.cohort is None or not bench.has_brains:
        return scores
    first, last = tissue_volumes(original), tissue_volumes(case.truth)
    each = [volume_metrics(first, tissue_volumes(sample), last) for sample in samples]
    return scores | _finite({name: float(np.mean([one[name] for one in each])) for name in each[0]})


def volume_score(bench: EditorBenchmark, case: Case, original: np.ndarray) -> dict[str, float]:
    """Metrics of the volume model, which predicts volumes and no image.

    Args:
        bench: The benchmark.
        case: The case.
        original: Original [R, R] in [0, 1].
    """
    fitted = bench.visit_baselines
    assert fitted is not None and fitted.volumes is not None and case.interval is not None
    first = tissue_volumes(original)
    predicted = fitted.volumes.predict(first, case.interval)
    return _finite(volume_metrics(first, predicted, tissue_volumes(case.truth)))


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    """The numbers that are known."""
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _of_structure(
    case: Case, original: np.ndarray, edited_image: np.ndarray
) -> dict[str, np.ndarray]:
    """The change of a phantom's structure, and the true change; nothing of visits."""
    if case.structure is None:
        return {}
    before, after, true = (
        case.structure.size(picture, original) for picture in (original, edited_image, case.truth)
    )
    name = case.structure.measure.label
    return {name: np.array([after - before]), f"true_{name}": np.array([true - before])}


def fine_structure(pictures: np.ndarray) -> np.ndarray:
    """Images without their smooth part, as unit vectors [N, R * R].

    Args:
        pictures: [N, R, R].
    """
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(pictures, (0, COARSE * pictures.shape[1], COARSE * pictures.shape[1]))
    detail = (pictures - smooth).reshape(len(pictures), -1)
    result: np.ndarray = detail / np.maximum(np.linalg.norm(detail, axis=1, keepdims=True), 1e-12)
    return result


def recognised(bench: EditorBenchmark, case: Case, edited_image: np.ndarray) -> float:
    """Whether an edit is more similar to its own original than to that of any other person.

    Args:
        bench: The benchmark.
        case: The case.
        edited_image: Edit [R, R] in [0, 1].

    Returns:
        1 or 0; NaN where there is no other person.
    """
    others = [place for place, other in enumerate(bench.cases) if other.patient != case.patient]
    if not others:
        return float("nan")
    own = next(place for place, other in enumerate(bench.cases) if other is case)
    alike = bench.fine @ fine_structure(edited_image[None])[0]
    return float(alike[own] > alike[others].max())


def summarise(bench: EditorBenchmark) -> Iterator[EditorRow]:
    """Rows of the table, one change after another."""
    for group in dict.fromkeys(case.group for case in bench.cases):
        cases = [case for case in bench.cases if case.group == group]
        for row in bench.rows:
            results = [bench.result(row, case) or {} for case in cases]
            measured = summary(results, cases, bench.options)
            yield EditorRow(change=group, editor=row, n=len(cases), metrics=measured)


def strips(bench: EditorBenchmark) -> Iterator[tuple[np.ndarray, str]]:
    """Strips of the first cases for the page, with titles: original, truth, and each row of the
    table."""
    from PIL import Image

    cases = bench.cases[:MAX_STRIP_CASES]
    yield contact_sheet([eight_bits(picture_of(case)) for case in cases]), "the original"
    yield contact_sheet([eight_bits(case.truth) for case in cases]), "what should come of it"
    for row in bench.rows:
        paths = [
            bench.options.out / "results" / row.replace(" ", "-") / f"{case.subject.name}.png"
            for case in cases
        ]
        with_pictures = [np.asarray(Image.open(path)) for path in paths if path.is_file()]
        if with_pictures:
            yield contact_sheet(with_pictures), f"synthetic; {row}"


def eight_bits(picture: np.ndarray) -> np.ndarray:
    """Convert an image in [0, 1] to uint8 of the same shape."""
    result: np.ndarray = np.rint(np.asarray(picture).clip(0, 1) * 255).astype(np.uint8)
    return result

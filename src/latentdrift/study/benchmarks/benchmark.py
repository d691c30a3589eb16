"""A bench, resolved: methods x variants x seeds at one budget, as a literal table says; every part
is kept and reused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from latentdrift.adapt.training.setup.training_setup import ESTIMATED
from latentdrift.config import (
    BenchDriftOptions,
    BenchOptions,
    BenchTable1Options,
    BenchTable2Options,
    BenchTable3Options,
    BenchTable4Options,
    FitOptions,
)
from latentdrift.config.parts import given
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.images.image_writers import write_png
from latentdrift.errors import CohortError, OptionError, unknown
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.evaluate.statistics.bootstrap import rng
from latentdrift.model.base import identity
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import FEWEST
from latentdrift.record import sha256
from latentdrift.sample.synthetic_cohort import contact_sheet
from latentdrift.storage import Results, key, written
from latentdrift.study.benchmarks.benchmark_spec import DELTA, Table
from latentdrift.study.benchmarks.downstream_auc import taught
from latentdrift.study.benchmarks.drift_variants import DRIFT
from latentdrift.study.benchmarks.table1 import TABLE1
from latentdrift.study.benchmarks.table2 import TABLE2
from latentdrift.study.benchmarks.table3 import TABLE3
from latentdrift.study.benchmarks.table4 import TABLE4
from latentdrift.study.benchmarks.variant_result import VariantResult, name_of
from latentdrift.study.editors.reference_edits import Visits, visits
from latentdrift.study.model_images import check_editing, check_method

TABLES: dict[type[BenchOptions], Table] = {
    BenchDriftOptions: DRIFT,
    BenchTable1Options: TABLE1,
    BenchTable2Options: TABLE2,
    BenchTable3Options: TABLE3,
    BenchTable4Options: TABLE4,
}
BEFORE = "start"  # name of a fit that others start from
FEWEST_EDITS = 4  # that the kernel distance can judge


def contents(path: str) -> list[str]:
    """SHA-256 of each file at a path: a file, or all files below a folder; empty if it is
    neither."""
    place = Path(path)
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    return [sha256(file) for file in files if file.is_file()]


@dataclass(frozen=True)
class Cell:
    """One fit and the variants that sample it."""

    method: str | None
    """None, as `fit`: nothing is fitted."""
    fit: str | None
    seed: int
    variants: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the cell's folder."""
        return f"{self.method}-{self.fit}-s{self.seed}"


@dataclass(frozen=True)
class Bench:
    """Cells of a bench and the images that judge them."""

    options: BenchOptions

    def __post_init__(self) -> None:
        """Refuse what cannot be run, before anything is.

        Raises:
            OptionError: An unknown method, variant or class, or a drift that cannot be parsed.
            CohortError: No test images, too few of a class, or too few patients who came twice.
        """
        for name in self.options.methods:
            if self.table.editor:
                check_editing(name, self.table.editor)
            else:
                check_method(name)
        for name in self.options.variants:
            if name not in self.table.variants:
                raise unknown("variant", name, self.table.variants)
        if len(self.cohort.rows("test")) < 2:
            raise CohortError(
                f"cohort {self.options.cohort} has no test split to judge on; import it again with "
                "another `split`"
            )
        if self.table.editor and len(self.visits) < FEWEST_EDITS:
            raise CohortError(
                f"the test split of cohort {self.options.cohort} has {len(self.visits)} patients "
                f"whose later visit is of another age or diagnosis, and {FEWEST_EDITS} are needed; "
                "import it again with another `split`"
            )
        starts = {name: self.table.variants[name].start for name in self.options.variants}
        leaks = [
            name
            for name, start in starts.items()
            if start.get("drift_mode", "").startswith("leak-")
        ]
        if leaks and len(self.cohort.rows("train")) < FEWEST:
            raise CohortError(
                f"{' and '.join(leaks)} need at least {FEWEST} training images; leave them out of "
                "`variants`"
            )
        delta = self.options.delta.strip().lower()
        if delta not in ESTIMATED and not delta.endswith(".json"):
            Drift.parse(delta, channels=delta.count(",") + 1, latent_size=1)
        if given(self.options, "delta") and not any(map(self._drifts, self.options.variants)):
            able = ", ".join(name for name in self.table.variants if self._drifts(name))
            raise OptionError(
                f"`delta` has no part in these `variants`, but in {able}; add one of them, or "
                "leave it out"
            )
        _ = self.classes

    def _drifts(self, variant: str) -> bool:
        """Whether the drift of the bench has a part in a variant: in its start, its fit, or the fit
        before that."""
        row = self.table.variants[variant]
        fit = self.table.fits.get(row.fit or "")
        before = self.table.before if fit and fit.start else None
        drifts = [one.drift for one in (fit, before) if one]
        return DELTA in (*row.start.values(), *drifts)

    @property
    def table(self) -> Table:
        """Table of this bench: its fits and variants."""
        return TABLES[type(self.options)]

    @cached_property
    def cohort(self) -> Cohort:
        """Cohort of the bench."""
        return Cohort.load(self.options.cohort)

    @cached_property
    def classes(self) -> Classes | None:
        """Classes of the classifier; None without one."""
        return (
            Classes.of(self.cohort, self.options.by)
            if isinstance(self.options, BenchTable1Options)
            else None
        )

    @cached_property
    def visits(self) -> list[Visits]:
        """Visits of test patients to edit, at most `n`."""
        return visits(self.cohort, "test", self.cohort.attributes)[: self.options.n]

    def cells(self, *, searched: bool) -> list[Cell]:
        """Cells of the bench.

        Args:
            searched: Whether to give the cells whose variants need a search on a plain fit, or the
                others.
        """
        table = self.table
        wanted = [
            name for name in self.options.variants if table.variants[name].searched == searched
        ]
        selected = []
        for seed in range(self.options.seed, self.options.seed + self.options.seeds):
            for name in self.options.methods:
                for kind in table.fits:
                    variants = tuple(
                        v
                        for v in wanted
                        if table.variants[v].fit == kind and table.possible(name, v)
                    )
                    selected += [Cell(name, kind, seed, variants)] if variants else []
            alone = tuple(v for v in wanted if table.variants[v].fit is None)
            if alone and (
                seed == self.options.seed or not self.table.editor
            ):  # no seed changes what is not edited
                selected.append(Cell(None, None, seed, alone))
        return selected

    @property
    def all_cells(self) -> list[Cell]:
        """All cells, in the order in which they run."""
        return [*self.cells(searched=False), *self.cells(searched=True)]

    def fitting(self, cell: Cell) -> FitOptions:
        """Options of `fit` for a cell."""
        options = self.options
        fits = self.table.fits
        row = (
            self.table.before if cell.fit == BEFORE and self.table.before else fits[cell.fit or ""]
        )
        values = {name: value for name, value in asdict(row).items() if value is not None}
        values["drift"] = row.drift.format(delta=options.delta)
        if first := self.first(cell):
            values["start"] = (str(self.fitting(first).out),)
        return FitOptions(
            cohort=options.cohort,
            base=options.base,
            method=cell.method or "",
            seed=cell.seed,
            steps=options.fit_steps,
            batch_size=options.fit_batch_size,
            learning_rate=options.learning_rate,
            resolution=options.resolution,
            precision=options.precision,
            device=options.device,
            preview_every=0,
            checkpoint_every=options.fit_steps,
            out=options.out / "fits" / cell.name,
            **values,
        )

    def first(self, cell: Cell) -> Cell | None:
        """Cell whose fit this cell's fit starts from; None where it starts from the base."""
        fit = self.table.fits.get(cell.fit or "")
        return Cell(fit.start, BEFORE, cell.seed, ()) if fit and fit.start else None

    def firsts(self, cells: Sequence[Cell]) -> list[Cell]:
        """Cells whose fits these cells' fits start from, each once."""
        return list(dict.fromkeys(first for cell in cells if (first := self.first(cell))))

    def images(self, variant: str) -> int:
        """Number of synthetic images that a variant needs."""
        if self.table.editor:
            return len(self.visits) if self.table.variants[variant].fit else 0
        real = self.table.variants[variant].real
        if not (real and self.classes):
            return self.options.n
        return round((1 - real) * len(taught(self.cohort, self.classes, self.options.seed)))

    def shared(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, dict[str, int]]]:
        """Group the missing variants of cells by their start.

        Args:
            cells: Cells to look at.

        Returns:
            Cell, and number of images of each of its missing variants with one start.
        """
        for cell in cells:
            missing = [variant for variant in cell.variants if self.result(cell, variant) is None]
            for _, same in groupby(missing, key=lambda variant: self.table.variants[variant].start):
                yield cell, {variant: self.images(variant) for variant in same}

    def followed(self, n: int, seed: int) -> pd.DataFrame:
        """Rows of the cohort's table that synthetic images follow, in their order.

        Args:
            n: Number of images. A smaller n gives the first rows of a larger one.
            seed: Seed of the order of training rows; test rows are in the order of the table.
        """
        rows = self.cohort.rows(self.table.follows)
        if self.table.follows == "test":
            return rows.iloc[np.arange(n) % len(rows)]
        labels = self.classes.labels(rows) if self.classes else np.zeros(len(rows))
        kinds = [np.flatnonzero(labels == label) for label in np.unique(labels[~np.isnan(labels)])]
        source = rng(seed, "followed")
        shuffled = [source.permutation(places) for places in kinds]
        in_turn = [shuffled[i % len(kinds)] for i in range(n)]
        return rows.iloc[[own[i // len(kinds) % len(own)] for i, own in enumerate(in_turn)]]

    def path(self, cell: Cell, variant: str, suffix: str = ".json") -> Path:
        """Path of a variant's result, or with suffix ".png" of its strip of images."""
        return self._results.path(name_of(cell.method, variant, cell.seed), suffix)

    @property
    def _results(self) -> Results:
        """Results of all variants."""
        return Results(self.options.out / "results", self.key)

    @cached_property
    def key(self) -> str:
        """Hash of everything that determines the results.

        Bases, cohorts and files count by their content, not by their path.
        """
        settings = self.options.model_dump(
            mode="json",
            exclude={
                "out",
                "cohort",
                "workers",
                "ray",
                "methods",
                "variants",
                "seeds",
                "seed",
                "device",
            },
        )
        settings["base"] = identity(self.options.base)
        settings["delta"] = [settings["delta"], *contents(self.options.delta)]
        settings["features"] = [
            [name, *contents(name.rpartition("=")[2])] for name in self.options.features
        ]
        if self.classes:
            settings["by"] = str(self.classes)
        return key(settings, self.cohort.fingerprint)

    def keep(self, result: VariantResult, strip_images: Sequence[np.ndarray] = ()) -> None:
        """Write the result of a variant.

        Args:
            result: The result.
            strip_images: Some of its synthetic images [R, R, 3] in [0, 1]; empty: no strip is
                written.
        """
        if len(strip_images):
            sheet = contact_sheet(
                list(np.rint(np.stack(strip_images).clip(0, 1) * 255).astype(np.uint8))
            )
            with written(self._results.path(result.name, ".png")) as aside:
                write_png(aside, sheet, synthetic=True)
        self._results.put(result.name, result.to_dict())

    def result(self, cell: Cell, variant: str) -> VariantResult | None:
        """Stored result of a variant under equal settings; None where there is none."""
        stored = self._results.get(name_of(cell.method, variant, cell.seed))
        return None if stored is None else VariantResult.from_dict(stored)

    def results(self) -> list[VariantResult]:
        """Stored results of all cells that have run."""
        results = [
            self.result(cell, variant) for cell in self.all_cells for variant in cell.variants
        ]
        return [result for result in results if result is not None]

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Cells with a variant that has no stored result."""
        return [
            cell
            for cell in cells
            if any(self.result(cell, variant) is None for variant in cell.variants)
        ]

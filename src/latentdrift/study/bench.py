"""`bench drift`: methods x variants x seeds at one budget, judged on patients that nobody saw; every part is kept and reused."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentdrift.adapt.cache import key
from latentdrift.adapt.train import fit
from latentdrift.config import BenchDriftOptions, DriftSearchOptions, FitOptions, GenerateOptions
from latentdrift.data.cohort import Cohort
from latentdrift.data.write import write_png
from latentdrift.errors import CohortError, unknown
from latentdrift.evaluate.distances import DISTANCES, judge
from latentdrift.evaluate.features import Space, load_features
from latentdrift.evaluate.levels import levels
from latentdrift.model.base import Base
from latentdrift.model.start import FEWEST
from latentdrift.progress import Report
from latentdrift.sample.restart import restart
from latentdrift.sample.synthetic import contact_sheet
from latentdrift.study.results import write_search
from latentdrift.study.search import load_fit, search
from latentdrift.study.subject import Subject, check_method
from latentdrift.study.variants import FITS, VARIANTS, possible

SHOWN = 8  # synthetic pictures kept of each variant


@dataclass(frozen=True)
class Cell:
    """One fit and the variants that sample it."""

    method: str
    fit: str
    seed: int
    variants: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.method}-{self.fit}-s{self.seed}"


@dataclass(frozen=True)
class Bench:
    """A bench, resolved: what is run, and against which pictures it is judged."""

    options: BenchDriftOptions

    def __post_init__(self) -> None:
        """Refuse what cannot be run, before anything is.

        Raises:
            OptionError: An unknown method or variant.
            CohortError: No test images.
        """
        for name in self.options.methods:
            check_method(name)
        for name in self.options.variants:
            if name not in VARIANTS:
                raise unknown("variant", name, VARIANTS)
        if len(self.cohort.rows("test")) < 2:
            raise CohortError(f"cohort {self.options.cohort} has no test split to judge on; import it again with another --split")
        leaks = [name for name in self.options.variants if name.startswith("leak-")]
        if leaks and len(self.cohort.rows("train")) < FEWEST:
            raise CohortError(f"{' and '.join(leaks)} need at least {FEWEST} training images; leave them out of --variants")

    @cached_property
    def cohort(self) -> Cohort:
        return Cohort.load(self.options.cohort)

    def cells(self, *, searched: bool) -> list[Cell]:
        """All cells, or those of the variant that needs a search, which waits for its plain fits."""
        wanted = [name for name in self.options.variants if (name == "search") == searched]
        found = []
        for seed in range(self.options.seed, self.options.seed + self.options.seeds):
            for name in self.options.methods:
                for kind in FITS:
                    variants = tuple(v for v in wanted if VARIANTS[v].fit == kind and possible(name, v))
                    found += [Cell(name, kind, seed, variants)] if variants else []
        return found

    def fitting(self, cell: Cell) -> FitOptions:
        """The options of a cell's fit."""
        options = self.options
        how: dict[str, Any] = {
            name: value.format(delta=options.delta) if isinstance(value, str) else value for name, value in FITS[cell.fit].items()
        }
        return FitOptions(
            cohort=options.cohort, base=options.base, method=cell.method, seed=cell.seed, steps=options.fit_steps,
            batch_size=options.fit_batch_size, learning_rate=options.learning_rate, resolution=options.resolution,
            precision=options.precision, device=options.device, preview_every=0, checkpoint_every=options.fit_steps,
            out=options.out / "fits" / cell.name, **how,
        )  # fmt: skip

    def path(self, cell: Cell, variant: str, suffix: str = "json") -> Path:
        """Where a variant's result lies."""
        return self.options.out / "results" / f"{cell.method}-{variant}-s{cell.seed}.{suffix}"

    @cached_property
    def key(self) -> str:
        """Of everything that shapes every result."""
        told = self.options.model_dump(mode="json", exclude={"out", "workers", "methods", "variants", "seeds", "seed", "device"})
        return key(told, self.cohort.fingerprint)

    def result(self, cell: Cell, variant: str) -> dict[str, Any] | None:
        """A result made earlier under the same settings."""
        path = self.path(cell, variant)
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found if found.get("settings") == self.key else None

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """What is still to be run."""
        return [cell for cell in cells if any(self.result(cell, variant) is None for variant in cell.variants)]


@dataclass(frozen=True)
class Judge:
    """The test split, as it is judged against."""

    pictures: np.ndarray
    """[N, R, R, 3] in [0, 1]."""
    patients: list[str] | None
    spaces: Mapping[str, Space]
    features: Mapping[str, np.ndarray]
    resamples: int

    @classmethod
    def open(cls, bench: Bench, resolution: int) -> Judge:
        """Read the test split."""
        rows = bench.cohort.rows("test")
        pictures = ((np.moveaxis(bench.cohort.batch(rows, resolution), 1, -1) + 1) / 2).clip(0, 1)
        pocket = Base.load("pocket", device=bench.options.device, precision="fp32")
        spaces = load_features(
            bench.options.features, pocket=pocket.features, resolution=pocket.resolution, device=str(pocket.device)
        )
        patients = list(rows["patient"]) if rows["patient"].notna().all() else None
        return cls(pictures, patients, spaces, {name: space(pictures) for name, space in spaces.items()}, bench.options.bootstrap)

    def __call__(self, base: Base, pictures: np.ndarray, seed: int) -> dict[str, Any]:
        """Everything that is said of pictures [N, R, R, 3] in [0, 1]."""
        found: dict[str, Any] = dict(levels(pictures, self.pictures))
        found["latent_dc"], found["real_latent_dc"] = (channel_means(base, x) for x in (pictures, self.pictures))
        found["latent_dc_error"] = float(np.abs(np.subtract(found["latent_dc"], found["real_latent_dc"])).mean())
        for name, space in self.spaces.items():
            made = space(pictures)
            for kind, row in DISTANCES.items():
                judged = judge(row, self.features[name], made, self.patients, bootstrap=self.resamples, seed=seed)
                found[f"{kind}_{name}"] = {part: judged.get(part) for part in ("value", "ci", "floor", "matched")}
        return found


def channel_means(base: Base, pictures: np.ndarray) -> list[float]:
    """Mean [C] of the re-encoded latents of pictures."""
    x = 2 * torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() - 1
    return torch.cat([base.moments(part)[0].mean((2, 3)) for part in x.split(8)]).double().mean(0).tolist()


def bench(asked: Bench, report: Report) -> list[dict[str, Any]]:
    """Every result, made or found."""
    for searched in (False, True):
        cells = asked.cells(searched=searched)
        missing = asked.missing(cells)
        for name in sorted({cell.method for cell in missing if searched}):
            searched_delta(asked, name)
        for done, _ in enumerate(_each(asked, missing), start=len(cells) - len(missing) + 1):
            report(done, len(cells))
    cells = [cell for searched in (False, True) for cell in asked.cells(searched=searched)]
    return [asked.result(cell, variant) or {} for cell in cells for variant in cell.variants]


def _each(asked: Bench, cells: Sequence[Cell]) -> Iterator[None]:
    workers = min(asked.options.workers, len(cells))
    if workers <= 1:
        for cell in cells:
            run(asked, cell)
            yield
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, asked, cell) for cell in cells]):
            yield future.result()


def run(asked: Bench, cell: Cell) -> None:
    """Fit, then draw and judge every variant of a cell that is not there yet."""
    fitting = asked.fitting(cell)
    base = Base.load(fitting.base, device=fitting.device, precision=fitting.precision)
    fit(base, asked.cohort, fitting, fitting.out, quiet=True)
    for part in ("cache", "checkpoints"):  # a finished fit does not need them, and there are many fits
        shutil.rmtree(fitting.out / part, ignore_errors=True)
    subject = load_fit(fitting)
    jury = Judge.open(asked, subject.info["resolution"])
    for variant in cell.variants:
        if asked.result(cell, variant) is None:
            keep(asked, cell, variant, *draw(asked, cell, variant, subject), jury, subject.base)


def draw(asked: Bench, cell: Cell, variant: str, subject: Subject) -> tuple[np.ndarray, dict[str, Any]]:
    """The pictures of a variant [N, R, R, 3] in [0, 1], and the drift that they were drawn with."""
    options, row = asked.options, VARIANTS[variant]
    searched = str(searched_delta(asked, cell.method)) if "{searched}" in row.start.values() else ""
    start: dict[str, Any] = {name: value.format(delta=options.delta, searched=searched) for name, value in row.start.items()}
    how: Any = {name: getattr(options, name) for name in ("steps", "guidance", "sampler", "batch_size")}
    how |= {"seed": cell.seed, "resolution": subject.info["resolution"]}
    wanted = GenerateOptions(adapter=str(asked.fitting(cell).out), out=options.out, **how, **start)
    drift = restart(subject.drift, wanted, subject.base, subject.info, subject.statistics)
    prompts = subject.prompts(asked.cohort, "test", options.n)
    return np.stack(list(subject.pictures(drift, prompts, how))), drift.to_dict()


def keep(asked: Bench, cell: Cell, variant: str, pictures: np.ndarray, drift: dict[str, Any], jury: Judge, base: Base) -> None:
    """Write a variant's result, and a strip of its pictures."""
    path = asked.path(cell, variant)
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = contact_sheet(list(np.rint(pictures[:SHOWN].clip(0, 1) * 255).astype(np.uint8)))
    write_png(asked.path(cell, variant, "png"), shown, synthetic=True)
    told = {
        "settings": asked.key,
        "method": cell.method,
        "variant": variant,
        "seed": cell.seed,
        "n": len(pictures),
        "drift": drift,
    }
    aside = path.with_suffix(".writing")
    text = json.dumps({**told, "metrics": jury(base, pictures, cell.seed)}, indent=1, allow_nan=False)
    aside.write_text(text + "\n", encoding="utf-8")
    aside.replace(path)


def searched_delta(asked: Bench, method: str) -> float:
    """What the L1 search chooses for the plain fit of a method and the first seed, on the validation split; for all seeds."""
    options = asked.options
    out = options.out / "searches" / f"{method}-{asked.key}"
    if not (out / "search.json").is_file():
        first = asked.fitting(Cell(method, "plain", options.seed, ()))
        same = ("steps", "guidance", "sampler", "batch_size", "n", "seed", "bootstrap", "workers", "device", "precision")
        shared = {name: getattr(options, name) for name in same}
        wanted = DriftSearchOptions(cohort=options.cohort, out=out, adapter=str(first.out), base=options.base, **shared)
        write_search(out, *search(partial(load_fit, first), asked.cohort, wanted, lambda done, all: None))
    return float(json.loads((out / "search.json").read_text(encoding="utf-8"))["delta"][0])

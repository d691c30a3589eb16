"""Short fits on the tiny base, shared by the tests of the training loop."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.train import FitResult, fit
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base

STEPS = 8


class KilledError(Exception):
    """Stands for a process that is gone."""


def small(method: str = "lora", **more: Any) -> dict[str, Any]:
    """Options of a fit of any row of METHODS that takes a second."""
    given = {
        "method": method,
        "steps": STEPS,
        "batch_size": 2,
        "checkpoint_every": 3,
        "rank": 2,
        "vectors": 2,
        "drift": "auto",
    }
    prior = (
        {"prior_images": 4}
        if method in METHODS and "prior_images" in METHODS[method].defaults
        else {}
    )
    return {**given, **prior, **more}


def asked(base: Path, cohort: Cohort, out: Path, **more: Any) -> FitOptions:
    """The options of `short_fit`."""
    return FitOptions(cohort=cohort.folder, out=out, base=str(base), **small(**more))


@cache
def _loaded(folder: Path) -> Base:
    return Base.load(folder, device="cpu", precision="fp32")


def loaded_base(folder: Path) -> Base:
    """A new base in float32, equal to `Base.load`. The files are read once and must not change."""
    return copy.deepcopy(_loaded(folder))


def short_fit(
    base: Path,
    cohort: Cohort,
    out: Path,
    *,
    on_step: Any = None,
    preview: Any = None,
    class_pictures: Path | None = None,
    **more: Any,
) -> FitResult:
    """A fit of STEPS steps in float32, unless told otherwise."""
    options = asked(base, cohort, out, **more)
    how: Any = {"on_step": on_step, "preview": preview, "class_pictures": class_pictures}
    return fit(loaded_base(base), cohort, options, out, quiet=True, **how)


def killer(at: int, error: type[BaseException] = KilledError) -> Callable[[int, float], None]:
    """Ends a fit after a step."""

    def on_step(done: int, loss: float) -> None:
        if done == at:
            raise error

    return on_step


def weights(result: FitResult) -> dict[str, torch.Tensor]:
    """What an adapter holds."""
    return load_file(METHODS[result.info.to_dict()["method"]].file_in(result.adapter))


def same(one: FitResult, other: FitResult) -> bool:
    """Whether two adapters are the same to the bit."""
    mine = weights(one)
    theirs = weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


def entries(folder: Path) -> list[dict[str, Any]]:
    """The log of a run."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]

"""The method of a fit that names none: by the size of the base, the options and the run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.records.run_folder import Run
from latentdrift.adapt.training.setup.default_method import FULL_UP_TO, choose, resolved
from latentdrift.adapt.training.setup.training_setup import job
from latentdrift.config import FitOptions
from latentdrift.config.parts import DEFAULT_METHODS
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


def of_size(base: Base, weights: int) -> Base:
    """The base with a network of so many weights, which take no memory."""
    return replace(base, network=nn.Linear(weights, 1, bias=False, device=torch.device("meta")))


def options(**given: Any) -> FitOptions:
    return FitOptions(cohort=Path("c"), out=Path("o"), **given)


@pytest.mark.parametrize(
    ("weights", "method"), [(FULL_UP_TO, "full"), (FULL_UP_TO + 1, "lora"), (860_000_000, "lora")]
)
def test_a_small_base_is_trained_whole_and_a_large_one_by_lora(
    weights: int, method: str, base: Base
) -> None:
    choice = choose(of_size(base, weights), options())
    assert choice.method == method
    assert choice.reason and f"{weights / 1e6:.1f} million weights" in choice.reason


def test_the_pocket_base_is_trained_whole_with_or_without_its_weights() -> None:
    outline = Base.load("pocket", device="cpu", precision="fp32", weights=False)
    assert choose(outline, options()).method == "full"
    assert choose(outline, options()).reason == (
        "the network has 9.6 million weights, at most 100 million"
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"rank": 4}, "`rank`"),
        ({"rank": 8}, "`rank`"),  # its default, said aloud
        ({"alpha": 4.0, "targets": "attention"}, "`alpha` and `targets`"),
    ],
)
def test_options_of_lora_imply_it(given: dict[str, Any], named: str, base: Base) -> None:
    choice = choose(base, options(**given))
    assert choice.method == "lora" and choice.reason and choice.reason.endswith(named)


def test_a_named_method_needs_no_reason(base: Base) -> None:
    for method in METHODS:
        choice = choose(of_size(base, 10), options(method=method, rank=4))
        assert (choice.method, choice.reason) == (method, None)


def begun(folder: Path, method: str) -> Run:
    """A run of an earlier version, or with another default."""
    folder.mkdir()
    (folder / "fit.json").write_text(json.dumps({"method": method, "steps": 400}))
    return Run(folder)


def test_a_run_keeps_the_default_that_it_began_with(base: Base, tmp_path: Path) -> None:
    """Also where that was `lora` for every base; but not a method that had to be named."""
    for method in DEFAULT_METHODS:
        choice = choose(base, options(), begun(tmp_path / method, method))
        assert choice.method == method and choice.reason == "the run began with it"
    assert choose(base, options(), begun(tmp_path / "word", "textual-inversion")).method == "full"
    assert choose(base, options(), Run(tmp_path / "new")).method == "full"
    assert choose(base, options(rank=8), Run(tmp_path / "full")).method == "lora"
    assert choose(base, options(method="lora"), Run(tmp_path / "full")).method == "lora"


def test_the_default_is_the_named_method_in_all_that_shapes_a_fit(
    base: Base, tiny_cohort_folder: Path
) -> None:
    cohort = Cohort.load(tiny_cohort_folder)
    named = job(base, cohort, resolved(base, options(method="full")))
    default = job(base, cohort, resolved(base, options()))
    assert default.settings == named.settings and default.method == "full"
    assert default.rate == named.rate == METHODS["full"].learning_rate(base)

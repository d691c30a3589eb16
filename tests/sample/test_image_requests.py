"""Images that `generate` draws: one source of prompts, and departures that are said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from latentdrift.config import GenerateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.sample.image_requests import image_requests


@pytest.fixture(scope="module")
def model(tiny_base_folder: Path) -> Model:
    return Model.of_base(Base.load(tiny_base_folder, device="cpu", precision="fp32"))


def options(**given: Any) -> GenerateOptions:
    return GenerateOptions(adapter="run", out=Path("out"), **given)


def no_hints(cohort: Cohort) -> list[int]:
    raise AssertionError("no hints were asked for")


def test_prompts_are_repeated_in_turn(model: Model) -> None:
    requests = image_requests(options(prompt=("a", "b"), n=3), model, no_hints)
    assert [request.prompt for request in requests] == ["a", "b", "a"]


def test_a_cohort_gives_a_request_for_each_row(model: Model, tiny_cohort_folder: Path) -> None:
    asked = options(like=tiny_cohort_folder, split="test", n=4)
    requests = image_requests(asked, model, no_hints)
    rows = Cohort.load(tiny_cohort_folder).rows("test")
    assert len(requests) == 4
    assert {request.row for request in requests} <= set(rows.index)


def test_two_sources_of_prompts_are_refused(model: Model) -> None:
    with pytest.raises(OptionError, match="`prompt` and `compose` both say what to draw"):
        image_requests(options(prompt=("a",), compose=("b",)), model, no_hints)


def test_a_network_that_edits_draws_nothing() -> None:
    editing: Any = SimpleNamespace(base=SimpleNamespace(sees_source=1))
    with pytest.raises(OptionError, match="run latentdrift edit run IMAGE"):
        image_requests(options(), editing, no_hints)

"""Options of the drift verbs: a base alone is the model that is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift.config.build import build
from latentdrift.config.drift import DriftEstimateOptions, DriftSearchOptions
from latentdrift.errors import OptionError

PLACES = {"cohort": "c", "out": "o"}


@pytest.mark.parametrize("model", [DriftEstimateOptions, DriftSearchOptions])
@pytest.mark.parametrize(
    ("given", "adapter", "base"),
    [
        ({}, "pocket", None),
        ({"base": "sd"}, "sd", None),
        ({"adapter": "run"}, "run", None),
        ({"adapter": "run", "base": "sd"}, "run", "sd"),
    ],
)
def test_a_base_alone_is_the_model(
    model: type[DriftEstimateOptions], given: dict[str, str], adapter: str, base: str | None
) -> None:
    options = build(model, PLACES | given)
    assert (options.adapter, options.base, options.cohort) == (adapter, base, Path("c"))


def test_too_few_images_for_a_slope_are_refused() -> None:
    with pytest.raises(OptionError, match="`n` is 2; give at least 3"):
        build(DriftEstimateOptions, PLACES | {"n": 2})

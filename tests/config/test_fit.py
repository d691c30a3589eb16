"""Options of fit: a preset gives defaults, and what is given beside it wins."""

from __future__ import annotations

from typing import Any

import pytest

from latentdrift.config.build import build
from latentdrift.config.fit import PRESETS, AdoptOptions, FitOptions
from latentdrift.errors import OptionError

PLACES = {"cohort": "c", "out": "o"}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_its_row_and_yields_to_what_is_given(preset: str) -> None:
    options = build(FitOptions, PLACES | {"preset": preset})
    plain = build(FitOptions, PLACES)
    for name in FitOptions.model_fields:
        if name != "preset":
            expected = PRESETS[preset].get(name, getattr(plain, name))
            assert getattr(options, name) == expected, name
    assert build(FitOptions, PLACES | {"preset": preset, "steps": 7}).steps == 7


def test_a_budget_wins_over_the_steps_of_a_preset() -> None:
    options = build(FitOptions, PLACES | {"preset": "ti-small", "budget": "10min"})
    assert options.budget == "10min" and "steps" not in options.model_fields_set
    assert options.vectors == PRESETS["ti-small"]["vectors"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budget": "600"}, "`budget` is '600': a time is a number above 0 with a unit: 90s"),
        ({"preset": "papre"}, r"unknown preset 'papre'; known: .*"),
        ({"token": "cohort"}, "`token` is 'cohort'"),
        ({"token": "<two words>"}, "`token` is '<two words>'"),
        ({"rare_word": "two words"}, "`rare_word` is 'two words'"),
        ({"resolution": 100}, "`resolution` is 100; give a multiple of 8"),
        ({"ema": 1}, "`ema` is 1; give a number below 1"),
        ({"caption_dropout": 1.5}, "`caption_dropout` is 1.5"),
        ({"vectors": 65}, "`vectors` is 65"),
    ],
)
def test_a_value_out_of_range_is_a_sentence(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build(FitOptions, PLACES | given)


def test_an_adopted_word_is_in_angle_brackets() -> None:
    places = {name: "x" for name, field in AdoptOptions.model_fields.items() if field.is_required()}
    assert build(AdoptOptions, places | {"token": "<cat>"}).token == "<cat>"
    with pytest.raises(OptionError, match="`token` is 'cat'"):
        build(AdoptOptions, places | {"token": "cat"})

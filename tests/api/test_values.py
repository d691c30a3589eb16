"""Python values as options."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentdrift import config
from latentdrift.api.values import options_of
from latentdrift.errors import OptionError

EDIT = {"adapter": "run", "source": "x.png", "out": "O"}
FIT = {"cohort": "C", "out": "O"}


class Folder:
    """Stands for a cohort."""

    folder = Path("C")


def test_objects_stand_for_their_folder_and_dictionaries_for_assignments() -> None:
    options = options_of(
        config.EditOptions,
        {
            "adapter": "run",
            "source": Folder(),
            "out": "O",
            "set": {"age": 85.0, "sex": "F"},
            "add": "effusion",
            "given": [],
        },
    )
    assert options.source == Path("C")
    assert options.set == ("age=85", "sex=F")
    assert options.add == ("effusion",) and options.given == ()


def test_paths_and_numbers_are_text_where_text_is_due() -> None:
    values = {"cohort": "C", "out": "O", "base": Path("base"), "drift": 0.25, "start": [Path("R")]}
    options = options_of(config.FitOptions, values)
    assert (options.base, options.drift, options.start) == ("base", "0.25", ("R",))
    assert options_of(config.EditOptions, EDIT | {"mask": Path("m.png")}).mask == Path("m.png")


def test_a_mistake_names_the_parameter() -> None:
    with pytest.raises(OptionError, match=r"unknown option 'sett'.*did you mean 'set'"):
        options_of(config.EditOptions, {"sett": {"age": 85}})


def edit_options(**values: Any) -> config.EditOptions:
    return options_of(config.EditOptions, EDIT | values)


def test_a_series_and_weights_are_written_as_on_the_command_line() -> None:
    grid = {"age": [60, 80.0], "diagnosis": ("dementia", "no dementia"), "sex": "F"}
    assert edit_options(grid=grid).grid == ("age=60,80", "diagnosis=dementia,no dementia", "sex=F")
    drawn = options_of(
        config.GenerateOptions,
        {"adapter": "run", "out": "O", "compose": {"effusion": 0.5, "pneumonia": -1}},
    )
    assert drawn.compose == ("effusion:0.5", "pneumonia:-1")
    with pytest.raises(OptionError, match="`compose` has '1' for effusion; give a weight"):
        options_of(config.GenerateOptions, {"compose": {"effusion": "1"}})
    with pytest.raises(OptionError, match="`set` has 2 values for age; give one"):
        edit_options(set={"age": [60, 80]})


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_value_names_the_parameter_and_the_attribute(missing: float | None) -> None:
    with pytest.raises(OptionError, match=r"`given` has no value for sex.*leave sex out"):
        edit_options(given={"age": 70, "sex": missing})


def test_a_number_of_years_needs_its_sign() -> None:
    assert edit_options(age="+10").age == "+10"
    assert edit_options(age=-5).age == "-5"
    for years in (10, 0, 2.5):
        with pytest.raises(OptionError, match=r"has no sign, and Python drops"):
            edit_options(age=years)


def test_lists_of_numbers_are_text_or_tuples() -> None:
    assert edit_options(window=(0, 100)).window == "0,100"
    for drift in ((0.1, 0.2), "0.1,0.2"):
        assert options_of(config.FitOptions, FIT | {"drift": drift}).drift == "0.1,0.2"
    assert options_of(config.FitOptions, FIT | {"drift": 0.123456789}).drift == "0.123456789"
    assert options_of(config.FitOptions, FIT | {"drift": np.float32(0.5)}).drift == "0.5"
    for split in ("0.7,0.15,0.15", (0.7, 0.15, 0.15)):
        built = options_of(config.ImportOptions, {"source": "S", "out": "O", "split": split})
        assert built.split == (0.7, 0.15, 0.15)


def test_a_value_that_is_no_path_is_named_so() -> None:
    with pytest.raises(OptionError, match="`cohort` is 3; give a path"):
        options_of(config.FitOptions, FIT | {"cohort": 3})

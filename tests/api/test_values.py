"""Python values as options."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift import config
from latentdrift.api.values import options_of
from latentdrift.errors import OptionError

EDIT = {"adapter": "run", "source": "x.png", "out": "O"}


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

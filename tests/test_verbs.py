"""Rows of VERBS: their functions exist, and an unknown verb names the nearest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from latentdrift import config
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.errors import OptionError
from latentdrift.verbs import VERBS, find, load


@pytest.mark.parametrize("verb", VERBS)
def test_the_functions_of_a_row_are_there(verb: str) -> None:
    assert callable(load(VERBS[verb].function)) and callable(load(VERBS[verb].plan))


def test_the_page_of_dry_runs_has_one_row_for_each_verb() -> None:
    page = (Path(__file__).parents[1] / "docs" / "dry-run.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall("`(.+?)`", row[0])) == sorted(VERBS)
    assert {len(row) for row in rows} == {4}
    for row in rows:
        has_estimate = any(cell.strip() != "–" for cell in row[1:])
        for name in re.findall("`(.+?)`", row[0]):
            assert has_estimate == (not VERBS[name].plan.endswith(":echo"))


def test_an_unknown_verb_names_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"unknown verb 'fti'.*did you mean 'fit'"):
        find("fti")


def test_every_row_speaks_of_options_that_are_there() -> None:
    for verb, rows in config.PARTS.items():
        assert {name for row in rows for name in row.options} <= set(
            VERBS[verb].options.model_fields
        )
    for names, methods in config.BY_METHOD.items():
        assert set(names) <= set(config.FitOptions.model_fields) and set(methods) <= set(METHODS)
        for name, row in METHODS.items():  # what shapes a method's parameters has a part in it
            assert not set(names) & set(row.options) or name in methods

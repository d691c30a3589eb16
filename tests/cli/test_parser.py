"""Parsers: the example of each verb is understood, and values may begin with a minus."""

from __future__ import annotations

import shlex

import pytest

from latentdrift.cli import main
from latentdrift.cli.parser import parse, parser, with_negative_values
from latentdrift.verbs import VERBS, name_of


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_a_verb_is_a_command_that_it_takes(verb: str) -> None:
    program, *arguments = shlex.split(VERBS[verb].example)
    assert program == "latentdrift"
    given = parse(arguments)
    assert given.pop("verb") == verb
    given = {name: value for name, value in given.items() if name not in ("json", "debug")}
    del given["dry_run"]
    assert name_of(main.resolve(verb, given)) == verb


def test_values_may_begin_with_a_minus() -> None:
    given = vars(
        parser().parse_args(
            with_negative_values(["fit", "C", "--out", "O", "--drift", "-0.1,0.2,0,0"])
        )
    )
    assert given["drift"] == "-0.1,0.2,0,0"

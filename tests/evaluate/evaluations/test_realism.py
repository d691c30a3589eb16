"""Realism: the colour follows the rule, and a reason stands where nothing is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_inputs import inputs_of, rendered, textures
from partial_results import fill

from latentdrift.evaluate.critics.anatomy_critics import Anatomy
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.evaluations.realism import (
    REALISM,
    NoAnatomy,
    anatomy_light,
    compute,
)

BASE = {
    "n": {"real": 40, "patients": 30},
    "beyond": 0.05,
    "beyond_ci": [0.0, 0.1],
    "unseen": [],
    "undecided": [],
    "nearer": [],
}


@pytest.mark.parametrize(
    ("change", "position", "colour"),
    [
        ({}, 0.2, "green"),
        ({}, 0.6, "amber"),
        ({"beyond": 0.4, "beyond_ci": [0.3, 0.45]}, 0.2, "amber"),
        ({"beyond": 0.7, "beyond_ci": [0.55, 0.8]}, 0.2, "red"),
        ({"nearer": ["torn"]}, 0.9, "red"),
        ({"unseen": ["torn"]}, 0.2, "grey"),
        ({"undecided": ["torn"]}, 0.4, "grey"),
        ({"unseen": ["torn"], "nearer": ["shuffled"]}, 0.9, "red"),
    ],
)
def test_the_colour_follows_the_rule(change: dict, position: float, colour: str) -> None:
    known = {**BASE, "controls": {"one": {"position": position}}, **change}
    light, sentence = anatomy_light(fill(Anatomy, known))
    assert light == colour
    assert "30 patients" in sentence


def test_a_reason_stands_in_place_of_a_judgement(tmp_path: Path) -> None:
    inputs = inputs_of(textures(4, 0), critics={"tone": "Too few images."})
    result = compute(inputs)
    assert result.realism == {"tone": NoAnatomy(reason="Too few images.")}
    colour, sentence = anatomy_light(result.realism["tone"])
    assert colour == "grey" and "Too few images." in sentence
    assert rendered(REALISM, Results([]), tmp_path) == ""

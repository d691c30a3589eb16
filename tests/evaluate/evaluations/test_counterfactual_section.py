"""Section of the counterfactuals: a card that is drawn."""

from __future__ import annotations

import json

import pytest
from card_edits import edits, judged

from latentdrift.display.html_report import write_page
from latentdrift.evaluate.attributes.counterfactual_results import Card
from latentdrift.evaluate.evaluations.counterfactual_section import card_blocks


@pytest.fixture(scope="module")
def right() -> Card:
    return judged(edits(changes={"age": 82}, age=82.0), by="sex")


def test_the_card_is_drawn(right: Card, tmp_path) -> None:
    assert json.loads(json.dumps(right.to_dict(), allow_nan=False))
    write_page(
        tmp_path / "card.html",
        "Card",
        card_blocks(right, edits(changes={"age": 82}, age=82.0)),
    )
    html = (tmp_path / "card.html").read_text()
    for words in (
        "Collateral matrix",
        "age increased",
        "worst reconstruction",
        "Originals with sex: F.",
        "synthetic",
    ):
        assert words in html, words

"""The card of counterfactuals, on edits that do what was asked, nothing at all, or something else
besides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapes
from card_edits import N, edits, judged

from latentdrift.evaluate.attributes.counterfactual_metrics import NOTHING
from latentdrift.evaluate.attributes.counterfactual_results import Card, CollateralCell


def cell(told: Card, kind: str, name: str) -> CollateralCell:
    return told.collateral.rows[kind][told.collateral.columns.index(name)]


@pytest.fixture(scope="module")
def right() -> Card:
    return judged(edits(changes={"age": 82}, age=82.0), by="sex")


def test_an_edit_that_does_what_was_asked(right: Card) -> None:
    (row,) = right.effectiveness
    assert (row.change, row.judged, row.n) == ("age up", "age", N)
    assert 0.5 < row.share < 1.3 and row.error.value < 0.5 * row.untouched
    assert not any(one.beyond for cells in right.collateral.rows.values() for one in cells)
    assert (
        cell(right, "age up", "age").is_requested
        and not cell(right, "age up", "sex=F").is_requested
    )
    assert right.composition.value == 0 and cell(right, NOTHING, "age").value == 0
    assert right.collateral.unit_of == "visits" and right.kinds == {"age up": N}
    assert {value: rows[0].n for value, rows in right.subgroups.items()} == {"F": 4, "M": 4}


def test_an_edit_that_changes_the_sex_when_the_age_was_asked_for(right: Card) -> None:
    told = judged(edits(changes={"age": 82}, age=82.0, sex="M"))
    moved = cell(told, "age up", "sex=F")
    assert moved.beyond and moved.value < -1 and -0.8 < moved.share < -0.3 and moved.ci[1] < 0
    assert any(
        "age increased: sex: F changed" in words and "although not asked for" in words
        for words in told.warnings
    )
    assert not any("sex: F" in words for words in right.warnings)
    women = {f"{i:06d}" for i in range(0, N, 2)}  # the men were men already
    assert set(told.worst["collateral"]) <= women


def test_a_share_grows_with_the_known_change_of_what_was_not_asked_for() -> None:
    """The sign of a man, drawn into women and men alike, faintly, by half, whole: half of the way
    is where the share ends."""
    none = edits(changes={"age": 82}, age=82.0)
    whole = edits(changes={"age": 82}, age=82.0, sex="M")
    found = []
    for part in (0.1, 0.5, 1.0):
        mixed = [
            replace(a, counterfactual=(1 - part) * a.counterfactual + part * b.counterfactual)
            for a, b in zip(none, whole, strict=True)
        ]
        found.append(cell(judged(mixed), "age up", "sex=F"))
    shares = [-one.share for one in found]
    assert abs(shares[0]) < 0.1 and shares == sorted(shares)
    assert shares[2] == pytest.approx(0.5, abs=0.25) and [
        one.beyond for one in (found[0], found[2])
    ] == [False, True]


def test_an_edit_that_does_nothing() -> None:
    told = judged(edits(changes={}, add=("Effusion",)))
    (row,) = told.effectiveness
    assert row.change == "findings=Effusion added" and row.reached == 0 == row.untouched
    assert row.ceiling > 0.9 and row.reached_ci[1] < 0.4 and row.moved.value == 0
    assert told.minimality["change"].value == 0 and told.minimality["area"].value == 0
    done = judged(edits(changes={}, add=("Effusion",), findings="Effusion")).effectiveness[0]
    assert done.reached > 0.9 and done.moved.value > 0


def test_masks_and_edits_back_are_measured() -> None:
    some = edits(changes={"age": 82}, age=82.0)
    mask = np.zeros((shapes.SIDE,) * 2 + (3,), np.float32)
    mask[8:24, 8:24] = 1
    some[0] = replace(some[0], mask=mask, reversal=some[0].original + 0.25)
    told = judged(some)
    outside = mask[..., 0] == 0
    expected = np.abs(some[0].counterfactual - some[0].original)[outside].mean()
    assert told.minimality["outside"].to_dict() == {
        "value": pytest.approx(expected),
        "ci": None,
        "n": 1,
    }
    assert told.reversibility.value == pytest.approx(0.25, abs=1e-6) and told.reversibility.n == 1
    moved = np.mean([np.abs(one.counterfactual - one.original).mean() for one in some])
    assert told.minimality["change"].value == pytest.approx(moved, rel=1e-5)


def test_a_change_on_the_image_itself_is_measured_from_the_image() -> None:
    some = edits(changes={"age": 82}, age=82.0)
    some = [replace(one, reconstruction=one.original + 0.25) for one in some]
    drawn, kept = (
        np.mean([np.abs(one.counterfactual - one.pictures[before]).mean() for one in some])
        for before in ("reconstruction", "original")
    )
    assert judged(some).minimality["change"].value == pytest.approx(drawn, rel=1e-5)
    some = [
        replace(one, record=one.record.model_copy(update={"is_on_original": True})) for one in some
    ]
    assert judged(some).minimality["change"].value == pytest.approx(kept, rel=1e-5)
    assert judged(some).composition.value == pytest.approx(0.25, abs=1e-5)

"""Counterfactuals beside real images of their target, and beside the patient's own later visit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from specs import spec_of

from latentdrift.evaluate.attributes.counterfactual_metrics import _warnings
from latentdrift.evaluate.attributes.counterfactual_results import (
    ChangeRealism,
    Collateral,
    FollowUps,
)
from latentdrift.evaluate.attributes.interventions import follow_ups, realism
from latentdrift.evaluate.attributes.requested_changes import RequestedChanges
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import EditRecord, RecordedEdit
from latentdrift.evaluate.statistics.bootstrap import PatientResampling
from latentdrift.resampling import Resampling

SIDE = 16
N = 12
SPEC = spec_of(
    {"age": {"type": "number"}, "diagnosis": {"type": "category", "vocabulary": ["ill", "well"]}}
)


def recorded(name: str, record: EditRecord) -> RecordedEdit:
    """An edit of which the record alone counts."""
    nothing = np.zeros((SIDE, SIDE, 3), np.float32)
    return RecordedEdit(name, record, nothing, nothing, nothing)


def scans(levels: np.ndarray, seed: int) -> np.ndarray:
    """Pictures whose brightness is their one attribute, in fine noise."""
    noise = np.random.default_rng(seed).normal(0, 0.02, (len(levels), SIDE, SIDE, 1))
    return np.repeat((np.asarray(levels)[:, None, None, None] + noise).clip(0, 1), 3, -1)


def level(images: Any) -> np.ndarray:
    """Features: brightness of the four quarters."""
    x = np.asarray(images)[..., 0]
    return (
        np.stack([x[:, a : a + 8, b : b + 8].mean((1, 2)) for a in (0, 8) for b in (0, 8)], 1) * 10
    )


def of_realism(made: float) -> ChangeRealism:
    """Edits of well people (0.3) into ill ones (0.6), which come out as `made`."""
    truths = np.repeat([[0.0], [1.0]], N, 0)
    real = EvaluationImages(
        scans(np.repeat([0.3, 0.6], N), 0), [f"r{i // 2}" for i in range(2 * N)]
    )
    sets = {
        "original": EvaluationImages(scans(np.full(N, 0.3), 1)),
        "counterfactual": EvaluationImages(scans(np.full(N, made), 2)),
    }
    before = np.zeros((N, 1))
    after = np.ones((N, 1))
    asked = RequestedChanges(
        before, after, after > 0, [["diagnosis=ill"]] * N, {"diagnosis=ill": (0, 1.0)}
    )
    edits = [recorded(str(i), EditRecord(patient=f"p{i // 3}")) for i in range(N)]
    people = PatientResampling(np.arange(N) // 3, Resampling(40))
    (row,) = realism(asked, edits, sets, real, truths, {"level": level}, people)
    return row


def test_realism_is_the_distance_to_real_images_that_have_the_target() -> None:
    right = of_realism(0.6)
    nothing = of_realism(0.3)
    assert right.n == {"edits": N, "patients": 4, "real": N} and right.change == "diagnosis=ill"
    assert right.value < 0.1 * right.original and right.ci[1] < right.original
    assert nothing.value == pytest.approx(nothing.original, rel=0.2)


def visits(made: float) -> FollowUps | None:
    """Three patients at 70 (0.3) and 80 (0.5, a brighter half), one who never came again, edited to
    80."""
    half = np.zeros((SIDE, SIDE, 1))
    half[:, : SIDE // 2] = 0.2
    first = scans(np.full(4, 0.3), 3)
    table = []
    last = (first[:3] + half).clip(0, 1)
    for i in range(4):
        table.append({"age": 70.0 + i, "diagnosis": "well"})
    table += [{"age": 80.4 + i, "diagnosis": "well"} for i in range(3)]
    real = EvaluationImages(
        np.concatenate([first, last]),
        [f"p{i}" for i in (0, 1, 2, 3, 0, 1, 2)],
        attributes=pd.DataFrame(table),
    )
    sets = {
        "original": EvaluationImages(first),
        "counterfactual": EvaluationImages((first + made * half).clip(0, 1)),
    }
    edits = [
        recorded(
            f"{i}", EditRecord(patient=f"p{i}", attributes=table[i], changes={"age": 80.0 + i})
        )
        for i in range(4)
    ]
    return follow_ups(edits, sets, real, SPEC, PatientResampling(np.arange(4), Resampling(40)))


@pytest.mark.parametrize("made", [0.0, 0.5, 1.0, -1.0])
def test_a_follow_up_tells_how_much_of_the_true_change_was_made(made: float) -> None:
    told = visits(made)
    assert told is not None and (told.n, told.patients) == (3, 3)
    assert told.metrics["effect"].value == pytest.approx(made, abs=1e-6)
    if made == 1.0:
        assert (
            told.metrics["ssim"].value == pytest.approx(1, abs=1e-6)
            and told.no_change["ssim"].value < 0.99
        )
    if made == 0.0:
        assert told.metrics["ssim"].value == pytest.approx(told.no_change["ssim"].value)


def test_the_unchanged_image_is_the_baseline_of_every_similarity() -> None:
    """An edit that does nothing gains nothing, also where its change is compared with the true
    one."""
    told = visits(0.0)
    assert (
        told is not None and told.no_change["difference_ssim"].value > 0.01
    )  # no change is a little like a small change
    for name in ("ssim", "ms-ssim", "psnr", "difference_ssim"):
        assert told.gain[name].value == pytest.approx(0, abs=1e-9), name
        assert told.no_change[name].value == pytest.approx(told.metrics[name].value), name


def steps(made: float) -> FollowUps:
    """Six patients whose true change is 0.02 to 0.32 everywhere, edited by a share of it."""
    sizes = np.linspace(0.02, 0.32, 6)[:, None, None, None]
    first = scans(np.full(6, 0.5), 5)
    table = [{"age": 70.0, "diagnosis": "well"}] * 6 + [{"age": 80.0, "diagnosis": "well"}] * 6
    people = [f"p{i}" for i in range(6)]
    real = EvaluationImages(
        np.concatenate([first, first + sizes]), people * 2, attributes=pd.DataFrame(table)
    )
    sets = {
        "original": EvaluationImages(first),
        "counterfactual": EvaluationImages(first + made * sizes),
    }
    edits = [
        recorded(p, EditRecord(patient=p, attributes=table[0], changes={"age": 80.0}))
        for p in people
    ]
    told = follow_ups(edits, sets, real, SPEC, PatientResampling(np.arange(6), Resampling(400)))
    assert told is not None
    return told


@pytest.mark.parametrize(
    ("made", "decibel"), [(0.5, 20 * np.log10(2)), (-1.0, -20 * np.log10(2)), (0.9, 20.0)]
)
def test_a_gain_is_paired(made: float, decibel: float) -> None:
    """Errors shrink or grow by one factor, so each gains the same decibels, though the errors
    themselves lie 24 dB apart."""
    psnr = steps(made).gain["psnr"]
    assert psnr.value == pytest.approx(decibel, abs=1e-3) and psnr.n == 6
    assert psnr.ci == pytest.approx([decibel, decibel], abs=1e-3)


@pytest.mark.parametrize(("made", "worse"), [(-1.0, True), (0.0, False), (0.5, False)])
def test_a_counterfactual_that_loses_to_no_change_is_warned_of(made: float, worse: bool) -> None:
    nothing_else = Collateral(columns=[], unit={}, unit_of="visits", rows={})
    said = _warnings([], nothing_else, steps(made))
    assert bool(said) is worse
    assert not worse or "PSNR (dB) -6.021 (-6.021 to -6.021)" in said[0]
    assert _warnings([], nothing_else, None) == []


def test_a_gain_leaves_out_what_cannot_be_subtracted() -> None:
    assert steps(1.0).gain["psnr"].value is None  # the counterfactual is the later scan: infinite


def test_another_state_or_another_patient_is_no_follow_up() -> None:
    table = pd.DataFrame([{"age": 70.0, "diagnosis": "well"}, {"age": 80.0, "diagnosis": "ill"}])
    images = scans(np.full(2, 0.3), 4)
    real = EvaluationImages(images, ["p0", "p0"], attributes=table)
    sets = {
        "original": EvaluationImages(images[:1]),
        "counterfactual": EvaluationImages(images[:1]),
    }
    people = PatientResampling(np.arange(1), Resampling(10))

    def found(patient: str | None, **changes: Any) -> bool:
        record = EditRecord(patient=patient, attributes=dict(table.iloc[0]), changes=changes)
        return follow_ups([recorded("0", record)], sets, real, SPEC, people) is not None

    assert found("p0", age=80.5, diagnosis="ill") and not found("p0", age=80.5)  # was ill by then
    assert not found("p0", age=83.0, diagnosis="ill") and not found("p1", age=80.0, diagnosis="ill")
    assert found("p0", age=None, diagnosis="ill")  # an age that is not known is no other age
    assert not found(None, age=80.0, diagnosis="ill") and not found("p0", diagnosis="well")


@pytest.mark.parametrize("made", [0.0, 0.5, 1.0, -1.0])
def test_the_change_is_told_beside_the_true_one(made: float) -> None:
    """A share of the true change leaves the square of the rest, after any blur."""
    told = visits(made)
    assert told is not None
    for blur in (1, 4, 6):
        found = told.change[f"error_reduction_{blur}"]
        assert found.value == pytest.approx(1 - (1 - made) ** 2, abs=1e-5) and found.n == 3
    assert ("change_r_4" in told.change) is bool(made)
    if made:
        assert told.change["change_r_4"].value == pytest.approx(np.sign(made), abs=1e-5)
    assert "fluid_r2" not in told.change  # no brain

"""Counterfactuals beside real images of their target, and beside the patient's own later visit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.asked import Asked
from latentdrift.evaluate.bootstrap import Resampling
from latentdrift.evaluate.interventions import follow_ups, realism

SIDE, N = 16, 12
SPEC = {"age": {"type": "number"}, "diagnosis": {"type": "category", "vocabulary": ["ill", "well"]}}


def scans(levels: np.ndarray, seed: int) -> np.ndarray:
    """Pictures whose brightness is their one attribute, in fine noise."""
    noise = np.random.default_rng(seed).normal(0, 0.02, (len(levels), SIDE, SIDE, 1))
    return np.repeat((np.asarray(levels)[:, None, None, None] + noise).clip(0, 1), 3, -1)


def level(images: Any) -> np.ndarray:
    """Features: brightness of the four quarters."""
    x = np.asarray(images)[..., 0]
    return np.stack([x[:, a : a + 8, b : b + 8].mean((1, 2)) for a in (0, 8) for b in (0, 8)], 1) * 10


def of_realism(made: float) -> dict[str, Any]:
    """Edits of well people (0.3) into ill ones (0.6), which come out as `made`."""
    truths = np.repeat([[0.0], [1.0]], N, 0)
    real = ImageSet(scans(np.repeat([0.3, 0.6], N), 0), [f"r{i // 2}" for i in range(2 * N)])
    sets = {"original": ImageSet(scans(np.full(N, 0.3), 1)), "counterfactual": ImageSet(scans(np.full(N, made), 2))}
    before, after = np.zeros((N, 1)), np.ones((N, 1))
    asked = Asked(before, after, after > 0, [["diagnosis=ill"]] * N, {"diagnosis=ill": (0, 1.0)})
    edits = [{"name": str(i), "record": {"patient": f"p{i // 3}"}} for i in range(N)]
    people = Resampling(np.arange(N) // 3, 40, 0)
    (row,) = realism(asked, edits, sets, real, truths, {"level": level}, people)
    return row


def test_realism_is_the_distance_to_real_images_that_have_the_target() -> None:
    right, nothing = of_realism(0.6), of_realism(0.3)
    assert right["n"] == {"edits": N, "patients": 4, "real": N} and right["change"] == "diagnosis=ill"
    assert right["value"] < 0.1 * right["original"] and right["ci"][1] < right["original"]
    assert nothing["value"] == pytest.approx(nothing["original"], rel=0.2)


def visits(made: float) -> dict[str, Any] | None:
    """Three patients at 70 (0.3) and 80 (0.5, a brighter half), one who never came again, edited to 80."""
    half = np.zeros((SIDE, SIDE, 1))
    half[:, : SIDE // 2] = 0.2
    first, table = scans(np.full(4, 0.3), 3), []
    last = (first[:3] + half).clip(0, 1)
    for i in range(4):
        table.append({"age": 70.0 + i, "diagnosis": "well"})
    table += [{"age": 80.4 + i, "diagnosis": "well"} for i in range(3)]
    real = ImageSet(np.concatenate([first, last]), [f"p{i}" for i in (0, 1, 2, 3, 0, 1, 2)], attributes=pd.DataFrame(table))
    sets = {"original": ImageSet(first), "counterfactual": ImageSet((first + made * half).clip(0, 1))}
    records = [{"patient": f"p{i}", "attributes": table[i], "changes": {"age": 80.0 + i}} for i in range(4)]
    edits = [{"name": str(i), "record": record} for i, record in enumerate(records)]
    return follow_ups(edits, sets, real, SPEC, Resampling(np.arange(4), 40, 0))


@pytest.mark.parametrize("made", [0.0, 0.5, 1.0, -1.0])
def test_a_follow_up_tells_how_much_of_the_true_change_was_made(made: float) -> None:
    told = visits(made)
    assert told is not None and (told["n"], told["patients"]) == (3, 3)
    assert told["metrics"]["effect"]["value"] == pytest.approx(made, abs=1e-6)
    if made == 1.0:
        assert told["metrics"]["ssim"]["value"] == pytest.approx(1, abs=1e-6) and told["no_change"]["ssim"]["value"] < 0.99
    if made == 0.0:
        assert told["metrics"]["ssim"]["value"] == pytest.approx(told["no_change"]["ssim"]["value"])


def test_another_state_or_another_patient_is_no_follow_up() -> None:
    table = pd.DataFrame([{"age": 70.0, "diagnosis": "well"}, {"age": 80.0, "diagnosis": "ill"}])
    images = scans(np.full(2, 0.3), 4)
    real, sets = (
        ImageSet(images, ["p0", "p0"], attributes=table),
        {"original": ImageSet(images[:1]), "counterfactual": ImageSet(images[:1])},
    )
    people = Resampling(np.arange(1), 10, 0)

    def found(patient: str | None, **changes: Any) -> bool:
        record = {"patient": patient, "attributes": dict(table.iloc[0]), "changes": changes}
        return follow_ups([{"name": "0", "record": record}], sets, real, SPEC, people) is not None

    assert found("p0", age=80.5, diagnosis="ill") and not found("p0", age=80.5)  # was ill by then
    assert not found("p0", age=83.0, diagnosis="ill") and not found("p1", age=80.0, diagnosis="ill")
    assert not found(None, age=80.0, diagnosis="ill") and not found("p0", diagnosis="well")

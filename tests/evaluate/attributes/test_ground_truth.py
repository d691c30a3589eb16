"""What a counterfactual should have been: closed forms, and phantoms whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.data.phantom import phantom_brain
from latentdrift.errors import InputError
from latentdrift.evaluate.attributes.ground_truth import (
    against_truth,
    against_visit,
    baselines,
    effect,
    tissue_fraction,
)

RNG = np.random.default_rng(0)
ORIGINAL = RNG.uniform(0.2, 0.6, (3, 32, 32))
TRUE = ORIGINAL.copy()
TRUE[:, 10:20, 10:20] += 0.3


def brain(subject: int, age: float, diagnosis: str = "no dementia") -> tuple[np.ndarray, float]:
    attributes = phantom_brain.BrainAttributes(age=age, sex="F", diagnosis=diagnosis)
    found = phantom_brain.render(subject, attributes, size=128)
    return (found - found.min()) / (found.max() - found.min()), phantom_brain.truth(
        subject, attributes
    )["brain_fraction"]


def test_the_true_counterfactual_has_the_best_scores_and_no_change_the_known_ones() -> None:
    perfect = against_truth(ORIGINAL, TRUE, TRUE)
    nothing = against_truth(ORIGINAL, ORIGINAL, TRUE)
    assert perfect["inside"] == pytest.approx(0) and perfect["outside"] == pytest.approx(0)
    assert perfect["effect"] == pytest.approx(1) and nothing["effect"] == pytest.approx(0)
    assert nothing["inside"] == pytest.approx(0.3) and nothing["untouched"] == pytest.approx(0.3)
    assert nothing["outside"] == pytest.approx(0)


def test_half_an_edit_the_wrong_way_and_a_change_elsewhere() -> None:
    half = ORIGINAL + (TRUE - ORIGINAL) / 2
    wrong = ORIGINAL - (TRUE - ORIGINAL)
    assert against_truth(ORIGINAL, half, TRUE)["effect"] == pytest.approx(0.5)
    assert against_truth(ORIGINAL, half, TRUE)["inside"] == pytest.approx(0.15)
    assert against_truth(ORIGINAL, wrong, TRUE)["effect"] == pytest.approx(-1)
    elsewhere = TRUE.copy()
    elsewhere[:, :4] += 0.1  # 4 of 32 rows, of which none is in the changed 100 of 1024 pixels
    scores = against_truth(ORIGINAL, elsewhere, TRUE)
    assert scores["outside"] == pytest.approx(0.1 * 128 / 924) and scores[
        "inside"
    ] == pytest.approx(0)
    assert scores["effect"] == pytest.approx(
        1
    )  # where the truth does not change, nothing is regressed on
    assert np.isnan(effect(ORIGINAL, TRUE, ORIGINAL)).all()


def test_differences_show_what_similarity_hides() -> None:
    first = np.repeat(RNG.uniform(0.2, 0.6, (2, 48, 48))[..., None], 3, -1)
    last = first.copy()
    last[:, 20:28, 20:28] += 0.05
    nothing = against_visit(first, first, last)
    right = against_visit(first, last, last)
    assert nothing["ssim"].min() > 0.98 and right["difference_ssim"] == pytest.approx(1)
    assert (
        right["difference_ssim"] - nothing["difference_ssim"] > right["ssim"] - nothing["ssim"]
    ).all()
    assert right["effect"] == pytest.approx(1) and np.isinf(right["psnr"]).all()


def test_the_mean_change_is_that_of_the_training_patients() -> None:
    change = np.zeros((2, 32, 32))
    change[0, :8], change[1, :8] = 0.1, 0.3
    found = baselines(ORIGINAL, np.zeros((2, 32, 32)), change)
    assert np.array_equal(found["no change"], ORIGINAL)
    assert (found["mean change"] - ORIGINAL)[:, :8] == pytest.approx(0.2) and (
        found["mean change"] - ORIGINAL
    )[:, 8:].max() == 0


def test_tissue_follows_the_phantoms_own_brain_volume() -> None:
    seen, true = zip(
        *[brain(subject, age) for subject in range(8) for age in (60.0, 75.0, 90.0)], strict=True
    )
    found = tissue_fraction(np.stack(seen))
    assert np.corrcoef(found, true)[0, 1] > 0.8
    assert (np.diff(found.reshape(8, 3), axis=1) < 0).all()  # of one subject, the older has less
    ill, well = (
        tissue_fraction(np.stack([brain(s, 75, what)[0] for s in range(4)]))
        for what in ("dementia", "no dementia")
    )
    assert (ill < well).all()


def test_what_has_no_head_has_no_tissue_and_odd_shapes_are_refused() -> None:
    assert np.isnan(tissue_fraction(np.zeros((1, 16, 16)))).all()
    with pytest.raises(InputError, match=r"\[N, H, W\] or \[N, H, W, 3\]"):
        tissue_fraction(np.zeros((16, 16)))

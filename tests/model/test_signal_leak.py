"""Signal leak: delta in closed form, and its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gaussian import channels, randn

from latentdrift.errors import CohortError, OptionError
from latentdrift.model.signal_leak import estimate
from latentdrift.resampling import Resampling


def test_delta_is_the_leaked_signal_within_its_interval() -> None:
    patients = 200
    truth = torch.tensor([-0.6, 0.8, 0.0, 0.3], dtype=torch.float64)
    a = 0.076
    means = truth + 0.5 * randn(patients, 4, seed=3)
    delta, interval = estimate(means, a)
    for value, (low, high), true in zip(delta, interval, truth.tolist(), strict=True):
        assert (
            value == pytest.approx(a * true, abs=4 * a * 0.5 / math.sqrt(patients))
            and low < a * true < high
        )


def test_visits_of_one_patient_are_no_new_evidence() -> None:
    per_patient = randn(50, 4, seed=4)
    visits = 9
    repeated = per_patient.repeat_interleave(visits, 0)
    names = [patient for patient in range(50) for _ in range(visits)]
    delta, interval = estimate(repeated, 0.07, groups=names)
    once_delta, once = estimate(per_patient, 0.07)
    assert delta == pytest.approx(once_delta) and np.allclose(interval, once)
    _, alone = estimate(repeated, 0.07)
    assert np.diff(interval).mean() == pytest.approx(
        math.sqrt(visits) * np.diff(alone).mean(), rel=0.15
    )


def test_the_interval_of_the_mean_is_that_of_the_normal() -> None:
    means = randn(400, 4, seed=5)
    _, interval = estimate(
        means, 1.0, groups=[f"p{i}" for i in range(400)], resampling=Resampling(2000)
    )
    assert np.diff(interval).mean() == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.08)


def test_estimate_is_the_mean_latent_times_the_leaked_signal() -> None:
    """Latents of known mean: a m lies in the interval, which has the width of the standard
    error."""
    m = channels(-0.6, 0.0, 0.3, 0.2)
    sd = 0.5
    n = 200
    a_t0 = 0.076
    per_image = m + sd * randn(n, 4, 1, 1, seed=3)
    delta, interval = estimate(per_image.expand(n, 4, 8, 8), a_t0)
    assert delta == pytest.approx((per_image.mean(0).flatten() * a_t0).tolist(), abs=1e-12)
    for truth, (low, high) in zip((m * a_t0).flatten().tolist(), interval, strict=True):
        assert low < truth < high
        assert high - low == pytest.approx(2 * 1.96 * a_t0 * sd / math.sqrt(n), rel=0.2)
    assert estimate(per_image.flatten(1), a_t0)[0] == pytest.approx(delta)
    assert estimate(per_image, a_t0) == estimate(per_image, a_t0)


@pytest.mark.parametrize("a_t0", [0.0, float("nan")])
def test_estimate_without_leaked_signal_is_refused(a_t0: float) -> None:
    with pytest.raises(OptionError, match="zero terminal SNR"):
        estimate(randn(10, 4), a_t0)


@pytest.mark.parametrize("means", [torch.zeros(1, 4), torch.full((3, 4), float("nan"))])
def test_estimate_needs_images(means: torch.Tensor) -> None:
    with pytest.raises(CohortError, match="at least two images with finite latents"):
        estimate(means, 0.07)

"""Copy slope: known slopes are inside their intervals, and few images are no evidence."""

from __future__ import annotations

from itertools import pairwise

import pytest
from gaussian import gaussian, randn, sd_schedule

from latentdrift.adapt.training.setup.copy_slope import CopySlope, copy_slope
from latentdrift.errors import InputError
from latentdrift.sample.samplers import first_time, run


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_copy_slope_of_the_exact_denoiser(kind: str) -> None:
    schedule = sd_schedule(kind)
    steps = 20
    std = 0.05
    n = 8
    starts = randn(n, 4, 8, 8, seed=6)
    x0 = run(gaussian(schedule, -0.5, std), schedule, "ddim", steps, starts, None, [])
    a_t0 = float(schedule.a(first_time("ddim", schedule, steps)))
    found = copy_slope(starts.mean((2, 3)), x0.mean((2, 3)), a_t0)
    # DDIM of a Gaussian is linear: (y' - a' m) = (y - a m) (a' g + s' (1 - a g) / s), g = a std^2 /
    # (a^2 std^2 + s^2)
    expected = 1.0
    times = [*schedule.timesteps(steps).tolist(), 0]
    for t, after in pairwise(times):
        a, s, a_next, s_next = (
            float(x) for x in (schedule.a(t), schedule.s(t), schedule.a(after), schedule.s(after))
        )
        g = a * std**2 / (a**2 * std**2 + s**2)
        expected *= a_next * g + s_next * (1 - a * g) / s
    assert found.slope == pytest.approx([expected] * 4, rel=0.02)
    assert found.r2 == pytest.approx([1] * 4) and found.full == pytest.approx(1 / a_t0)
    assert (
        max(found.share) < 0.1 and "almost no effect" in found.sentence
    )  # its data are narrow: every start leads to one picture


def test_copy_slope_of_a_line_with_scatter_is_inside_its_interval() -> None:
    starts = randn(200, 4, seed=7)
    scatter = randn(200, 4, seed=8)
    found = copy_slope(starts, 0.3 + 6.0 * starts + 2.0 * scatter, 0.076)
    assert all(low < 6 < high for low, high in found.interval)
    assert found.r2 == pytest.approx([36 / 40] * 4, abs=0.05)  # slope^2 / (slope^2 + scatter^2)
    assert (
        "copied" in found.sentence
        and "46% of a full copy, in channel 1"
        in CopySlope((0.2, 6.0), ((0, 1), (5, 7)), (0.9, 0.9), 13.0, 32).sentence
    )


def test_the_slope_that_is_named_is_one_that_is_clear() -> None:
    """Channel 1 is steepest and scatters from below 0; channel 0 is a line."""
    words = CopySlope((5.0, 9.0), ((4.0, 6.0), (-6.0, 24.0)), (0.99, 0.7), 5.0, 4).sentence
    assert "copied" in words and "100% of a full copy, in channel 0" in words


def test_too_few_images_are_no_evidence_of_no_copying() -> None:
    assert (
        "too few" in CopySlope((0.5, 9.0), ((-4.0, 5.0), (-6.0, 24.0)), (0.1, 0.7), 5.0, 4).sentence
    )
    assert (
        "No copying"
        in CopySlope((0.5, 0.1), ((-1.0, 2.0), (-0.5, 0.7)), (0.1, 0.1), 5.0, 40).sentence
    )


def test_no_slope_is_said_to_be_none() -> None:
    assert "No copying" in copy_slope(randn(50, 4, seed=9), randn(50, 4, seed=10), 0.076).sentence
    with pytest.raises(InputError, match="three images"):
        copy_slope(randn(2, 4), randn(2, 4), 0.076)

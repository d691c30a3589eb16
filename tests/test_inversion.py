"""Inversion and sampling are inverse to each other, with and without drift."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gaussian import channels, gaussian, randn, sd_schedule

from latentdrift.edit.inversion import ddim_inversion
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.schedule import Denoiser, Schedule
from latentdrift.sample.samplers import run

DELTA = (0.1, -0.05, 0.2, 0.0)
KINDS = ["epsilon", "v_prediction"]


def there_and_back(
    denoiser: Denoiser, schedule: Schedule, x0: torch.Tensor, steps: int, depth: int, context: object = None, **options: int
) -> torch.Tensor:
    xt = ddim_inversion(denoiser, schedule, x0, context, steps, depth, **options)
    return run(denoiser, schedule, "ddim", steps, xt, context, [], start_index=steps - depth)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_refined_far_enough_it_is_the_exact_inverse(kind: str, end: bool, spacing: str) -> None:
    schedule, x0 = sd_schedule(kind, set_alpha_to_one=end, timestep_spacing=spacing), -0.5 + 0.35 * randn(2, 4, 8, 8)
    for depth in (1, 12, 20):
        back = there_and_back(gaussian(schedule), schedule, x0, 20, depth, refine=60)
        assert (back - x0).abs().max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_error_falls_with_steps_and_with_refinement(kind: str) -> None:
    schedule, x0 = sd_schedule(kind), -0.5 + 0.35 * randn(2, 4, 8, 8)

    def error(steps: int, refine: int) -> float:
        return (there_and_back(gaussian(schedule), schedule, x0, steps, steps, refine=refine) - x0).abs().max().item()

    by_steps = [error(steps, 2) for steps in (10, 25, 50, 100)]
    assert by_steps == sorted(by_steps, reverse=True) and by_steps[-1] < by_steps[0] / 20
    by_refinement = [error(50, refine) for refine in (1, 2, 4, 8)]
    assert by_refinement == sorted(by_refinement, reverse=True) and by_refinement[-1] < by_refinement[0] / 50


def test_inverted_data_is_unit_noise() -> None:
    """The exact flow takes N(m, std^2) to N(a m, a^2 std^2 + s^2), element by element along the same quantile."""
    schedule, steps, unit = sd_schedule(), 250, randn(1, 4, 32, 32)
    xT = ddim_inversion(gaussian(schedule, 0.4, 0.5), schedule, 0.4 + 0.5 * unit, None, steps, steps)
    a, s = schedule.scales(schedule.timesteps(steps)[0], unit)
    expected = a * 0.4 + (a**2 * 0.5**2 + s**2).sqrt() * unit
    assert (xT - expected).abs().max() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_drift_changes_neither_the_inverse_nor_the_reconstruction(kind: str) -> None:
    schedule, x0 = sd_schedule(kind), -0.5 + 0.35 * randn(2, 4, 8, 8)
    drifted = Drift.of(DELTA).wrap(gaussian(schedule, delta=channels(*DELTA)), schedule)
    plain = gaussian(schedule)
    latents = [ddim_inversion(denoiser, schedule, x0, None, 20, 12) for denoiser in (drifted, plain)]
    assert torch.allclose(*latents, atol=1e-9)
    errors = [there_and_back(denoiser, schedule, x0, 20, 12) - x0 for denoiser in (drifted, plain)]
    assert torch.allclose(*errors, atol=1e-9)
    bare = ddim_inversion(gaussian(schedule, delta=channels(*DELTA)), schedule, x0, None, 20, 12)
    assert not torch.allclose(bare, latents[1], atol=1e-3)  # the wrapper is needed


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_comes_back_to_the_image(kind: str, tiny_base_folder: Path, tiny_v_folder: Path) -> None:
    base = Base.load(tiny_base_folder if kind == "epsilon" else tiny_v_folder, device="cpu", precision="fp32")
    x0, context = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), base.embed(["a brain MRI"])
    errors = [
        (there_and_back(base.denoiser(), base.schedule, x0, steps, round(0.6 * steps), context) - x0).abs().max().item()
        for steps in (10, 25, 50)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.01

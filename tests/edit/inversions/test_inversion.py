"""Inversion and sampling are inverse to each other, with and without drift."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gaussian import channels, gaussian, randn, sd_schedule
from gaussian_inversions import error, task

from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.inversions.inversion import INVERSIONS, ddim_inversion
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.schedule import Denoiser, Schedule
from latentdrift.sample.samplers import run

DELTA = (0.1, -0.05, 0.2, 0.0)
KINDS = ["epsilon", "v_prediction"]


def there_and_back(
    denoiser: Denoiser,
    schedule: Schedule,
    x0: torch.Tensor,
    steps: int,
    depth: int,
    context: object = None,
    **options: int,
) -> torch.Tensor:
    xt = ddim_inversion(denoiser, schedule, x0, context, steps, depth, **options)
    return run(denoiser, schedule, "ddim", steps, xt, context, [], start_index=steps - depth)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_refined_far_enough_it_is_the_exact_inverse(kind: str, end: bool, spacing: str) -> None:
    schedule = sd_schedule(kind, set_alpha_to_one=end, timestep_spacing=spacing)
    x0 = -0.5 + 0.35 * randn(2, 4, 8, 8)
    for depth in (1, 12, 20):
        back = there_and_back(gaussian(schedule), schedule, x0, 20, depth, iterations=60)
        assert (back - x0).abs().max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_error_falls_with_steps_and_with_refinement(kind: str) -> None:
    schedule = sd_schedule(kind)
    x0 = -0.5 + 0.35 * randn(2, 4, 8, 8)

    def error(steps: int, iterations: int) -> float:
        back = there_and_back(gaussian(schedule), schedule, x0, steps, steps, iterations=iterations)
        return (back - x0).abs().max().item()

    by_steps = [error(steps, 2) for steps in (10, 25, 50, 100)]
    assert by_steps == sorted(by_steps, reverse=True) and by_steps[-1] < by_steps[0] / 20
    by_refinement = [error(50, iterations) for iterations in (1, 2, 4, 8)]
    assert (
        by_refinement == sorted(by_refinement, reverse=True)
        and by_refinement[-1] < by_refinement[0] / 50
    )


@pytest.mark.parametrize("kind", KINDS)
def test_iterations_go_where_the_residual_asks_for_them(kind: str) -> None:
    """Fewer calls than two at every step, and a smaller error."""
    schedule = sd_schedule(kind)
    x0 = -0.5 + 0.35 * randn(2, 4, 8, 8)
    network = gaussian(schedule)
    times: list[int] = []

    def counting(xt: torch.Tensor, t: torch.Tensor, context: object) -> torch.Tensor:
        times.append(int(t))
        return network(xt, t, context)

    def error(**options: int) -> float:
        times.clear()
        xt = ddim_inversion(counting, schedule, x0, None, 50, 30, **options)
        back = run(network, schedule, "ddim", 50, xt, None, [], start_index=20)
        return (back - x0).pow(2).mean().sqrt().item()

    twice = error(iterations=2)
    assert len(times) == 61
    adaptive = error()
    assert len(times) < 45 and adaptive < twice
    assert times.count(times[0]) > times.count(times[-1]) == 1


def test_an_image_that_settles_late_decides_for_its_batch() -> None:
    """The inverse of an image holds the tolerance, whatever is inverted beside it."""
    schedule = sd_schedule()
    calm = torch.full((1, 4, 8, 8), -0.5, dtype=torch.float64)
    restless = -0.5 + 3 * randn(1, 4, 8, 8)
    network = gaussian(schedule)
    together = there_and_back(network, schedule, torch.cat([calm, restless]), 20, 12)
    alone = there_and_back(network, schedule, restless, 20, 12)
    assert torch.allclose(together[1:], alone, atol=1e-12)


def test_inverted_data_is_unit_noise() -> None:
    """The exact flow takes N(m, std^2) to N(a m, a^2 std^2 + s^2), element by element along the
    same quantile."""
    schedule = sd_schedule()
    steps = 250
    unit = randn(1, 4, 32, 32)
    xT = ddim_inversion(
        gaussian(schedule, 0.4, 0.5), schedule, 0.4 + 0.5 * unit, None, steps, steps
    )
    a, s = schedule.scales(schedule.timesteps(steps)[0], unit)
    expected = a * 0.4 + (a**2 * 0.5**2 + s**2).sqrt() * unit
    assert (xT - expected).abs().max() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_drift_changes_neither_the_inverse_nor_the_reconstruction(kind: str) -> None:
    schedule = sd_schedule(kind)
    x0 = -0.5 + 0.35 * randn(2, 4, 8, 8)
    drifted = Drift.of(DELTA).wrap(gaussian(schedule, delta=channels(*DELTA)), schedule)
    plain = gaussian(schedule)
    latents = [
        ddim_inversion(denoiser, schedule, x0, None, 20, 12) for denoiser in (drifted, plain)
    ]
    assert torch.allclose(*latents, atol=1e-9)
    errors = [there_and_back(denoiser, schedule, x0, 20, 12) - x0 for denoiser in (drifted, plain)]
    assert torch.allclose(*errors, atol=1e-9)
    bare = ddim_inversion(gaussian(schedule, delta=channels(*DELTA)), schedule, x0, None, 20, 12)
    assert not torch.allclose(bare, latents[1], atol=1e-3)  # the wrapper is needed


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_comes_back_to_the_image(
    kind: str, tiny_base_folder: Path, tiny_v_folder: Path
) -> None:
    base = Base.load(
        tiny_base_folder if kind == "epsilon" else tiny_v_folder, device="cpu", precision="fp32"
    )
    x0 = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    context = base.embed(["a brain MRI"])

    def error(steps: int, **options: int) -> float:
        depth = round(0.6 * steps)
        back = there_and_back(base.denoiser(), base.schedule, x0, steps, depth, context, **options)
        return (back - x0).abs().max().item()

    assert max(error(steps) for steps in (10, 25, 50)) < 0.01
    errors = [error(steps, iterations=2) for steps in (10, 25, 50)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("drifted", [False, True])
def test_each_inversion_comes_back_as_far_as_it_says(kind: str, drifted: bool) -> None:
    errors = {name: error(task(kind, drifted=drifted), name) for name in INVERSIONS}
    assert errors["edit-friendly"] < 1e-12  # by construction
    assert errors["direct"] < 1e-12
    assert (
        errors["negative-prompt"] < errors["regularised"] < errors["ddim"] / 10
    )  # what its noise costs
    assert errors["null-text"] < errors["ddim"] / 5
    asked = task(
        kind, drifted=drifted
    )  # guided by w = 3 away from the empty prompt, the mean moves by 2 of the 0.3 between them
    a, s = asked.schedule.scales(asked.times[0], asked.x0)
    kept = a * 0.35 / (a**2 * 0.35**2 + s**2).sqrt()  # of the start, by DDIM's flow
    assert errors["ddim"] == pytest.approx(2 * 0.3 * (1 - kept).item(), rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_error_falls_with_the_order_of_the_method(kind: str) -> None:
    """A start extrapolated from two steps and one iteration leave a third-order error per step:
    twice the steps make a quarter of it over a trajectory."""
    few, many = (error(task(kind, steps=steps), "negative-prompt") for steps in (40, 160))
    assert few / many > 12  # 16 in the limit of order two
    exact = [error(task(kind, steps=steps), "edit-friendly") for steps in (5, 50)]
    assert max(exact) < 1e-12  # at any number of steps


@pytest.mark.parametrize("kind", KINDS)
def test_drift_changes_no_inversion(kind: str) -> None:
    for name, row in INVERSIONS.items():
        plain, drifted = (
            row.invert(task(kind, drifted=drifted)).tensors() for drifted in (False, True)
        )
        assert plain.keys() == drifted.keys()
        for part in plain:
            assert torch.allclose(plain[part], drifted[part], atol=1e-6), (name, part)


@pytest.mark.parametrize("name", INVERSIONS)
def test_what_the_source_is_changed_to_shapes_no_inversion(name: str) -> None:
    one, other = (
        INVERSIONS[name].invert(task(target=torch.tensor([value]))).tensors()
        for value in (9.0, -1.0)
    )
    assert all(torch.equal(one[part], other[part]) for part in one)


@pytest.mark.parametrize(
    ("option", "change"),
    [
        ("strength", {"strength": 0.4}),
        ("iterations", {"spec": EditSpec(iterations=1)}),
        ("steps", {"steps": 20}),
        ("guidance", {"guidance": 1.5}),
        ("seed", {"generator": torch.Generator().manual_seed(1)}),
    ],
)
@pytest.mark.parametrize("name", INVERSIONS)
def test_an_inversion_is_shaped_by_the_options_that_its_row_names(
    name: str, option: str, change: dict
) -> None:
    one, other = (INVERSIONS[name].invert(task(**given)).tensors() for given in ({}, change))
    same = all(
        one[part].shape == other[part].shape and torch.equal(one[part], other[part]) for part in one
    )
    assert same == (option not in INVERSIONS[name].options)


@pytest.mark.parametrize("steps", [5, 50])
def test_direct_inversion_takes_one_call_a_step_and_one_to_begin(steps: int) -> None:
    calls: list[int] = []
    plain = task(steps=steps)

    def counting(xt: torch.Tensor, t: torch.Tensor, context: object) -> torch.Tensor:
        calls.append(int(t))
        return plain.denoiser(xt, t, context)

    asked = task(steps=steps, denoiser=counting)
    inverted = INVERSIONS["direct"].invert(asked)
    assert len(calls) == asked.depth + 1
    assert torch.equal(asked.reconstruction(inverted), asked.x0)
    assert len(calls) == asked.depth + 1  # an exact reconstruction asks nothing of the network
    walked = asked.along(asked.reconstructs(inverted.references), inverted)
    assert (walked - asked.x0).abs().max() < 1e-12


def test_direct_inversion_tends_to_the_inverse_of_the_flow() -> None:
    """Away from the image its corrections are of the third order in the step: twice the steps, an
    eighth of each."""

    def parts(steps: int) -> tuple[float, float]:
        asked = task(steps=steps)
        inverted = INVERSIONS["direct"].invert(asked)
        exact = ddim_inversion(
            *(asked.denoiser, asked.schedule, asked.x0, asked.source, steps, asked.depth),
            iterations=60,
        )
        largest = inverted.corrections[: steps // 2].abs().max().item()
        return largest, (inverted.xt - exact).abs().max().item()

    (few, far), (many, near) = parts(100), parts(200)
    assert few / many == pytest.approx(8, rel=0.2)
    assert near < far / 2


def test_without_a_change_direct_inversion_changes_nothing_at_any_guidance() -> None:
    plain = task(guidance=7.5)
    asked = replace(plain, target=plain.source)
    inverted = INVERSIONS["direct"].invert(asked)
    unchanged = asked.along(asked.changes(inverted.references), inverted)
    assert (unchanged - asked.x0).abs().max() < 1e-12


def test_edit_friendly_noise_is_of_its_own_at_each_step() -> None:
    """Independent noises: what one step's residual adds, the next one's takes away."""
    asked = task(x0=-0.2 + 0.35 * randn(1, 4, 32, 32))
    residuals = INVERSIONS["edit-friendly"].invert(asked).residuals
    following = torch.corrcoef(torch.stack([residuals[10].flatten(), residuals[11].flatten()]))[
        0, 1
    ]
    assert following < -0.3  # (Huberman-Spiegelglas et al. 2024, section 3)


def test_edit_friendly_refuses_a_start_without_signal() -> None:
    schedule = sd_schedule("v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    asked = task(schedule=schedule, denoiser=gaussian(schedule), strength=1.0)
    with pytest.raises(OptionError, match="below 1"):
        INVERSIONS["edit-friendly"].invert(asked)
    assert (
        error(task(schedule=schedule, denoiser=gaussian(schedule), strength=0.9), "edit-friendly")
        < 1e-12
    )

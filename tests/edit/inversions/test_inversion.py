"""Inversion and sampling are inverse to each other, with and without drift."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gaussian import channels, gaussian, randn, sd_schedule

from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.core.task import Task
from latentdrift.edit.inversions import noise_regularization
from latentdrift.edit.inversions.inversion import INVERSIONS, ddim_inversion, ddim_trajectory
from latentdrift.edit.inversions.noise_regularization import correlation, divergence, regularised
from latentdrift.edit.inversions.null_text import null_text
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
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
        back = there_and_back(gaussian(schedule), schedule, x0, 20, depth, refine=60)
        assert (back - x0).abs().max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_error_falls_with_steps_and_with_refinement(kind: str) -> None:
    schedule = sd_schedule(kind)
    x0 = -0.5 + 0.35 * randn(2, 4, 8, 8)

    def error(steps: int, refine: int) -> float:
        return (
            (there_and_back(gaussian(schedule), schedule, x0, steps, steps, refine=refine) - x0)
            .abs()
            .max()
            .item()
        )

    by_steps = [error(steps, 2) for steps in (10, 25, 50, 100)]
    assert by_steps == sorted(by_steps, reverse=True) and by_steps[-1] < by_steps[0] / 20
    by_refinement = [error(50, refine) for refine in (1, 2, 4, 8)]
    assert (
        by_refinement == sorted(by_refinement, reverse=True)
        and by_refinement[-1] < by_refinement[0] / 50
    )


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
    errors = [
        (
            there_and_back(base.denoiser(), base.schedule, x0, steps, round(0.6 * steps), context)
            - x0
        )
        .abs()
        .max()
        .item()
        for steps in (10, 25, 50)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.01


def task(
    kind: str = "epsilon", *, drifted: bool = False, source: float = 0.3, **options: object
) -> Task:
    """The prompt is a number that is added to the mean; the empty one's is 0."""
    schedule = sd_schedule(kind)
    network = gaussian(schedule, delta=channels(*DELTA) if drifted else 0.0)
    network = Drift.of(DELTA).wrap(network, schedule) if drifted else network
    contexts = {
        name: Conditioning(torch.tensor([value], dtype=torch.float64))
        for name, value in (("source", source), ("empty", 0.0))
    }
    values = {
        "denoiser": network,
        "changed": network,
        "schedule": schedule,
        "x0": -0.2 + 0.35 * randn(1, 4, 8, 8),
        "target": Conditioning(torch.tensor([9.0], dtype=torch.float64)),
        "strength": 0.8,
        "steps": 50,
        "guidance": 3.0,
        "generator": torch.Generator().manual_seed(0),
        "spec": EditSpec(),
        **contexts,
        **options,
    }
    return Task(**values)


def error(asked: Task, inversion: str) -> float:
    """Of the reconstruction, at the task's guidance."""
    found = INVERSIONS[inversion].invert(asked)
    back = asked.back(asked.reconstructs(found.references), found.xt, found.residuals)
    return (back - asked.x0).abs().max().item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("drifted", [False, True])
def test_each_inversion_comes_back_as_far_as_it_says(kind: str, drifted: bool) -> None:
    errors = {name: error(task(kind, drifted=drifted), name) for name in INVERSIONS}
    assert errors["edit-friendly"] < 1e-12  # by construction
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
    """Two fixed-point iterations leave a third-order error per step: twice the steps make a quarter
    of it over a trajectory."""
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


def test_null_text_finds_the_sources_own_prompt() -> None:
    """Guided away from r, the data has the mean w source + (1 - w) r: the image comes back where r
    is the source's prompt."""
    asked = task(steps=20, strength=1.0)
    path = ddim_trajectory(
        asked.denoiser, asked.schedule, asked.x0, asked.source, 20, 20, refine=20
    )
    found = null_text(asked, path, iterations=200).embeddings
    assert found.shape == (20,)
    # where the prompt still moves the step by more than what is enough
    assert (found - 0.3).abs()[-10:].max() < 0.05
    no_guidance = null_text(task(guidance=1.0), path)
    assert no_guidance.equals(asked.empty)


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


def test_regularised_noise_is_nearer_to_white_with_each_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of Stable Diffusion's size and with much structure, where a descent in steps too long would
    lead away."""
    white = randn(1, 4, 64, 64)
    ramp = torch.linspace(-1, 1, 64, dtype=torch.float64)
    for structured in (0.7 * white + 0.8 * ramp + 0.3, 0.7 * white + 1.0):
        left = []
        for rounds in (0, 1, 2, 5, 20):
            monkeypatch.setattr(noise_regularization, "ROUNDS", rounds)
            made = regularised(structured)
            left.append((correlation(made) + divergence(made)).item())
        assert left == sorted(left, reverse=True)
    assert (regularised(white) - white).pow(2).mean() < 1e-3 * (made - structured).pow(
        2
    ).mean()  # which has nothing to lose


def test_regularised_noise_is_moved_alike_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the same noise have its mean and variance, so that each number moves as far as in
    one."""
    monkeypatch.setattr(noise_regularization, "CORRELATION", 0.0)
    eps = 0.6 * randn(1, 4, 8, 8) + 0.2
    assert torch.allclose(
        regularised(eps.repeat(1, 1, 2, 2)), regularised(eps).repeat(1, 1, 2, 2), atol=1e-3
    )  # n - 1 and n


def test_an_image_of_structure_has_a_noise_of_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """What regularisation costs the way back, it gives the noise; without a round it is the plain
    inversion."""
    ramp = torch.linspace(-1, 1, 32, dtype=torch.float64)
    asked = task(x0=-0.2 + 0.35 * (0.7 * randn(1, 4, 32, 32) + 0.8 * ramp), steps=20)
    plain = INVERSIONS["negative-prompt"].invert(asked)
    errors = []
    left = []
    for rounds in (0, 1, 5):
        monkeypatch.setattr(noise_regularization, "ROUNDS", rounds)
        found = INVERSIONS["regularised"].invert(asked)
        assert torch.equal(found.xt, plain.xt) == (rounds == 0)
        errors.append(error(asked, "regularised"))
        left.append(correlation(found.xt).item())
    assert errors == sorted(errors) and left == sorted(left, reverse=True)


def test_regularisation_is_centred_on_the_drift() -> None:
    """The wrapped network's noise has mean 0; the bare one's has the mean delta, which the same
    terms would take out."""
    white = randn(1, 4, 16, 16)
    white = (white - white.mean()) / white.std()
    bare = regularised(white + 0.5).mean()
    assert (
        bare
        < 0.5
        * (1 - 2 * noise_regularization.DIVERGENCE / noise_regularization.THEIRS)
        ** noise_regularization.ROUNDS
        + 1e-6
    )  # the mean's own descent
    assert abs(regularised(white).mean()) < 1e-3 * bare


def test_what_regularises_noise_in_closed_form() -> None:
    """A constant is correlated with itself moved by c^4 at every level, a sign that alternates at
    the finest alone."""
    flat = torch.full((1, 4, 16, 16), 0.5, dtype=torch.float64)
    assert correlation(flat).item() == pytest.approx(
        2 * 2 * 4 * 0.5**4
    )  # levels of 16 and 8, rows and columns, channels
    striped = torch.ones(1, 4, 16, 16, dtype=torch.float64)
    striped[..., ::2] = -1.0
    assert correlation(striped).item() == pytest.approx(2 * 4)
    eps = randn(1, 4, 16, 16, seed=5)
    eps = 0.3 + 1.5 * (eps - eps.mean()) / eps.std()
    assert divergence(eps).item() == pytest.approx(1.5**2 + 0.3**2 - 1 - math.log(1.5**2), abs=1e-6)


def test_null_text_follows_the_path_from_its_noisiest_end() -> None:
    """The first latent that the network sees is the path's last, at the first time of the way
    back."""
    asked = task(steps=10)
    path = ddim_trajectory(
        asked.denoiser, asked.schedule, asked.x0, asked.source, asked.steps, asked.depth
    )
    seen: list[tuple[torch.Tensor, int]] = []

    def watched(xt: torch.Tensor, t: torch.Tensor, said: Conditioning) -> torch.Tensor:
        seen.append((xt, int(t)))
        return asked.denoiser(xt, t, said)

    null_text(replace(asked, denoiser=watched), path, iterations=1)
    assert torch.equal(seen[0][0], path[-1]) and seen[0][1] == asked.times[0]

"""Every editor against data of known mean: the prompt is the mean, so the true counterfactual is
known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from gaussian import gaussian, randn, sd_schedule
from gaussian_edits import number, task

from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.editors.editors import EDITORS, Task
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.errors import OptionError
from latentdrift.model.conditioning import Conditioning

KINDS = ["epsilon", "v_prediction"]
BY_PROMPTS = [name for name, row in EDITORS.items() if not row.takes_instruction]
UNIT = randn(1, 4, 16, 16)
STD = 0.2


def edited(
    editor: str, asked: Task, inversion: str | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(reconstruction, counterfactual) by an editor, from the inversion that it takes."""
    row = EDITORS[editor]
    if name := row.inversion(inversion):
        asked = replace(asked, inversion=INVERSIONS[name].invert(asked))
    return row.edit(asked)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_full_strength_moves_the_mean_to_the_targets(editor: str, kind: str) -> None:
    reconstruction, counterfactual = edited(editor, task(kind))
    assert reconstruction.mean().item() == pytest.approx(0.0, abs=0.02)
    assert (counterfactual - reconstruction).mean().item() == pytest.approx(0.5, abs=0.05)


def change(editor: str, **options: object) -> float:
    """Of the mean."""
    reconstruction, counterfactual = edited(editor, task(**options))
    return (counterfactual - reconstruction).mean().item()


def expected(asked: Task, stochastic: bool) -> float:
    """The change in closed form, from one xt at the task's depth to the time 0 at which DDIM ends.

    With v = a^2 std^2 + s^2, the flow of DDIM keeps the quantile, (x_0 - a_0 m) / sqrt(v_0) = (x_t
    - a m) / sqrt(v); steps of DDPM with the same noise for both keep the conditional mean, E[x_0 |
        x_t] = a_0 m + Cov / v (x_t - a m), with the process's
    own Cov(x_0, x_t) = a_0 a std^2 + a / a_0 s_0^2 (Song et al. 2021, eq. 12; Ho et al. 2020, eq.
    6).
    """
    (a, s), (a_0, s_0) = (
        (part.item() for part in asked.schedule.scales(t, UNIT)) for t in (asked.times[0], 0)
    )
    v = a**2 * STD**2 + s**2
    v_0 = a_0**2 * STD**2 + s_0**2
    kept = (a_0 * a * STD**2 + a / a_0 * s_0**2) / v if stochastic else (v_0 / v) ** 0.5
    return 0.5 * (a_0 - a * kept)


BY_STRENGTH = [name for name in BY_PROMPTS if "strength" in EDITORS[name].options]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("editor", BY_STRENGTH)
def test_strength_changes_as_much_as_theory_says(editor: str, kind: str) -> None:
    """DDIM is a method of first order: twice the steps halve its error. Steps of DDPM are exact
    where the network is linear."""
    stochastic = EDITORS[editor].inversions == ("edit-friendly",)
    changes = []
    for strength in (0.1, 0.3, 0.6, 1.0):
        few, many = ({"strength": strength, "steps": steps, "kind": kind} for steps in (60, 120))
        one, other = (
            change(editor, **how) - expected(task(**how), stochastic) for how in (few, many)
        )
        assert max(abs(one), abs(other)) < 1e-6 if stochastic else 1.8 < one / other < 2.1
        changes.append(other + expected(task(**many), stochastic))
    assert changes == sorted(changes)


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_guidance_multiplies_the_change(editor: str) -> None:
    """The network is linear in the prompt, and guidance in the network."""
    plain, guided = (change(editor, guidance=w, strength=0.6) for w in (1.0, 2.5))
    assert guided == pytest.approx(2.5 * plain, rel=1e-9)


@pytest.mark.parametrize("editor", BY_PROMPTS)
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_no_change_is_the_reconstruction(editor: str, guidance: float) -> None:
    reconstruction, counterfactual = edited(
        editor, task(target=0.0, guidance=guidance, strength=0.6)
    )
    assert torch.allclose(reconstruction, counterfactual, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_wrapped_drift_edits_as_the_undrifted_model(editor: str, kind: str) -> None:
    for ours, plain in zip(
        edited(editor, task(kind, drifted=True, guidance=2.5, strength=0.6)),
        edited(editor, task(kind, guidance=2.5, strength=0.6)),
        strict=True,
    ):
        assert (ours - plain).abs().max() <= 1e-6


def test_inversion_keeps_the_image_and_noise_does_not() -> None:
    inverted, noised = (
        edited(editor, task(strength=0.6, steps=50))[0] for editor in ("ddim", "sdedit")
    )
    assert (inverted - STD * UNIT).abs().max() < 0.01
    assert (noised - STD * UNIT).abs().mean() > 0.05


def test_inversion_edits_the_same_anatomy() -> None:
    """Under a shifted mean the exact flow gives the same picture, shifted."""
    reconstruction, counterfactual = edited("ddim", task(steps=200))
    difference = counterfactual - reconstruction
    assert difference.std() < 0.01 * STD


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("editor", [name for name in BY_PROMPTS if EDITORS[name].inversions])
def test_an_inverted_image_comes_back_as_its_inversion_leads(editor: str, kind: str) -> None:
    """How far that is from the image is the inversion's affair, and no editor's."""
    asked = task(kind, strength=0.6, steps=50, guidance=3.0, empty=number(0.1))
    for inversion in EDITORS[editor].inversions:
        found = INVERSIONS[inversion].invert(asked)
        reconstruction, _ = edited(editor, asked, inversion)
        back = asked.along(asked.reconstructs(found.references), found)
        assert torch.allclose(reconstruction, back, atol=1e-12), inversion


@pytest.mark.parametrize("kind", KINDS)
def test_edit_friendly_noise_moves_the_picture_and_keeps_its_anatomy(kind: str) -> None:
    """With one noise for both, the two trajectories differ by a number at every step: the same
    picture, moved to the target."""
    reconstruction, counterfactual = edited("edit-friendly", task(kind))
    assert torch.allclose(reconstruction, STD * UNIT, atol=1e-12)
    difference = counterfactual - reconstruction
    assert difference.std() < 1e-10 and difference.mean().item() == pytest.approx(0.5, abs=0.02)


def split_network(schedule: object, delta: object = 0.0) -> object:
    """Data whose mean follows the context in the left half alone."""
    left = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    left[..., :8] = 1.0

    def denoise(xt: torch.Tensor, t: object, context: Conditioning) -> torch.Tensor:
        return gaussian(schedule, left * context.embeddings.reshape(-1, 1, 1, 1), STD, delta=delta)(
            xt, t, None
        )

    return denoise


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("editor", "keeps"), [("diffedit", 0.0), ("ledits", 1e-12)])
def test_a_change_stays_where_the_prompts_differ(editor: str, keeps: float, kind: str) -> None:
    network = split_network(sd_schedule(kind))
    spec = EditSpec(focus=0.5)
    reconstruction, counterfactual = edited(
        editor, task(kind, denoiser=network, changed=network, spec=spec)
    )
    difference = counterfactual - reconstruction
    assert difference[..., 8:].abs().max() <= keeps and difference[
        ..., :8
    ].mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_step_is_guided_away_from_its_own_reference(depth: int) -> None:
    seen = []

    def network(xt: torch.Tensor, t: object, said: Conditioning) -> torch.Tensor:
        seen.append(said.embeddings.tolist())
        return torch.zeros_like(xt)

    asked = task(steps=10, strength=depth / 10)
    references = number(*(step + 0.5 for step in range(depth)))
    asked.back(asked.under(network, 2.0, references, number(9.0)), UNIT)
    assert seen == [[step + 0.5, 9.0] for step in range(depth)]


def test_an_editor_that_inverts_says_when_there_is_no_inversion() -> None:
    with pytest.raises(OptionError, match="none was inverted"):
        EDITORS["ddim"].edit(task())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("editor", [name for name in BY_PROMPTS if "mask" in EDITORS[name].options])
def test_outside_of_a_mask_every_editor_keeps_the_source(editor: str, kind: str) -> None:
    """Places of these data are independent: inside, the edit is what it is without a mask."""
    inside = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    inside[..., :8] = 1.0
    free, held = (edited(editor, task(kind, guidance=2.0, inside=part)) for part in (None, inside))
    for without, made in zip(free, held, strict=True):
        assert torch.equal(made[..., 8:], (STD * UNIT)[..., 8:])
        assert torch.allclose(made[..., :8], without[..., :8], atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_that_is_half_goes_half_way(kind: str) -> None:
    half = torch.full((1, 1, 16, 16), 0.5, dtype=torch.float64)
    one, other = edited("ddim", task(kind, inside=half))
    assert 0.05 < (other - one).mean().item() < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_takes_part_with_drifted_noise(kind: str) -> None:
    inside = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    inside[..., 4:12] = 1.0
    plain, drifted = (
        edited("inpaint", task(kind, drifted=drifted, inside=inside))[1]
        for drifted in (False, True)
    )
    assert torch.allclose(plain, drifted, atol=1e-9)


D = 12
PARTS = 2
BRANCHES = {
    "sdedit": 4 * D,
    "ddim": 2 * D,
    "prompt-to-prompt": 3 * D,
    "null-text": 4 * D,
    "pix2pix-zero": 4 * D,
    "edit-friendly": 3 * D,
    "ledits": (2 + PARTS) * D,
    "inpaint": 4 * D,
    "diffedit": 3 * D + 20,
    "controlnet": 4 * D,
}


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_the_costs_that_the_docs_state(editor: str) -> None:
    network = gaussian(sd_schedule(), 0.0, STD)
    calls = []

    def counted(xt: torch.Tensor, t: object, context: object) -> torch.Tensor:
        calls.append(len(xt))
        return network(xt, t, context)

    asked = task(strength=0.6, steps=20, guidance=2.0, parts=(number(0.5), number(0.1))[:PARTS])
    row = EDITORS[editor]
    found = INVERSIONS[row.inversions[0]].invert(asked) if row.inversions else None
    row.edit(replace(asked, denoiser=counted, changed=counted, inversion=found))
    assert sum(calls) == BRANCHES[editor] and asked.depth == D

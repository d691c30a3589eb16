"""Every editor against data of known mean: the prompt is the mean, so the true counterfactual is known."""

from __future__ import annotations

import pytest
import torch
from gaussian import channels, gaussian, randn, sd_schedule

from latentdrift.edit.editors import EDITORS, Task
from latentdrift.model.drift import Drift

DELTA = (0.1, -0.05, 0.2, 0.0)
KINDS = ["epsilon", "v_prediction"]
BY_PROMPTS = [name for name, row in EDITORS.items() if not row.instructed]
UNIT = randn(1, 4, 16, 16)
STD = 0.2


def number(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def task(kind: str = "epsilon", *, target: float = 0.5, drifted: bool = False, **options: object) -> Task:
    """The source has mean 0; the context, a number, is added to it."""
    schedule = sd_schedule(kind)
    network = gaussian(schedule, 0.0, STD, delta=channels(*DELTA) if drifted else 0.0)
    values = {
        "denoiser": Drift.of(DELTA).wrap(network, schedule) if drifted else network,
        "changed": Drift.of(DELTA).wrap(network, schedule) if drifted else network,
        "schedule": schedule,
        "x0": STD * UNIT,
        "source": number(0.0),
        "target": number(target),
        "empty": number(0.0),
        "strength": 1.0,
        "steps": 100,
        "guidance": 1.0,
        "generator": torch.Generator().manual_seed(0),
        **options,
    }
    return Task(**values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_full_strength_moves_the_mean_to_the_targets(editor: str, kind: str) -> None:
    reconstruction, counterfactual = EDITORS[editor].edit(task(kind))
    assert reconstruction.mean().item() == pytest.approx(0.0, abs=0.02)
    assert (counterfactual - reconstruction).mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_less_strength_changes_less(editor: str) -> None:
    changes = []
    for strength in (0.1, 0.3, 0.6, 1.0):
        reconstruction, counterfactual = EDITORS[editor].edit(task(strength=strength))
        changes.append((counterfactual - reconstruction).mean().item())
    assert changes == sorted(changes) and changes[0] < 0.3 < 0.45 < changes[-1]


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_guidance_goes_further(editor: str) -> None:
    plain, guided = (EDITORS[editor].edit(task(guidance=w, strength=0.6))[1].mean().item() for w in (1.0, 2.5))
    assert guided > 1.5 * plain


@pytest.mark.parametrize("editor", BY_PROMPTS)
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_no_change_is_the_reconstruction(editor: str, guidance: float) -> None:
    reconstruction, counterfactual = EDITORS[editor].edit(task(target=0.0, guidance=guidance, strength=0.6))
    assert torch.allclose(reconstruction, counterfactual, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_wrapped_drift_edits_as_the_undrifted_model(editor: str, kind: str) -> None:
    for ours, plain in zip(
        EDITORS[editor].edit(task(kind, drifted=True, guidance=2.5, strength=0.6)),
        EDITORS[editor].edit(task(kind, guidance=2.5, strength=0.6)),
        strict=True,
    ):
        assert (ours - plain).abs().max() <= 1e-6


def test_inversion_keeps_the_image_and_noise_does_not() -> None:
    inverted, noised = (EDITORS[editor].edit(task(strength=0.6, steps=50))[0] for editor in ("ddim", "sdedit"))
    assert (inverted - STD * UNIT).abs().max() < 0.01
    assert (noised - STD * UNIT).abs().mean() > 0.05


def test_inversion_edits_the_same_anatomy() -> None:
    """Under a shifted mean the exact flow gives the same picture, shifted."""
    reconstruction, counterfactual = EDITORS["ddim"].edit(task(steps=200))
    difference = counterfactual - reconstruction
    assert difference.std() < 0.01 * STD


@pytest.mark.parametrize(("strength", "steps", "depth"), [(1.0, 50, 50), (0.6, 50, 30), (0.001, 50, 1), (0.5, 1, 1)])
def test_strength_is_a_share_of_the_steps(strength: float, steps: int, depth: int) -> None:
    assert task(strength=strength, steps=steps).depth == depth

"""Tasks: the share of the trajectory that an edit runs back, and inversions as tensors."""

from __future__ import annotations

import pytest
import torch
from gaussian_edits import task

from latentdrift.edit.core.task import Inverted
from latentdrift.errors import OptionError
from latentdrift.model.conditioning import Conditioning


@pytest.mark.parametrize(
    ("strength", "steps", "depth"), [(1.0, 50, 50), (0.6, 50, 30), (0.001, 50, 1), (0.5, 1, 1)]
)
def test_strength_is_a_share_of_the_steps(strength: float, steps: int, depth: int) -> None:
    assert task(strength=strength, steps=steps).depth == depth


def test_an_inversion_survives_as_tensors() -> None:
    references = Conditioning(torch.rand(3, 7, 8), pooled=torch.rand(3, 5))
    inversion = Inverted(torch.rand(1, 4, 8, 8), references, torch.rand(3, 4, 8, 8))
    tensors = inversion.tensors()
    assert set(tensors) == {"xt", "references", "references.pooled", "residuals"}
    back = Inverted.from_tensors(tensors)
    assert torch.equal(back.xt, inversion.xt) and torch.equal(back.residuals, inversion.residuals)
    assert back.references.equals(references)
    assert Inverted.from_tensors({"xt": tensors["xt"], "references": tensors["references"]})
    with pytest.raises(TypeError):
        Inverted.from_tensors({**tensors, "unknown": torch.zeros(1)})
    with pytest.raises(KeyError):
        Inverted.from_tensors({"xt": tensors["xt"]})


def test_a_task_without_inversion_or_start_says_so() -> None:
    with pytest.raises(OptionError, match="none was inverted"):
        _ = task(inversion=None).required_inversion
    with pytest.raises(OptionError, match="none was drawn"):
        _ = task(starts=None).required_starts


def test_the_source_with_noise_has_the_spread_of_its_time() -> None:
    """Mean a x0, standard deviation s (the forward process)."""
    one = task(x0=torch.full((1, 4, 64, 64), 2.0, dtype=torch.float64))
    a, s = one.schedule.scales(500, one.x0)
    noised = one.noised(500)
    assert noised.mean().item() == pytest.approx(2 * a.item(), abs=0.05)
    assert noised.std().item() == pytest.approx(s.item(), rel=0.03)


def test_guidance_moves_the_mean_by_w_times_the_difference_of_the_prompts() -> None:
    """DDIM back from noise, with the prompt as the mean: empty 0, target 0.5, w = 2."""
    one = task(target=0.5, guidance=2.0)
    plain = one.back(one.under(one.denoiser, 1.0, one.empty, one.source), one.x0)
    changed = one.back(one.changes(one.empty), one.x0)
    assert (changed - plain).mean().item() == pytest.approx(1.0, abs=0.03)

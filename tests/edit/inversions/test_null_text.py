"""Null-text inversion: the reference that leads back to the source is the source's own prompt."""

from __future__ import annotations

from dataclasses import replace

import torch
from gaussian_inversions import task

from latentdrift.edit.inversions.inversion import ddim_trajectory
from latentdrift.edit.inversions.null_text import null_text
from latentdrift.model.conditioning import Conditioning


def test_null_text_finds_the_sources_own_prompt() -> None:
    """Guided away from r, the data has the mean w source + (1 - w) r: the image comes back where r
    is the source's prompt."""
    asked = task(steps=20, strength=1.0)
    path = ddim_trajectory(
        asked.denoiser, asked.schedule, asked.x0, asked.source, 20, 20, iterations=20
    )
    found = null_text(asked, path, iterations=200).embeddings
    assert found.shape == (20,)
    # where the prompt still moves the step by more than what is enough
    assert (found - 0.3).abs()[-10:].max() < 0.05
    no_guidance = null_text(task(guidance=1.0), path)
    assert no_guidance.equals(asked.empty)


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

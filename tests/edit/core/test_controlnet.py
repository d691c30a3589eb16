"""Edits by a ControlNet: every call has the same hints, and both pictures the same noise."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from gaussian_edits import UNIT, task

from latentdrift.edit.core.controlnet import controlnet, hashes, with_hints
from latentdrift.errors import OptionError
from latentdrift.model.conditioning import Conditioning

HINTS = (torch.rand(3, 8, 8), torch.rand(3, 8, 8))
WORDS = Conditioning(torch.zeros(2, 1, 4))


def base(calls: list[Conditioning], controls: int) -> Any:
    """A base that notes the conditioning of every call."""

    def denoise(xt: torch.Tensor, t: object, conditioning: Conditioning) -> torch.Tensor:
        calls.append(conditioning)
        return xt

    return SimpleNamespace(controls=[None] * controls, denoiser=lambda: denoise)


def test_every_call_has_the_hints_once_per_image() -> None:
    calls: list[Conditioning] = []
    with_hints(base(calls, 2), HINTS)(torch.zeros(2, 4, 8, 8), 5, WORDS)
    (seen,) = calls
    assert [hint.shape for hint in seen.hints] == [(2, 3, 8, 8)] * 2
    for hint, given in zip(seen.hints, HINTS, strict=True):
        assert torch.equal(hint[0], given) and torch.equal(hint[1], given)
    assert torch.equal(seen.embeddings, WORDS.embeddings)


def test_each_controlnet_needs_a_hint() -> None:
    with pytest.raises(OptionError, match=r"2 hints were given .* with 1 ControlNets"):
        with_hints(base([], 1), HINTS)
    assert with_hints(base([], 0), ()) is not None


def test_hints_are_known_by_their_values() -> None:
    first = HINTS[0].numpy().tobytes()
    assert hashes(HINTS)[0] == hashlib.sha256(first).hexdigest()
    assert hashes([HINTS[0].transpose(1, 2)]) != hashes([HINTS[0]])


def test_the_prompts_alone_tell_the_two_pictures_apart() -> None:
    """Both start from the same noise, and the prompt is the mean of the data."""
    reconstruction, counterfactual = controlnet(task(target=0.5, starts=(UNIT, UNIT)))
    change = counterfactual - reconstruction
    assert change.mean().item() == pytest.approx(0.5, abs=0.02)
    assert change.std().item() < 1e-6

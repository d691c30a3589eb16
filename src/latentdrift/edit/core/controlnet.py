"""Hints in an edit: a network that is shown the same ones at every call, and an editor that draws
from them alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from latentdrift.edit.core.task import Task
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.schedule import Denoiser


def with_hints(base: Base, hints: Sequence[Tensor]) -> Denoiser:
    """The base's network, whose ControlNets have their hints already: every editor calls it as it
    calls one without any.

    Args:
        base: Base with its ControlNets.
        hints: [3, R, R] in [0, 1], one for each, in the stack's order.

    Raises:
        OptionError: It has another number of ControlNets.
    """
    if len(hints) != len(base.controls):
        raise OptionError(
            f"{len(hints)} hints were given to edit by a network with {len(base.controls)} "
            "ControlNets; give one for each"
        )
    network = base.denoiser()
    if not hints:
        return network

    def denoise(xt: Tensor, t: float | Tensor, conditioning: Conditioning) -> Tensor:
        expanded = tuple(hint.expand(len(xt), -1, -1, -1) for hint in hints)
        return network(xt, t, replace(conditioning, hints=expanded))

    return denoise


def hashes(hints: Sequence[Tensor]) -> list[str]:
    """SHA-256 of the values of each hint, as hexadecimal text."""
    return [hashlib.sha256(hint.contiguous().cpu().numpy().tobytes()).hexdigest() for hint in hints]


def controlnet(task: Task) -> tuple[Tensor, Tensor]:
    """Sample both prompts from equal noise beside the source's hint (Zhang et al. 2023).

    The network receives the source only as a hint. So the reconstruction differs from the original
    by everything that the hint does not contain. The counterfactual differs from the reconstruction
    by the prompt alone. From the source's own noised latent it is SDEdit.

    Args:
        task: Edit with `starts`; its denoisers have their hints.

    Returns:
        Reconstruction and counterfactual, x0 [1, C, h, w] each.

    Raises:
        OptionError: The task has no starts.
    """
    source, target = task.required_starts
    guided = task.under(task.denoiser, task.guidance, task.empty, task.source)
    return task.back(guided, source), task.back(task.changes(task.empty), target)

"""pix2pix-zero: a direction between two sets of sentences, and steps that keep the cross-attention
(Parmar et al. 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentdrift.edit.core.attention import Layer
from latentdrift.edit.core.task import Task
from latentdrift.model.conditioning import Conditioning

LONGEST = 0.01
"""Root mean square of a step at most, in standard deviations of noise (ours: where attention is
sharp the gradient has spikes, of which one leads xt away from all pictures)."""


def direction(source: Conditioning, befores: Conditioning, afters: Conditioning) -> Conditioning:
    """The source's prompt, moved by the difference of two sets' means (section 3.1).

    Args:
        source: One prompt.
        befores: Sentences that describe images as the source is.
        afters: Sentences that describe images as the counterfactual should be.
    """

    def moved(tensor: Tensor, before: Tensor, after: Tensor) -> Tensor:
        return tensor + after.mean(0, keepdim=True) - before.mean(0, keepdim=True)

    return source.map_text(moved, befores, afters)


def pix2pix_zero(task: Task) -> tuple[Tensor, Tensor]:
    """Sample both trajectories, and pull the counterfactual towards the reconstruction's attention.

    Before each step xt <- xt - weight * gradient of the squared difference of the cross-attention
    maps (pix2pix-zero, section 3.3), at most LONGEST. Only the maps of one step are in memory.

    Args:
        task: Edit with an inversion and attention.

    Returns:
        Reconstruction and counterfactual, x0 [1, C, h, w] each.

    Raises:
        OptionError: The task has no inversion.
    """
    attention = task.attention
    inverted = task.required_inversion
    weight = task.spec.attention_weight
    reference_maps: dict[str, Tensor] = {}
    losses: list[Tensor] = []

    def remember(layer: Layer, maps: Tensor) -> Tensor:
        if layer.cross:
            reference_maps[layer.name] = maps[-1:]
        return maps

    def compare(layer: Layer, maps: Tensor) -> Tensor:
        if layer.cross:  # per head, summed over places and words, as theirs
            losses.append((maps - reference_maps[layer.name]).float().pow(2).sum((2, 3)).mean())
        return maps

    source = attention.watched(task.reconstructs(inverted.references), remember)
    compared = attention.watched(task.under(task.changed, 1, task.target, task.target), compare)
    target = task.changes(inverted.references)
    predictions: list[Tensor] = []

    def moved(one: Tensor, other: Tensor, t: int | Tensor) -> Tensor:
        predictions[:] = [source(one, t, None)]
        with torch.enable_grad():
            moving = other.detach().requires_grad_()
            losses.clear()
            compared(moving, t, None)
            if not losses:
                return other
            (slope,) = torch.autograd.grad(torch.stack(losses).sum(), moving)
        step = weight * slope
        return other - step * (LONGEST / step.pow(2).mean().sqrt().clamp(min=LONGEST))

    def mix(one: Tensor, other: Tensor, done: int) -> Tensor:
        return moved(one, other, task.times[done]) if done < task.depth else other

    def remembered(xt: Tensor, t: Any, context: None) -> Tensor:
        return predictions[0]

    with attention.held():
        first = moved(inverted.xt, inverted.xt, task.times[0])
        return task.together(remembered, target, inverted, mix, other=first)

"""Prompt-to-prompt: the counterfactual looks at the picture as the reconstruction does (Hertz et
al. 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from latentdrift.edit.core.attention import Layer
from latentdrift.edit.core.task import Task
from latentdrift.edit.core.token_alignment import Alignment
from latentdrift.model.schedule import Predictor

BLEND_AT = 0.3
"""Attention from which on a place belongs to a word, between the least (0) and the most (1) that it
gets (Hertz et al. 2023, section 3.2; theirs is a share of the most, and small networks look at a
word with nearly that everywhere)."""


def prompt_to_prompt(task: Task) -> tuple[Tensor, Tensor]:
    """Sample both trajectories, with the source's attention maps in the counterfactual (Hertz et
    al. 2022).

    Cross-attention is taken over for words of both prompts in the first `cross_share` of the steps.
    With `exchange` replace, it is also taken over between exchanged words. Self-attention is taken
    over in the first `self_share`. With `local_blend` the counterfactual equals the reconstruction
    where the changed words have no attention. Only the maps of one step are in memory.

    Args:
        task: Edit with an inversion and attention.

    Returns:
        Reconstruction and counterfactual, x0 [1, C, h, w] each.

    Raises:
        OptionError: The task has no inversion.
    """
    control = _Control(task)
    with task.attention.held():
        inverted = task.required_inversion
        source = task.attention.watched(task.reconstructs(inverted.references), control.remember)
        target = task.attention.watched(
            control.counted(task.changes(inverted.references)), control.inject
        )
        return task.together(
            source, target, inverted, control.mix if task.spec.local_blend else None
        )


class _Control:
    """Attention maps of the reconstruction's current step, and the average maps of the words so
    far."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.words = task.words
        self.step = 0
        self.maps: dict[str, Tensor] = {}
        self.looks: list[Tensor | None] = [None, None]
        """Sums of the attention [1, 1, h, w] to what is gone from the source, and to what is new in
        the target."""

    def counted(self, denoiser: Predictor) -> Predictor:
        """The denoiser, before whose calls the step is known."""
        index = {t: i for i, t in enumerate(self.task.times)}

        def denoise(xt: Tensor, t: int | Tensor, context: None) -> Tensor:
            self.step = index[int(t)]
            return denoiser(xt, t, context)

        return denoise

    def remember(self, layer: Layer, maps: Tensor) -> Tensor:
        """Store the maps of the reconstruction's condition."""
        self.maps[layer.name] = maps[-1:]
        if layer.cross:
            self._look(0, maps[-1:], self.words)
        return maps

    def inject(self, layer: Layer, maps: Tensor) -> Tensor:
        """Into the counterfactual's condition; the reference stays as it is."""
        spec = self.task.spec
        words = self.words
        share = spec.cross_share if layer.cross else spec.self_share
        own = maps[-1:]
        source = self.maps.pop(layer.name)
        if layer.cross:
            self._look(1, own, words)
        if self.step < round(share * self.task.depth):
            own = words.apply(source, own) if layer.cross and words else source
        if layer.cross and words:
            own = own * words.factors.to(own)
        return torch.cat([maps[:-1], own])

    def _look(self, side: int, maps: Tensor, words: Alignment | None) -> None:
        """Add a layer's attention to the words that differ; pictures are square."""
        places = (words.gone, words.new)[side] if words else ()
        if not places or not self.task.spec.local_blend:
            return
        edge = math.isqrt(maps.shape[2])
        seen = maps[..., list(places)].float().mean((1, 3)).reshape(1, 1, edge, edge)
        seen = functional.interpolate(seen, self.task.x0.shape[-2:], mode="bilinear")
        before = self.looks[side]
        self.looks[side] = seen if before is None else before + seen

    def mix(self, one: Tensor, other: Tensor, done: int) -> Tensor:
        """The counterfactual where the differing words are looked at, the reconstruction
        elsewhere."""
        inside = torch.zeros_like(one[:, :1], dtype=torch.bool)
        for seen in self.looks:
            if seen is not None:
                wide = functional.max_pool2d(seen, 3, stride=1, padding=1)
                inside |= wide > torch.lerp(wide.amin(), wide.amax(), BLEND_AT)
        return torch.where(inside, other, one)

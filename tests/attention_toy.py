"""A network of two attention layers whose maps are known, and edits by it. Layer `attn2` attends
from places to words: attention is the softmax of their logits, and the values are those of
the words. Layer `attn1` attends from places to places, by a softmax of the first layer's
output. The prediction is the sum of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers.models.attention_processor import Attention as Attend
from gaussian import sd_schedule
from torch import Tensor, nn

from latentdrift.edit.core.attention import Attention
from latentdrift.edit.core.task import Inverted, Task
from latentdrift.edit.core.token_alignment import align
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.families.families import FAMILIES

FIRST, A, B, C, D, LAST = range(6)
WORDS = 6
STEPS = 10
VALUES = torch.tensor([0.0, 0.3, -0.2, 0.5, -0.9, 0.1], dtype=torch.float64)
SOURCE = (FIRST, A, B, C, LAST)
TARGET = (FIRST, A, B, D, LAST)
EMPTY = (FIRST, LAST, LAST, LAST, LAST)


class Toy(nn.Module):
    """The network.

    Args:
        logits: of every place for every word, [places, WORDS].
        values: of every word, [WORDS].
        heights: what the second layer reads of every place, [places].
        slope: how the logits of every word follow xt, [WORDS].
    """

    def __init__(
        self, logits: Tensor, values: Tensor, heights: Tensor, slope: Tensor | None = None
    ) -> None:
        super().__init__()
        self.logits = logits
        self.heights = heights
        self.slope = torch.zeros(WORDS, dtype=torch.float64) if slope is None else slope
        how: dict[str, Any] = {"heads": 1, "bias": False, "out_bias": False}
        self.attn2 = Attend(WORDS, cross_attention_dim=WORDS, dim_head=WORDS, **how).double()
        self.attn1 = Attend(3, dim_head=3, **how).double()
        with torch.no_grad():
            for layer, width in ((self.attn2, WORDS), (self.attn1, 3)):
                for part in (layer.to_q, layer.to_k, layer.to_out[0]):
                    part.weight.copy_(torch.eye(width))
                layer.to_q.weight.mul_(width**0.5)  # which the layer divides by
                layer.to_v.weight.zero_()
            self.attn2.to_v.weight[0] = values
            # hidden states are (what was read, height, 1): q is 1, k what was read, v the height
            self.attn1.to_q.weight.copy_(
                self.attn1.to_q.weight.roll(2, 1) * torch.tensor([[1.0], [0.0], [0.0]])
            )
            self.attn1.to_v.weight[0, 1] = 1.0
        self.requires_grad_(False)

    @property
    def attn_processors(self) -> dict[str, Any]:
        return {
            f"block.{name}.processor": getattr(self, name).processor for name in ("attn1", "attn2")
        }

    def set_attn_processor(self, processors: Mapping[str, Any]) -> None:
        for name, processor in processors.items():
            getattr(self, name.split(".")[1]).set_processor(processor)

    def forward(self, xt: Tensor, t: object, context: Conditioning) -> Tensor:
        read = self.attn2(
            self.logits + xt.flatten(1)[..., None] * self.slope,
            encoder_hidden_states=context.embeddings,
        )[..., 0]
        places = torch.stack([read, self.heights.expand_as(read), torch.ones_like(read)], dim=-1)
        return (read + self.attn1(places)[..., 0]).reshape(xt.shape)


def context(tokens: tuple[int, ...]) -> Conditioning:
    return Conditioning(torch.eye(WORDS, dtype=torch.float64)[list(tokens)][None])


def maps(toy: Toy, tokens: tuple[int, ...]) -> Tensor:
    """Attention of every place to every token, [places, tokens]."""
    return toy.logits[:, list(tokens)].softmax(1)


def predicted(
    toy: Toy, words: Tensor, tokens: tuple[int, ...], places: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """eps [places] under maps of words, and of places where they are others than the network's own;
    and those."""
    read = words @ VALUES[list(tokens)]
    own = read.softmax(0) if places is None else places
    return read + own @ toy.heights, own


def sampled(xT: Tensor, eps: list[Tensor], first: int = 0) -> Tensor:
    """DDIM without a network: x / a goes down by (sigma - sigma_next) eps at every step (Song et
    al. 2021, eq. 14)."""
    schedule = sd_schedule()
    times = [*schedule.timesteps(STEPS)[first:].tolist(), 0]
    a = schedule.a(torch.tensor(times))
    s = schedule.s(torch.tensor(times))
    sigma = s / a
    x = xT.flatten() / a[0]
    for i, one in enumerate(eps):
        x = x + (sigma[i + 1] - sigma[i]) * one
    return (a[-1] * x).reshape(xT.shape)


def toy_task(network: Callable[..., Tensor], toy: Toy | None, xT: Tensor, **options: Any) -> Task:
    tokens = {
        name: options.pop(name, known) for name, known in (("source", SOURCE), ("target", TARGET))
    }
    counts = [
        len([token for token in each if token not in (FIRST, LAST)]) for each in tokens.values()
    ]
    factors = options.pop("factors", None)
    words = align(*tokens.values(), (counts[0], counts[1]), "replace", factors)
    references = context(options.pop("reference", tokens["source"]))
    values: dict[str, Any] = {
        "denoiser": network,
        "changed": network,
        "schedule": sd_schedule(),
        "x0": torch.zeros_like(xT),
        **{name: context(each) for name, each in tokens.items()},
        "empty": context(EMPTY),
        "strength": 1.0,
        "steps": STEPS,
        "guidance": 1.0,
        "generator": torch.Generator().manual_seed(0),
        "inversion": Inverted(xT, references),
        "words": words,
        "attention": Attention(toy, FAMILIES["sd"].attention),
    }
    return Task(**{**values, **options})

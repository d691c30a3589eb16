"""A U-Net's attention maps, seen and changed while it is called; between edits the network is as it
was.

Our processors stand in diffusers' places for as long as `Attention.held` lasts. They use the
layers' own projections, so LoRA matrices beside these act, and a token is a row of the context,
whatever word it is a part of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentdrift.sample.samplers import Context

WIDEST = 32 * 32
"""Queries of a self-attention layer up to which its maps are looked at: they grow with the square
(ours; 16 MiB in bf16)."""


@dataclass(frozen=True)
class Layer:
    """One attention layer of a U-Net."""

    name: str
    cross: bool
    """Its keys are the words; else the picture's own places."""


See = Callable[[Layer, Tensor], Tensor]
"""(layer, probabilities [B, heads, queries, keys]) -> those that are used. Of several branches, the
condition is last."""


class Attention:
    """The attention of one U-Net, or of a network that has none."""

    def __init__(
        self, network: Any | None = None, layers: Mapping[str, bool] | None = None
    ) -> None:
        """
        Args:
            network: A network with diffusers' attention processors, or None.
            layers: Name of a layer that is looked at -> whether it is cross-attention
                (`Family.attention`).
        """
        self.network = network
        self.layers = layers or {}
        self._see: See | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Context in which the U-Net has attention processors that report and change its maps.

        Afterwards, and after an error, the U-Net has its own processors again. Without a U-Net
        nothing changes.
        """
        if self.network is None:
            yield
            return
        before = dict(self.network.attn_processors)
        self.network.set_attn_processor(
            {name: self._processor(name, own) for name, own in before.items()}
        )
        try:
            yield
        finally:
            self.network.set_attn_processor(dict(before))

    def watched(
        self, denoiser: Callable[[Tensor, Any, Context], Tensor], see: See
    ) -> Callable[[Tensor, Any, Context], Tensor]:
        """Wrap a denoiser so that each of its calls passes the attention maps to a function.

        Use the wrapped denoiser inside `held`.

        Args:
            denoiser: (xt, t, context) -> prediction, with this U-Net.
            see: Called with each layer's maps; its result replaces them.
        """

        def denoise(xt: Tensor, t: Any, context: Context) -> Tensor:
            self._see = see
            try:
                return denoiser(xt, t, context)
            finally:
                self._see = None

        return denoise

    def _processor(self, name: str, own: Any) -> Any:
        """Our processor for the layers of transformer blocks, which have no norm or shortcut of
        their own."""
        kind = name.split(".")[-2]
        if kind not in self.layers:
            return own
        return _Processor(self, Layer(name.removesuffix(".processor"), self.layers[kind]), own)


class _Processor:
    """Attention with its probabilities in the open (Vaswani et al. 2017, eq. 1); the layer's own
    where nobody looks."""

    def __init__(self, attention: Attention, layer: Layer, own: Any) -> None:
        self.attention = attention
        self.layer = layer
        self.own = own

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Any = None,
        **more: Any,
    ) -> Tensor:
        see = self.attention._see
        wide = hidden_states.shape[1] > WIDEST and not self.layer.cross
        if see is None or wide or attention_mask is not None:
            unseen: Tensor = self.own(
                attn, hidden_states, encoder_hidden_states, attention_mask, **more
            )
            return unseen
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (
            attn.head_to_batch_dim(part)
            for part in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        scores = attn.get_attention_scores(q, k)
        probabilities = see(self.layer, scores.unflatten(0, (len(hidden_states), -1))).flatten(0, 1)
        mixed = attn.batch_to_head_dim(torch.bmm(probabilities.to(v.dtype), v))
        result: Tensor = attn.to_out[1](attn.to_out[0](mixed))
        return result

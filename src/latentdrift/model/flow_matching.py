"""Flow matching: xt = (1 - sigma) x0 + sigma eps, and networks that predict eps - x0 (Lipman et al.
2023; Esser et al. 2024).

Drift is what it is elsewhere: noise eps + delta has the target eps + delta - x0, yt = xt - sigma
delta is an ordinary flow of the same x0, and the network is wrapped by the same `Drift.wrap`. Time
t is 1000 sigma, as in the stock schedulers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from latentdrift.errors import BaseModelError
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.schedule import Denoiser, Process


@dataclass(frozen=True, eq=False)
class FlowSchedule(Process):
    """The straight path from image to noise: a = 1 - sigma, s = sigma. It starts from pure noise
    (a_T = 0)."""

    config: Mapping[str, Any] = field(
        default_factory=lambda: {"num_train_timesteps": 1000, "shift": 1.0}
    )
    """Configuration for the flow-matching schedulers."""
    prediction_type = "flow_prediction"
    zero_snr = True

    @classmethod
    def from_config(cls, config: Mapping[str, Any], tokens: int | None = None) -> FlowSchedule:
        """Build the schedule from a diffusers `scheduler_config.json`.

        Args:
            config: Configuration of a FlowMatchEulerDiscreteScheduler.
            tokens: Image tokens that the network reads; some bases (FLUX.1 dev) lay their times by
                them.

        Raises:
            BaseModelError: The times depend on the number of tokens, and it is not given.
        """
        shift = float(config.get("shift", 1.0))
        if config.get("use_dynamic_shifting", False):
            if tokens is None:
                raise BaseModelError(
                    "the base's times depend on the size of the picture (use_dynamic_shifting); "
                    "give its tokens"
                )
            # mu is linear in the tokens, and its exponential is a shift (diffusers,
            # `calculate_shift`; Esser et al. 2024, eq. 23)
            few = config["base_image_seq_len"]
            many = config["max_image_seq_len"]
            low = config["base_shift"]
            high = config["max_shift"]
            shift = math.exp(low + (high - low) * (tokens - few) / (many - few))
        return cls(
            {"num_train_timesteps": int(config.get("num_train_timesteps", 1000)), "shift": shift}
        )

    @property
    def length(self) -> int:
        """Number of training times T."""
        return int(self.config["num_train_timesteps"])

    def a(self, t: float | Tensor) -> Tensor:
        """Signal scale 1 - sigma at t, float64, in the shape of t."""
        return 1 - self.s(t)

    def s(self, t: float | Tensor) -> Tensor:
        """Noise standard deviation sigma = t / T, float64, in the shape of t."""
        return (
            torch.as_tensor(t, dtype=torch.float64, device="cpu").clamp(0, self.length)
            / self.length
        )


def sd3_denoiser(transformer: Any) -> Denoiser:
    """Wrap an SD3-shaped transformer: (xt [B, C, h, w], t, conditioning) -> eps - x0.

    Args:
        transformer: Reads `embeddings` and `pooled` of the conditioning.
    """

    def denoise(xt: Tensor, t: float | Tensor, conditioning: Conditioning) -> Tensor:
        read = conditioning.to(xt.device, transformer.dtype)
        parts = {
            "encoder_hidden_states": read.embeddings,
            "pooled_projections": read.pooled,
            "timestep": _times(t, xt),
        }
        result: Tensor = transformer(xt.to(transformer.dtype), **parts, return_dict=False)[0].to(
            xt.dtype
        )
        return result

    return denoise


def flux_denoiser(transformer: Any, guidance: float | None = None) -> Denoiser:
    """Wrap a FLUX-shaped transformer, which reads 2 x 2 latents as one token.

    Args:
        transformer: Transformer with in_channels 4 C.
        guidance: Guidance weight that a guidance-distilled transformer (`guidance_embeds`)
            receives; it replaces `guide`. None: none.
    """

    def denoise(xt: Tensor, t: float | Tensor, conditioning: Conditioning) -> Tensor:
        read = conditioning.to(xt.device, transformer.dtype)
        rows = xt.shape[2] // 2
        columns = xt.shape[3] // 2
        places = torch.cartesian_prod(torch.arange(1), torch.arange(rows), torch.arange(columns))
        prediction = transformer(
            torch.nn.functional.pixel_unshuffle(xt, 2).flatten(2).mT.to(transformer.dtype),
            encoder_hidden_states=read.embeddings,
            pooled_projections=read.pooled,
            timestep=(_times(t, xt) / 1000).to(
                transformer.dtype
            ),  # the transformer multiplies it by 1000 again
            img_ids=places.to(xt.device, transformer.dtype),
            txt_ids=torch.zeros(read.embeddings.shape[1], 3).to(xt.device, transformer.dtype),
            guidance=None
            if guidance is None
            else torch.full((len(xt),), guidance, device=xt.device, dtype=transformer.dtype),
            return_dict=False,
        )[0]
        grid = prediction.mT.unflatten(2, (rows, columns))
        return torch.nn.functional.pixel_shuffle(grid, 2).to(xt.dtype)

    return denoise


def _times(t: float | Tensor, xt: Tensor) -> Tensor:
    """One time per image, [B]."""
    return torch.as_tensor(t, dtype=torch.float32, device=xt.device).expand(len(xt))

"""Latent blending: outside of a mask the network's x0 is the source's, at every step (inpainting
with 4 channels)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from latentdrift.model.conditioning import Conditioning
from latentdrift.model.schedule import GuidedDenoiser, Schedule


def blend(
    denoiser: GuidedDenoiser, schedule: Schedule, x0: Tensor, inside: Tensor
) -> GuidedDenoiser:
    """The denoiser whose x0 is the source's outside: x0 <- x0_source (1 - M) + x0 M, at every step.

    A prediction p eps - q x0 at a given xt is affine in x0, so what is returned is M times the
    network's and 1 - M times the one that stands for x0_source. So guidance of blended branches is
    the blended guidance, and any editor can be masked. Drift is that of the wrapped network: what
    is kept takes part with plain noise.

    Args:
        denoiser: the network with drift wrapped around it.
        schedule: of the base.
        x0: scaled latent of the source [1, C, h, w].
        inside: M [1, 1, h, w] in [0, 1].
    """

    def denoise(xt: Tensor, t: float | Tensor, context: tuple[Conditioning, ...]) -> Tensor:
        a, s = schedule.scales(t, xt)
        outside = schedule.target(x0, (xt - a * x0) / s, t)
        return inside * denoiser(xt, t, context) + (1 - inside) * outside

    return denoise


def to_latents(mask: Tensor, size: int) -> Tensor:
    """Average a pixel mask [1, 1, R, R] to the share of each latent inside it, [1, 1, size,
    size]."""
    return functional.adaptive_avg_pool2d(mask, size)

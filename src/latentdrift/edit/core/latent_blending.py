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
    """Denoiser whose x0 outside of a mask is the source's: x0 <- x0_source (1 - M) + x0 M, at every
    step.

    A prediction p eps - q x0 at a given xt is affine in x0. So the result is M times the network's
    prediction and 1 - M times that of x0_source. Guidance of blended branches is blended guidance,
    so any editor can be masked. With drift the wrapped network is blended, and the source takes
    plain noise.

    Args:
        denoiser: The network with drift wrapped around it.
        schedule: Schedule of the base.
        x0: Scaled latent of the source [1, C, h, w].
        inside: M [1, 1, h, w] in [0, 1].
    """

    def denoise(xt: Tensor, t: float | Tensor, context: tuple[Conditioning, ...]) -> Tensor:
        return blended(denoiser(xt, t, context), xt, t, schedule, x0, inside)

    return denoise


def blended(
    output: Tensor, xt: Tensor, t: float | Tensor, schedule: Schedule, x0: Tensor, inside: Tensor
) -> Tensor:
    """A prediction whose x0 outside of a mask is another one.

    Args:
        output: What the network predicts at xt [B, C, h, w].
        xt: Noisy latents.
        t: Their time.
        schedule: Schedule of the base.
        x0: x0 outside of the mask.
        inside: M [1, 1, h, w] in [0, 1].
    """
    a, s = schedule.scales(t, xt)
    outside = schedule.target(x0, (xt - a * x0) / s, t)
    return inside * output + (1 - inside) * outside


def to_latents(mask: Tensor, size: int) -> Tensor:
    """Average a pixel mask [1, 1, R, R] to the share of each latent inside it, [1, 1, size,
    size]."""
    return functional.adaptive_avg_pool2d(mask, size)

"""A noise without structure: uncorrelated with itself moved, of mean 0 and variance 1 (Parmar et
al. 2023, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# As in the authors' code and diffusers' pix2pix-zero pipeline, whose noise is Stable Diffusion's of
# 512 pixels.
ROUNDS = 5
CORRELATION = 20.0
DIVERGENCE = 20.0
THEIRS = 4 * 64 * 64
"""Numbers of that noise. The gradient of a mean goes with one over their number, so weights go with
it (ours): a noise of fewer would else be moved by as many times more."""
SMALLEST = 8
"""Side at which the pyramid ends."""


def regularised(eps: Tensor) -> Tensor:
    """Make noise less structured, by a few steps of gradient descent on `correlation` and
    `divergence`.

    Args:
        eps: Noise [1, C, h, w] of mean 0, from the network with drift wrapped around it. On the
            bare network these terms would remove the drift.
    """
    share = eps[0].numel() / THEIRS
    for _ in range(ROUNDS):
        for loss, weight in ((correlation, CORRELATION), (divergence, DIVERGENCE)):
            with torch.enable_grad():
                moving = eps.detach().requires_grad_()
                (slope,) = torch.autograd.grad(loss(moving), moving)
            eps = eps - weight * share * slope
    return eps


def correlation(eps: Tensor) -> Tensor:
    """Squared autocorrelation of noise [1, C, h, w] along rows and columns.

    It is summed over channels and levels of a pyramid, and averaged over all shifts. Parmar et al.
    sample one shift. Levels are plain means of the level before, as in their code; the paper's are
    twice that, and the descent then diverges.
    """
    total = eps.new_zeros(())
    level = eps if eps.dtype == torch.float64 else eps.float()
    while True:
        for axis in (2, 3):
            spectrum = torch.fft.fft(level, dim=axis).abs() ** 2
            shifted = torch.fft.ifft(spectrum, dim=axis).real / level.shape[axis]
            total = total + shifted.mean(5 - axis)[..., 1:].pow(2).mean(-1).sum()
        if min(level.shape[2:]) <= SMALLEST:
            return total
        level = functional.avg_pool2d(level, 2)


def divergence(eps: Tensor) -> Tensor:
    """Twice the Kullback-Leibler divergence of N(mean, variance) of the noise from N(0, 1)."""
    mean = eps.mean()
    variance = eps.var()
    return variance + mean**2 - 1 - torch.log(variance + 1e-7)

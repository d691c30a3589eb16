"""A noise without structure: uncorrelated with itself moved, of mean 0 and variance 1 (Parmar et al. 2023, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# As in the authors' code and diffusers' pix2pix-zero pipeline.
ROUNDS = 5
CORRELATION = 20.0
DIVERGENCE = 20.0
SMALLEST = 8
"""Side at which the pyramid ends."""


def regularised(eps: Tensor) -> Tensor:
    """A few steps of gradient descent on `correlation` and `divergence`.

    The eps is that of the network with drift wrapped around it, from which delta is off already: noise of mean 0. On the bare
    network's these terms would pull the drift out of the noise.
    """
    for _ in range(ROUNDS):
        for loss, weight in ((correlation, CORRELATION), (divergence, DIVERGENCE)):
            with torch.enable_grad():
                moving = eps.detach().requires_grad_()
                (slope,) = torch.autograd.grad(loss(moving), moving)
            eps = eps - weight * slope
    return eps


def correlation(eps: Tensor) -> Tensor:
    """Mean squared autocorrelation along rows and columns, over all shifts (theirs draws one) and each level of a pyramid."""
    total = eps.new_zeros(())
    while True:
        for axis in (2, 3):
            spectrum = torch.fft.fft(eps.float() if eps.dtype != torch.float64 else eps, dim=axis).abs() ** 2
            shifted = torch.fft.ifft(spectrum, dim=axis).real / eps.shape[axis]
            total = total + shifted.mean([d for d in range(4) if d != axis])[1:].pow(2).mean()
        if min(eps.shape[2:]) <= SMALLEST:
            return total
        eps = functional.avg_pool2d(eps, 2) * 2  # of unit variance again, where there is no structure


def divergence(eps: Tensor) -> Tensor:
    """Twice the Kullback-Leibler divergence of N(mean, variance) from N(0, 1)."""
    mean, variance = eps.mean(), eps.var()
    return variance + mean**2 - 1 - torch.log(variance + 1e-7)

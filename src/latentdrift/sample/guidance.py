"""Classifier-free guidance and composition, as a wrapper of a denoiser."""

from __future__ import annotations

import torch
from torch import Tensor

from latentdrift.model.schedule import Denoiser


def guide(denoiser: Denoiser, *weights: float) -> Denoiser:
    """The denoiser of (reference, condition, ...): eps = eps_0 + sum_i w_i (eps_i - eps_0).

    One weight is classifier-free guidance (Ho & Salimans 2022, eq. 6 with w = 1 + theirs), several are a composition of
    conditions (Liu et al. 2022, eq. 11). The same rule holds for v, which is linear in eps at a given xt. Every branch carries
    drift alike, so guiding the wrapped network and wrapping the guided one are the same. All branches are one call of the
    network; without guidance (w = 1) only the condition is evaluated.

    Args:
        denoiser: takes one context [B, L, D]; what is returned takes a tuple of them, reference first.
        weights: one per condition.
    """

    def guided(xt: Tensor, t: float | Tensor, contexts: tuple[Tensor, ...]) -> Tensor:
        reference, *conditions = contexts
        if weights == (1,):
            return denoiser(xt, t, conditions[0])
        branches = len(contexts)
        times = t.repeat(branches) if isinstance(t, Tensor) and t.ndim else t
        eps_0, *eps = denoiser(torch.cat([xt] * branches), times, torch.cat([reference, *conditions])).chunk(branches)
        return eps_0 + sum(w * (eps_i - eps_0) for w, eps_i in zip(weights, eps, strict=True))

    return guided

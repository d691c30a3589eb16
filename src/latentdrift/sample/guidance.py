"""Classifier-free guidance and composition, as a wrapper of a denoiser."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from latentdrift.model.conditioning import Conditioning
from latentdrift.model.schedule import Denoiser, GuidedDenoiser, Process


def guide(denoiser: Denoiser, *weights: float, rescale: float = 0.0) -> GuidedDenoiser:
    """The denoiser of (reference, condition, ...): eps = eps_0 + sum_i w_i (eps_i - eps_0).

    One weight is classifier-free guidance (Ho & Salimans 2022, eq. 6 with w = 1 + theirs), several
    are a composition of conditions (Liu et al. 2022, eq. 11). The same rule holds for v, which is
    linear in eps at a given xt. Every branch carries drift alike, so guiding the wrapped network
    and wrapping the guided one are the same. All branches are one call of the network; without
    guidance (w = 1) only the condition is evaluated.

    High weights make the prediction's standard deviation over an image too large; `rescale` brings
    it back to that of the conditional prediction (Lin et al. 2023, eq. 15 and 16). It multiplies
    the whole prediction, and would multiply the mean that drift puts there: so the network has to
    come with drift wrapped around it, not the other way round.

    Args:
        denoiser: Takes one conditioning; what is returned takes a tuple of them, reference first.
        weights: One per condition.
        rescale: phi, the share of the rescaled prediction in what is returned. With several
            conditions the mean of their predictions stands for the conditional one (ours; the paper
            has one condition).
    """

    def guided(xt: Tensor, t: float | Tensor, contexts: tuple[Conditioning, ...]) -> Tensor:
        if weights == (1,):
            return denoiser(xt, t, contexts[1])
        branches = len(contexts)
        times = t.repeat(branches) if isinstance(t, Tensor) and t.ndim else t
        together = denoiser(torch.cat([xt] * branches), times, Conditioning.cat(contexts))
        eps_0, *eps = together.chunk(branches)
        total = eps_0 + sum(w * (eps_i - eps_0) for w, eps_i in zip(weights, eps, strict=True))
        return _rescaled(total, eps, rescale)

    return guided


def compose(denoiser: Denoiser, weights: Tensor, rescale: float = 0.0) -> GuidedDenoiser:
    """Compose conditions with weights: eps = eps_0 + sum_k w_k (eps_k - eps_0) (Liu et al. 2022).

    Each condition is one call of the network together with the reference, as in plain guidance. So
    an image with one weight equals that of `guide` bit for bit, whatever else is in the batch. A
    weight of 0 changes nothing.

    Args:
        denoiser: The network.
        weights: w, [B, K], one row for each image.
        rescale: Share of guidance rescaling, in [0, 1]; 0: none.

    Returns:
        Denoiser of the contexts (reference, condition 1, ..., condition K).
    """

    def composed(xt: Tensor, t: float | Tensor, contexts: tuple[Conditioning, ...]) -> Tensor:
        reference, *conditions = contexts
        times = t.repeat(2) if isinstance(t, Tensor) and t.ndim else t
        pairs = [
            denoiser(torch.cat([xt, xt]), times, Conditioning.cat([reference, each])).chunk(2)
            for each in conditions
        ]
        total: Tensor = pairs[0][0]
        for w, (eps_0, eps_k) in zip(weights.T, pairs, strict=True):
            total = total + w.reshape(-1, 1, 1, 1).to(xt) * (eps_k - eps_0)
        return _rescaled(total, [eps_k for _, eps_k in pairs], rescale)

    return composed


def within(
    interval: tuple[float, float],
    process: Process,
    guided: GuidedDenoiser,
    unguided: GuidedDenoiser,
) -> GuidedDenoiser:
    """Guide at medium noise levels only (Kynkäänniemi et al. 2024, eq. 5).

    Args:
        interval: Noise levels (low, high); guidance acts where low < sigma <= high, with
            sigma = s / a.
        process: Gives a and s at a time.
        guided: Denoiser inside of the interval.
        unguided: Denoiser outside.
    """
    low, high = interval

    def denoise(xt: Tensor, t: float | Tensor, contexts: tuple[Conditioning, ...]) -> Tensor:
        sigma = float(process.s(t) / process.a(t))
        chosen = guided if low < sigma <= high else unguided
        return chosen(xt, t, contexts)

    return denoise


def condition_alone(denoiser: Denoiser) -> GuidedDenoiser:
    """Evaluate the last branch alone: the prompt, with all images that the network reads."""

    def denoise(xt: Tensor, t: float | Tensor, contexts: tuple[Conditioning, ...]) -> Tensor:
        return denoiser(xt, t, contexts[-1])

    return denoise


def branches(empty: Conditioning, prompt: Conditioning) -> tuple[Conditioning, ...]:
    """Conditionings that `guide` takes, the reference first.

    A source image has a weight of its own: eps_0 without text and source, then with the source,
    then with both (Brooks et al. 2023, eq. 3). Hints stand in every branch, as in diffusers.

    Args:
        empty: Encoded empty prompts of B images.
        prompt: Encoded prompts, with the images that the network reads.
    """
    reference = replace(empty, source=prompt.source, hints=prompt.hints)
    if prompt.source is None:
        return reference, prompt
    blind = replace(reference, source=torch.zeros_like(prompt.source))
    return blind, reference, prompt


def _rescaled(total: Tensor, eps: list[Tensor], rescale: float) -> Tensor:
    if not rescale:
        return total
    ratio = _std(torch.stack(eps).mean(0)) / _std(total)
    return total * (1 + rescale * (ratio - 1))


def _std(prediction: Tensor) -> Tensor:
    """Standard deviation over each whole image, [B, 1, 1, 1]."""
    return prediction.std((1, 2, 3), keepdim=True)

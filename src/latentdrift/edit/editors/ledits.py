"""LEDITS++: several changes at once, each with a direction and a place of its own, on edit-friendly
noise (Brack et al. 2024)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentdrift.edit.core.task import Task
from latentdrift.model.conditioning import Conditioning


def ledits(task: Task) -> tuple[Tensor, Tensor]:
    """Apply several changes at once: eps = eps(source) + w sum_i M_i (eps(change_i) - eps(source)).

    M_i is 1 where |eps(change_i) - eps(source)|, averaged over channels, is above its quantile
    `focus` (LEDITS++, eq. 7). The mask from attention to a word is left out, because it needs words
    for places. The authors lead away from the empty prompt; here the source's prompt holds
    everything that stays.

    Args:
        task: Edit with an inversion and `parts`, the prompt of each change.

    Returns:
        Reconstruction and counterfactual, x0 [1, C, h, w] each.

    Raises:
        OptionError: The task has no inversion.
    """
    inverted = task.required_inversion
    focus = task.spec.focus

    def denoise(xt: Tensor, t: Any, _: Any) -> Tensor:
        prompts = Conditioning.cat([task.source, *task.parts])
        eps_0, *eps = task.changed(xt.expand(len(prompts), -1, -1, -1), t, prompts).split(1)
        result: Tensor = eps_0 + task.guidance * sum(
            (_largest(eps_i - eps_0, focus) for eps_i in eps), torch.zeros_like(eps_0)
        )
        return result

    return task.reconstruction(inverted), task.along(denoise, inverted)


def _largest(difference: Tensor, focus: float) -> Tensor:
    """A difference [1, C, h, w] where it is among the largest, 0 elsewhere."""
    size = difference.abs().mean(1, keepdim=True)
    size = size.to(torch.promote_types(size.dtype, torch.float32))  # which quantiles need
    return difference * (size >= size.quantile(focus))

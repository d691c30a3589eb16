"""The optimisation loop of the small networks of evaluation: AdamW with a cosine schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def minimize(
    loss: Callable[[], Tensor],
    parameters: Iterable[torch.nn.Parameter],
    steps: int,
    *,
    rate: float,
    weight_decay: float = 0.01,
) -> None:
    """Minimise a loss by AdamW (Loshchilov & Hutter 2019) with a learning rate that falls to 0 by a
    cosine (Loshchilov & Hutter 2017).

    Args:
        loss: Draws a batch and returns its loss, a scalar with a gradient.
        parameters: Parameters to train.
        steps: Number of optimiser steps.
        rate: Learning rate of the first step.
        weight_decay: Decoupled weight decay; default: that of PyTorch.
    """
    optimizer = torch.optim.AdamW(list(parameters), lr=rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()
        schedule.step()

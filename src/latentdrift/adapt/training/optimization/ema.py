"""The exponential moving average of the weights, which is smoother than any of them (Polyak &
Juditsky 1992; Ho et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Average:
    """A second set of weights, in float32, that follows the first one."""

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], decay: float) -> None:
        self.parameters = parameters
        self.decay = decay
        self.swapped = False
        self.weights: dict[str, Tensor] = {
            name: weight.detach().clone() for name, weight in parameters.items()
        }

    @torch.no_grad()
    def follow(self, done: int) -> None:
        """Move the average towards the current weights, after an optimiser step.

        Args:
            done: Number of steps before this one. The decay is at most (1 + done) / (10 + done).
        """
        decay = min(
            self.decay, (1 + done) / (10 + done)
        )  # the first weights are soon forgotten (TensorFlow's num_updates)
        for name, weight in self.parameters.items():
            self.weights[name].lerp_(weight, 1 - decay)

    def swap(self) -> None:
        """Exchange the network's weights and their average; a second call undoes the first."""
        for name, weight in self.parameters.items():
            weight.data, self.weights[name] = self.weights[name], weight.data
        self.swapped = not self.swapped

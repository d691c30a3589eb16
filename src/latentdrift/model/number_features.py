"""Features of the numbers in prompts, for networks that read numbers beside words.

Each number becomes itself, in units of a typical one, and waves of several periods (Tancik et al.
2020, Fourier features), which let a small network tell near values apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from latentdrift.prompts.prompt_numbers import PromptNumbers

PERIODS: dict[str, tuple[float, ...]] = {
    "years": (8, 16, 32, 64),
    "age": (40, 80, 160),
    "ventricles": (8, 16, 32),
    "fluid": (16, 32, 64),
}
"""Number -> periods of its waves, in years, or for volumes in percent of the head's area.

None is so short that a gap of visits would be told by it as by a name. New rows stand last: a
network that was made before them reads the features of the others."""
TYPICAL = {"years": 5.0, "age": 80.0, "ventricles": 1.0, "fluid": 2.0}
"""Number -> the value that counts as 1."""
WIDTH = sum(2 + 2 * len(periods) for periods in PERIODS.values())
"""Number of features F of a prompt."""


def number_features(numbers: Sequence[PromptNumbers], width: int = WIDTH) -> Tensor:
    """Features [B, F] float32 of the numbers of B prompts; zeros for a number that is not said.

    Of each number x they are 1, x / TYPICAL, and sine and cosine of 2 pi x / period.

    Args:
        numbers: Numbers of each prompt.
        width: F, the first of WIDTH features.
    """
    features = torch.tensor([_features(one) for one in numbers], dtype=torch.float32)
    return features.reshape(-1, WIDTH)[:, :width]


def _features(numbers: PromptNumbers) -> list[float]:
    features: list[float] = []
    for name, periods in PERIODS.items():
        value = getattr(numbers, name)
        if value is None:
            features += [0.0] * (2 + 2 * len(periods))
            continue
        angles = [2 * math.pi * value / period for period in periods]
        waves = [wave(angle) for wave in (math.sin, math.cos) for angle in angles]
        features += [1.0, value / TYPICAL[name], *waves]
    return features

"""Fixtures of the tests in this folder."""

from __future__ import annotations

import pytest
import torch
from attention_toy import Toy
from gaussian import randn

WORDS = 6
VALUES = torch.tensor([0.0, 0.3, -0.2, 0.5, -0.9, 0.1], dtype=torch.float64)


@pytest.fixture
def toy() -> Toy:
    return Toy(randn(16, WORDS, seed=1), VALUES, randn(16, seed=2))

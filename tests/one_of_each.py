"""Pixels of one small file of each format."""

from __future__ import annotations

import numpy as np

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 255, (40, 30)).astype(np.uint8)
VOLUME = RANDOM.integers(0, 999, (12, 13, 14)).astype(np.int16)

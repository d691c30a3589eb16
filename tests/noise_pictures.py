"""Pictures of noise."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.random.default_rng(seed).integers(0, 255, (16, 16), dtype=np.uint8)).save(
        path
    )

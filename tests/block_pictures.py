"""Pictures of grey blocks, and a cohort with planted leaks."""

from __future__ import annotations

import numpy as np


def blocks(seed: int, size: int = 48) -> np.ndarray:
    return np.kron(
        np.random.default_rng(seed).integers(1, 250, (6, 6)), np.ones((size // 6, size // 6))
    ).astype(np.uint8)


def planted():
    """Forty patients with two visits, then a patient, a picture and a near-copy that are where they
    should not be."""
    for patient in range(40):
        for visit in range(2):
            split = "train" if patient < 24 else "validation" if patient < 32 else "test"
            yield (
                blocks(patient * 2 + visit),
                {
                    "patient": f"p-{patient}",
                    "visit": str(visit + 1),
                    "days": visit * 100.0 * (1 + patient % 2),
                    "age": 50.0 + patient,
                    "sex": "FM"[patient % 2],
                    "findings": ["Mass", "Mass|Edema", None][patient % 3],
                    "view": "PA",
                    "split": split,
                    "row_mm": 1.0,
                    "col_mm": 1.0,
                    "site": "A",
                    "score": float(patient),
                },
            )
    yield blocks(1000), {"patient": "p-0", "visit": "3", "age": 50.0, "sex": "F", "split": "test"}
    yield (
        blocks(2),
        {"patient": "p-101", "age": 60.0, "sex": "F", "split": "test"},
    )  # the pixels of p-1, visit 1
    yield (
        np.clip(blocks(4) + 4, 0, 255).astype(np.uint8),
        {"patient": "p-102", "split": "validation"},
    )  # nearly those of p-2, visit 1

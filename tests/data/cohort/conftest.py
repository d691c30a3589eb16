"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boxes import Make
from PIL import Image

from latentdrift.data.cohort.cohort import Cohort, write_cohort


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A cohort of pictures, with masks beside them where they are given; `rows` are further
    cells."""

    def call(
        pictures: list[np.ndarray],
        masks: list[np.ndarray | None] = (),
        rows: list[dict[str, Any]] = (),
    ) -> Cohort:
        table = [
            {"patient": "A", "days": float(place), **(rows[place] if rows else {})}
            for place in range(len(pictures))
        ]
        for row, mask, place in zip(table, masks, range(len(masks)), strict=False):
            row["roi"] = None if mask is None else f"masks/{place}.png"
        info = {"describe": "disc", "kept": ("roi",)}
        cohort = write_cohort(tmp_path / "cohort", zip(pictures, table, strict=True), info)
        (cohort.folder / "masks").mkdir()
        for place, mask in enumerate(masks):
            if mask is not None:
                Image.fromarray(mask).save(cohort.folder / "masks" / f"{place}.png")
        return cohort

    return call

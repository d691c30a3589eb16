"""Answers of readers to a small study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.reader_study.reader_study import StudyKey

N = 20


def images(n: int, level: float, patients: int | None = None) -> EvaluationImages:
    rng = np.random.default_rng(int(level * 10))
    grey = np.repeat(rng.uniform(0, level, (n, 8, 8, 1)), 3, -1)
    table = pd.DataFrame({"sex": ["F", "M", "M", "M"] * (n // 4)})
    return EvaluationImages(
        grey,
        [f"p{i % patients}" for i in range(n)] if patients else None,
        [f"secret{i}" for i in range(n)],
        table,
    )


def csv(path: Path, key: StudyKey, answers: dict[int, str], study: str | None = None) -> Path:
    rows = [(study or key.study, item, answer, "3", "1.5") for item, answer in answers.items()]
    pd.DataFrame(rows, columns=["study", "item", "answer", "confidence", "seconds"]).to_csv(
        path, index=False
    )
    return path

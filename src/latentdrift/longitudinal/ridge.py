"""Ridge regression through 0, whose penalty is chosen on patients that are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

PENALTIES = tuple(10.0**power for power in range(-1, 6))
"""Ridge penalties that are tried, relative to the mean square of an input."""
FOLDS = 5


def ridge(inputs: np.ndarray, outputs: np.ndarray, penalty: float) -> np.ndarray:
    """Weights [K, M] of a ridge regression through 0.

    Args:
        inputs: [N, K].
        outputs: [N, M].
        penalty: Relative to the mean square of an input.
    """
    gram = inputs.T @ inputs
    size = penalty * float(np.trace(gram)) / max(len(gram), 1) / max(len(inputs), 1)
    result: np.ndarray = np.linalg.solve(
        gram + (size + 1e-12) * np.eye(len(gram)), inputs.T @ outputs
    )
    return result


def choose_penalty(inputs: np.ndarray, outputs: np.ndarray, patients: Sequence[str]) -> float:
    """Penalty of PENALTIES with the least squared error on patients that are left out.

    Args:
        inputs: [N, K].
        outputs: [N, M].
        patients: Of each row.
    """
    errors = dict.fromkeys(PENALTIES, 0.0)
    for held_out in _folds(patients):
        for penalty in PENALTIES:
            weights = ridge(inputs[~held_out], outputs[~held_out], penalty)
            misses = inputs[held_out] @ weights - outputs[held_out]
            errors[penalty] += float(np.square(misses).sum())
    return min(PENALTIES, key=lambda penalty: errors[penalty])


def left_out_errors(
    inputs: np.ndarray, outputs: np.ndarray, patients: Sequence[str], penalty: float
) -> np.ndarray:
    """Errors [N, M] of a ridge regression on patients who were left out of it.

    With fewer than two patients they are those of the fit itself.

    Args:
        inputs: [N, K].
        outputs: [N, M].
        patients: Of each row.
        penalty: As in `ridge`.
    """
    misses: np.ndarray = inputs @ ridge(inputs, outputs, penalty) - outputs
    for held_out in _folds(patients):
        weights = ridge(inputs[~held_out], outputs[~held_out], penalty)
        misses[held_out] = inputs[held_out] @ weights - outputs[held_out]
    return misses


def _folds(patients: Sequence[str]) -> Iterator[np.ndarray]:
    """Rows of each fold's patients, bool [N]; folds without a row or without a rest are left
    out."""
    fold = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1] % FOLDS
    for part in range(FOLDS):
        held_out = fold == part
        if held_out.any() and not held_out.all():
            yield held_out

"""Ridge regression beside scikit-learn's, and errors on patients that are left out."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.longitudinal.ridge import (
    FOLDS,
    PENALTIES,
    choose_penalty,
    left_out_errors,
    ridge,
)


def test_the_penalty_follows_left_out_patients() -> None:
    """Images of one patient never stand on both sides: copies of a row teach nothing."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 5))
    signal = inputs @ rng.normal(size=(5, 3))
    patients = [f"p{i}" for i in range(60)]
    assert choose_penalty(inputs, signal, patients) == min(PENALTIES)
    noise = rng.normal(size=(12, 40))
    wide = rng.normal(size=(12, 30))
    repeated = [f"p{i // 4}" for i in range(48)]
    copies = np.repeat(wide, 4, axis=0), np.repeat(noise, 4, axis=0)
    assert choose_penalty(*copies, repeated) > 10


def test_ridge_is_scikit_learns() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    inputs, outputs = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    alpha = 0.3 * np.square(inputs).mean()
    theirs = Ridge(alpha=alpha, fit_intercept=False).fit(inputs, outputs).coef_.T
    assert ridge(inputs, outputs, 0.3) == pytest.approx(theirs, abs=1e-8)


def test_left_out_errors_are_those_of_scikit_learns_folds() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    rng = np.random.default_rng(0)
    inputs, outputs = rng.normal(size=(25, 4)), rng.normal(size=(25, 1))
    fold = np.arange(25) % FOLDS
    patients = [f"{place:02d}" for place in range(25)]
    theirs = np.empty_like(outputs)
    for train, test in PredefinedSplit(fold).split():
        alpha = 0.3 * np.square(inputs[train]).mean()
        theirs[test, 0] = cross_val_predict(
            Ridge(alpha=alpha, fit_intercept=False),
            inputs,
            outputs[:, 0],
            cv=[(train, test), (test, train)],
        )[test]
    found = left_out_errors(inputs, outputs, patients, 0.3)
    assert found == pytest.approx(theirs - outputs, abs=1e-8)
    alone = left_out_errors(inputs, outputs, ["one"] * 25, 0.3)
    assert alone == pytest.approx(inputs @ ridge(inputs, outputs, 0.3) - outputs)

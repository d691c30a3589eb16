"""Rows of the table: pooled metrics and their intervals."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from latentdrift.evaluate.attributes.visit_metrics import RATIOS
from latentdrift.study.editors.editor_summary import pooled, summary

OPTIONS = SimpleNamespace(seed=0, bootstrap=400)


def cases(patients: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(patient=name) for name in patients]


def test_a_pooled_metric_is_the_quotient_of_sums_with_an_interval_over_patients() -> None:
    results = [{"error_4": e, "unchanged_4": 1.0} for e in (0.5, 0.6, 0.4, 0.5, 0.5, 0.5)]
    found = pooled(RATIOS["error_reduction_4"], results, cases("abcdef"), OPTIONS)
    assert found.value == pytest.approx(0.5) and found.n == 6
    assert 0.4 < found.ci[0] < 0.5 < found.ci[1] < 0.6


def test_images_of_one_patient_are_one_unit() -> None:
    """Six copies of one patient narrow nothing."""
    errors = np.array([0.2, 0.5, 0.8, 0.5])
    results = [{"error_4": e, "unchanged_4": 1.0} for e in errors]
    alone = pooled(RATIOS["error_reduction_4"], results, cases("abcd"), OPTIONS)
    copied = pooled(RATIOS["error_reduction_4"], results * 6, cases("abcd" * 6), OPTIONS)
    assert copied.value == pytest.approx(alone.value)
    assert np.ptp(copied.ci) == pytest.approx(np.ptp(alone.ci), rel=0.05)


def test_cases_that_lack_a_part_are_left_out() -> None:
    results = [{"error_4": 0.5, "unchanged_4": 1.0}, {}, {"ssim": 0.9}]
    found = summary(results, cases("abc"), OPTIONS)
    assert found["error_reduction_4"].n == 1 and found["error_reduction_4"].ci is None
    assert found["ssim"].value == 0.9
    assert "ventricles_r2" not in found


def test_nothing_changed_has_no_slope() -> None:
    results = [{"ventricles_change": 0.0, "true_ventricles_change": 0.1}] * 3
    found = summary(results, cases("abc"), OPTIONS)
    assert found["ventricles_r2"].value == 0 and "ventricles_slope" not in found

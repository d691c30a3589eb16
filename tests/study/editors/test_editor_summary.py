"""Rows of the table: pooled metrics and their intervals."""

from __future__ import annotations

from types import SimpleNamespace

from latentdrift.study.editors.editor_summary import summary

OPTIONS = SimpleNamespace(seed=0, bootstrap=400)


def cases(patients: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(patient=name) for name in patients]


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

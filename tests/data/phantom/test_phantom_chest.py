"""Chest phantom: findings are measured where they are, and nothing else changes."""

from __future__ import annotations

import numpy as np
from phantoms import adult

from latentdrift.data.phantom.phantom import KINDS, chest, labels, truth
from latentdrift.data.phantom.phantom_chest import anatomy as chest_anatomy

SUBJECTS = range(100, 108)


def chests(name, *findings, **attributes):
    return np.array(
        [truth(subject, adult(*findings, **attributes), "chest")[name] for subject in SUBJECTS]
    )


def test_cardiomegaly_is_a_ratio_above_one_half():
    assert (chests("cardiothoracic_ratio") < 0.5).all() and (
        chests("cardiothoracic_ratio", "cardiomegaly") > 0.5
    ).all()
    np.testing.assert_array_equal(
        chests("cardiothoracic_ratio"), chests("cardiothoracic_ratio", "effusion", "nodule")
    )


def test_findings_are_measured_where_they_are_and_only_there():
    assert not chests("effusion_height", "cardiomegaly", "nodule").any()
    assert not chests("nodule_area", "effusion", "cardiomegaly").any()
    assert (chests("effusion_height", "effusion") > 25.0).all()
    assert (chests("nodule_area", "nodule") > 150.0).all() and (
        chests("nodule_area", "nodule") < 800.0
    ).all()


def test_effusion_whitens_the_lower_lung_of_its_side_and_nothing_else():
    for subject in SUBJECTS:
        before = chest(subject, adult(), noise=0.0)
        after = chest(subject, adult("effusion"), noise=0.0)
        change = after - before
        left = chest_anatomy(subject, "M", 128).disease.effusion_side > 0
        other = change[:, :56] if left else change[:, 72:]
        assert not other.any() and not change[:48].any()
        assert change.max() > 0.15
        bulk = labels(subject, adult("effusion"), "chest") == KINDS["chest"].tissues["effusion"]
        assert change[bulk].mean() > 0.03 and bulk.sum() > 100


def test_a_nodule_is_one_round_opacity():
    for subject in SUBJECTS:
        change = chest(subject, adult("nodule"), noise=0.0) - chest(subject, adult(), noise=0.0)
        rows, columns = np.nonzero(np.abs(change) > 1e-6)
        assert np.ptp(rows) < 18 and np.ptp(columns) < 18 and change.max() > 0.05


def test_age_and_sex_show_in_a_chest():
    young, aged = (chest(100, adult(age=age), noise=0.0) for age in (30.0, 85.0))
    assert np.abs(aged - young).max() > 0.05
    assert not np.array_equal(chest(100, adult(), noise=0.0), chest(100, adult(sex="F"), noise=0.0))

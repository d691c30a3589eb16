"""Brain phantom: age and dementia change the anatomy as it is known to change, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import old

from latentdrift.data.phantom.phantom import DIAGNOSES, KINDS, brain, labels, truth

SUBJECTS = range(100, 108)
WELL, ILL = DIAGNOSES


def brains(name, **attributes):
    return np.array([truth(subject, old(**attributes), "brain")[name] for subject in SUBJECTS])


def test_old_brains_shrink_by_half_a_percent_a_year():
    """OASIS-2 loses 0.0050 of nWBV a year; dementia is faster (Marcus et al. 2010)."""
    ages = (65.0, 85.0)
    slope = {
        d: np.subtract(*[brains("brain_fraction", age=age, diagnosis=d) for age in ages[::-1]]) / 20
        for d in DIAGNOSES
    }
    assert slope[WELL].mean() == pytest.approx(-0.005, abs=0.0006)
    assert (slope[ILL] < slope[WELL]).all() and slope[ILL].mean() > -0.010
    young = (brains("brain_fraction", age=45.0) - brains("brain_fraction", age=25.0)) / 20
    assert (young < 0).all() and (young > slope[WELL]).all()


@pytest.mark.parametrize(("name", "sign"), [("brain_fraction", -1), ("ventricle_fraction", 1)])
def test_age_and_dementia_move_the_truth_of_every_subject(name, sign):
    base = brains(name, age=78.0)
    assert (sign * (brains(name, age=86.0) - base) > 0).all()
    assert (sign * (brains(name, age=78.0, diagnosis=ILL) - base) > 0).all()


def test_lesions_grow_with_age_and_dementia():
    """On average only: a ventricle that widens may swallow a lesion beside it."""
    aged = [brains("lesion_fraction", age=age).mean() for age in (40.0, 60.0, 70.0, 80.0, 90.0)]
    assert aged[0] == 0 and (np.diff(aged) > 0).all() and aged[-1] < 0.03
    assert brains("lesion_fraction", diagnosis=ILL).mean() > aged[2]


def test_ventricles_have_the_size_of_ventricles():
    assert (
        0.01
        < brains("ventricle_fraction", age=25.0).mean()
        < 0.05
        < brains("ventricle_fraction", age=80.0).mean()
        < 0.14
    )


def test_fractions_agree_with_the_label_map():
    counts = np.bincount(labels(100, old(80.0), "brain", size=384).ravel(), minlength=7)
    head = counts.sum() - counts[KINDS["brain"].tissues["background"]]
    expected = truth(100, old(80.0), "brain")["ventricle_fraction"]
    assert counts[KINDS["brain"].tissues["ventricle"]] / head == pytest.approx(expected, abs=0.01)


def test_dementia_leaves_what_it_does_not_touch_exactly_as_it_was():
    for subject in (100, 101):
        before, after = (
            brain(subject, old(75.0, diagnosis=d), visit=3, noise=0.0) for d in DIAGNOSES
        )
        change = np.abs(after - before)
        maps = [labels(subject, old(75.0, diagnosis=d), "brain") for d in DIAGNOSES]
        assert change[maps[0] != maps[1]].mean() > 0.1
        assert (change[maps[0] == 0] < 0.05).all()
        same = change < 1e-6
        assert same[maps[0] == 0].mean() > 0.9  # air, but for the pixels beside the brain
        assert same[(maps[0] == 3) & (maps[1] == 3)].mean() > 0.3  # the middle of white matter
        assert same[(maps[0] == 4) & (maps[1] == 4)].mean() > 0.3  # nuclei


def test_men_have_larger_heads():
    area = {
        sex: np.mean([(labels(s, old(sex=sex), "brain", size=96) > 0).mean() for s in SUBJECTS])
        for sex in "MF"
    }
    assert 1.05 < area["M"] / area["F"] < 1.25

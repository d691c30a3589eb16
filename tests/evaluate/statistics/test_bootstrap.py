"""Resampling: the right unit, the right width, nothing invented."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.statistics.bootstrap import (
    PatientResampling,
    choose,
    clustered_interval,
    draws,
    groups,
    halves,
    interval,
    mean_interval,
    part_by_unit,
    proportion_interval,
    rng,
)
from latentdrift.resampling import Resampling


def test_a_patient_is_drawn_whole():
    units = groups(6, ["a", "a", "a", "b", "b", "c"])
    for weights in draws(units, 50, rng(0, "test"), distinct=2):
        assert weights[0] == weights[1] == weights[2] and weights[3] == weights[4]
        assert weights[[0, 3, 5]].sum() == 3  # as many patients as there are
        assert (weights[[0, 3, 5]] > 0).sum() >= 2  # never one patient only


def test_without_patients_every_picture_is_its_own_unit():
    assert groups(4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("most", "counts"), [(4, [1, 1, 1, 1]), (8, [4, 1, 1, 2]), (99, [90, 1, 1, 2])]
)
def test_a_part_has_one_picture_of_every_patient_before_a_second_of_any(
    most: int, counts: list[int]
):
    units = np.repeat([0, 1, 2, 3], [90, 1, 1, 2])
    found = [part_by_unit(units, most, rng(seed, "part")) for seed in range(5)]
    for places in found:
        assert len(set(places)) == min(most, 94) and (np.diff(places) > 0).all()
        held = np.bincount(units[places], minlength=4)
        assert held[1:].min() >= 1 and held.tolist() == counts
    assert most > 94 or len({tuple(places) for places in found}) > 1


def test_the_same_seed_draws_the_same():
    first, second = (np.array(list(draws(np.arange(9), 5, rng(3, "x")))) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, np.array(list(draws(np.arange(9), 5, rng(4, "x")))))


def test_one_unit_cannot_give_a_resample_of_two():
    with pytest.raises(ValueError, match="1 units cannot give resamples of 2"):
        next(draws(np.zeros(5, int), 1, rng(0, "x"), distinct=2))


def test_halves_share_no_patient_and_have_equal_numbers():
    units = groups(9, list("aaaabbccd"))
    for first, second in halves(units, 30, rng(0, "halves")):
        assert first.sum() == second.sum() > 0
        assert not set(units[first > 0]) & set(units[second > 0])


def test_choose_draws_from_the_allowed_only():
    weights = choose(np.array([True, False, True, True]), 2, rng(0, "c"))
    assert weights.sum() == 2 and weights[1] == 0 and set(weights) == {0.0, 1.0}


def test_the_interval_of_a_mean_has_the_textbook_width():
    values = np.random.default_rng(0).normal(size=400)
    low, high = mean_interval(values, groups(400), 2000, rng(0, "mean"))
    assert (high - low) / 2 == pytest.approx(1.96 * values.std(ddof=1) / 20, rel=0.07)
    assert low < values.mean() < high


def test_repeat_visits_widen_the_interval():
    """40 patients with 10 identical pictures each hold 40 observations, not 400: wider by
    sqrt(10)."""
    patients = np.random.default_rng(1).normal(size=40)
    values = np.repeat(patients, 10)
    names = [str(i) for i in np.repeat(np.arange(40), 10)]
    by_patient = np.ptp(mean_interval(values, groups(400, names), 1000, rng(0, "p")))
    by_picture = np.ptp(mean_interval(values, groups(400), 1000, rng(0, "p")))
    assert by_patient / by_picture == pytest.approx(np.sqrt(10), rel=0.15)


def test_an_interval_is_centred_on_its_value():
    """Replicates that are all shifted upwards, as those of a biased score are, do not shift the
    interval."""
    replicates = np.random.default_rng(2).normal(loc=7.0, size=4000)
    low, high = interval(1.0, replicates)
    assert low == pytest.approx(1 - 1.96, abs=0.1) and high == pytest.approx(1 + 1.96, abs=0.1)


def test_two_patients_have_no_interval():
    assert mean_interval(np.arange(4.0), groups(4, ["a", "a", "b", "b"]), 10, rng(0, "m")) is None
    low, high = mean_interval(np.arange(3.0), groups(3), 500, rng(0, "m"))
    assert low < 1.0 < high


def test_a_share_of_none_still_has_an_upper_end():
    """Wilson's closed form for 0 of n is z^2 / (n + z^2)."""
    low, high = proportion_interval(0, 20)
    assert low == 0.0 and high == pytest.approx(1.959964**2 / (20 + 1.959964**2))
    assert proportion_interval(20, 20)[1] == 1.0


def test_four_edits_of_a_patient_that_agree_are_one_observation():
    patients = np.random.default_rng(0).normal(size=9)
    units = np.repeat(np.arange(9), 4)
    four, one = (PatientResampling(groups, Resampling(500)) for groups in (units, np.arange(9)))
    assert four.mean(np.repeat(patients, 4)).ci == pytest.approx(one.mean(patients).ci)
    assert four.patients == 9 and four.take(units < 3).patients == 3
    edits = PatientResampling(np.arange(36), Resampling(500))
    assert np.ptp(four.mean(np.repeat(patients, 4)).ci) > 1.7 * np.ptp(
        edits.mean(np.repeat(patients, 4)).ci
    )


def test_the_interval_of_a_share_is_wilsons_where_each_is_its_own_patient():
    hits = np.arange(20) < 13
    assert clustered_interval(hits, np.arange(20)) == proportion_interval(13, 20)


def test_the_interval_of_a_share_counts_patients_who_agree_once():
    """Of 9 patients who agree with themselves the effective number is 36 / d with d = 35 / 8 (Kish
    1965)."""
    units = np.repeat(np.arange(9), 4)
    agree = np.repeat(np.arange(9) < 6, 4)
    low, high = clustered_interval(agree, units)
    n = 36 * 8 / 35
    z = 1.959964
    for end in (low, high):
        assert (end - 2 / 3) ** 2 == pytest.approx(
            z * z * end * (1 - end) / n
        )  # Wilson 1927: the score equation
    assert clustered_interval(np.ones(36, bool), units) == proportion_interval(9, 9)
    assert clustered_interval(np.ones(8, bool), np.repeat([0, 1], 4)) is None


def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(1)
    held = 0
    units = np.repeat(np.arange(15), 3)
    for _ in range(400):
        hits = generator.random(45) < np.repeat(
            generator.beta(0.7, 0.3, size=15), 3
        )  # patients differ much; the mean is 0.7
        low, high = clustered_interval(hits, units)
        held += low <= 0.7 <= high
    assert held >= 0.92 * 400

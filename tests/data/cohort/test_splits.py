"""Splits: nobody is cut in two, shares hold, a seed is a seed; and what looks alike stays
together."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentdrift.data.cohort import splits
from latentdrift.errors import OptionError

SHARES = (0.7, 0.15, 0.15)


@settings(deadline=None, max_examples=60)
@given(
    groups=st.lists(st.integers(0, 40), min_size=1, max_size=120),
    shares=st.sampled_from([SHARES, (0.8, 0.2, 0.0), (1.0, 0.0, 0.0), (0.5, 0.25, 0.25)]),
    seed=st.integers(0, 3),
)
def test_no_group_is_cut_and_totals_are_exact(groups, shares, seed):
    strata = ["ab"[g % 2] for g in groups]
    of = splits.assign(groups, strata, shares, seed)
    assert len({(group, split) for group, split in zip(groups, of, strict=True)}) == len(
        set(groups)
    )
    per_split = Counter(dict(zip(groups, of, strict=True)).values())
    assert [per_split[name] for name in splits.SPLITS] == splits.totals(len(set(groups)), shares)
    order = np.random.default_rng(seed).permutation(len(groups))
    assert splits.assign([groups[i] for i in order], [strata[i] for i in order], shares, seed) == [
        of[i] for i in order
    ]


def test_shares_of_a_label_are_kept_in_each_split():
    rng = np.random.default_rng(0)
    patients = [f"p{i}" for i in range(300) for _ in range(2)]
    ill = {f"p{i}": rng.random() < 0.2 for i in range(300)}
    of = splits.assign(patients, [ill[p] for p in patients], SHARES, 0)
    overall = np.mean(list(ill.values()))
    for name in splits.SPLITS:
        members = {p for p, split in zip(patients, of, strict=True) if split == name}
        assert abs(np.mean([ill[p] for p in members]) - overall) < 1.5 / len(members)


def test_another_seed_is_another_split():
    patients = [str(i) for i in range(60)]
    assert (
        splits.assign(patients, None, SHARES, 0)
        == splits.assign(patients, None, SHARES, 0)
        != splits.assign(patients, None, SHARES, 1)
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, [1, 0, 0]),
        (2, [1, 0, 1]),
        (3, [1, 1, 1]),
        (5, [3, 1, 1]),
        (10, [7, 2, 1]),
        (100, [70, 15, 15]),
    ],
)
def test_small_cohorts(number, expected):
    totals = splits.totals(number, SHARES)
    assert sum(totals) == number
    assert sorted(totals) == sorted(expected) and totals[0] == expected[0]


def test_an_empty_split_is_said():
    of = splits.assign(["a", "b"], None, SHARES, 0)
    assert splits.notes(of, ["a", "b"], SHARES, "patients") == [
        "The validation split is empty: 2 patients cannot be shared among more splits."
    ]
    assert splits.notes(["train"], ["a"], (1.0, 0.0, 0.0), "patients") == []


def test_shares_must_sum_to_one():
    with pytest.raises(OptionError, match=r"the split 0.7, 0.7, 0.1 sums to 1.5; it must sum to 1"):
        splits.assign(["a"], None, (0.7, 0.7, 0.1), 0)


def test_numbers_become_quartiles_and_missing_their_own_stratum():
    labels = splits.bins(pd.Series([*range(8), np.nan]))
    assert Counter(labels) == {0: 2, 1: 2, 2: 2, 3: 2, "missing": 1}

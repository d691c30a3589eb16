"""Train, validation and test: by group (a patient), seeded, the same shares of a label in each
where that can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from latentdrift.errors import OptionError
from latentdrift.seeds import derive

SPLITS = ("train", "validation", "test")


def assign(
    groups: Sequence[Hashable],
    strata: Sequence[Hashable] | None,
    shares: Sequence[float],
    seed: int,
) -> list[str]:
    """The split of each image.

    Groups are put in a seeded order within their stratum, the strata one after the other; each
    group then goes to the split that is furthest behind its share. So totals are exact, every
    stratum is shared out nearly in proportion, and a group is never cut.

    Args:
        groups: Per image, the group that must stay together.
        strata: Per image, the label whose shares are kept; the majority counts for a group.
        shares: Shares of train, validation and test, counted in groups; they sum to 1.
        seed: Seed of the order.

    Returns:
        One of SPLITS per image, independent of the images' order.
    """
    if abs(sum(shares) - 1) > 1e-6:
        raise OptionError(
            f"the split {', '.join(f'{share:g}' for share in shares)} sums to {sum(shares):g}; it "
            "must sum to 1"
        )
    stratum = _majority(groups, strata)
    order = sorted(
        stratum, key=lambda group: (str(stratum[group]), derive(seed, "split", str(group)))
    )
    quota = dict(zip(SPLITS, totals(len(order), shares), strict=True))
    given = dict.fromkeys(SPLITS, 0)
    split_of = {}
    for position, group in enumerate(order, start=1):
        behind = {
            name: quota[name] * position / len(order) - given[name]
            for name in SPLITS
            if given[name] < quota[name]
        }
        split_of[group] = max(behind, key=lambda name: behind[name])
        given[split_of[group]] += 1
    return [split_of[group] for group in groups]


def totals(groups: int, shares: Sequence[float]) -> list[int]:
    """Number of groups in each split, by largest remainders; no requested split is empty if
    possible.

    Args:
        groups: Number of groups, as patients.
        shares: Share of each split, with sum 1.
    """
    wanted = [share * groups for share in shares]
    counts = [int(value + 1e-9) for value in wanted]
    for index in sorted(range(len(shares)), key=lambda i: counts[i] - wanted[i])[
        : groups - sum(counts)
    ]:
        counts[index] += 1
    for index in sorted(
        range(len(shares)), key=lambda i: (i != 0, -i)
    ):  # train first, then test, then validation
        largest = max(range(len(shares)), key=lambda i: counts[i])
        if shares[index] > 0 and counts[index] == 0 and counts[largest] > 1:
            counts[largest] -= 1
            counts[index] += 1
    return counts


def notes(
    splits: Sequence[str], groups: Sequence[Hashable], shares: Sequence[float], group_name: str
) -> list[str]:
    """Sentences on splits that are empty though they have a share.

    Args:
        splits: Split of each image.
        groups: Group of each image.
        shares: Share of each split.
        group_name: Plural of a group, as "patients".
    """
    number = len(set(groups))
    empty = [
        name for name, share in zip(SPLITS, shares, strict=True) if share > 0 and name not in splits
    ]
    return [
        f"The {name} split is empty: {number} {group_name} cannot be shared among more splits."
        for name in empty
    ]


def bins(values: pd.Series, number: int = 4) -> pd.Series:
    """Quantile labels of a number, so that splits can be stratified by it.

    Args:
        values: Numbers; missing ones have the label "missing".
        number: Number of quantiles.
    """
    labels = pd.qcut(
        values.rank(method="first"), min(number, max(1, values.nunique())), labels=False
    )
    return labels.astype(object).where(values.notna(), "missing")


def _majority(
    groups: Sequence[Hashable], strata: Sequence[Hashable] | None
) -> Mapping[Hashable, Hashable]:
    if strata is None:
        return dict.fromkeys(groups, "")
    votes: dict[Hashable, Counter[str]] = {}
    for group, label in zip(groups, strata, strict=True):
        votes.setdefault(group, Counter())[str(label)] += 1
    return {
        group: min(count, key=lambda label: (-count[label], label))
        for group, count in votes.items()
    }

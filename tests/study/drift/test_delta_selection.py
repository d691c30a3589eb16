"""Choice of delta: the lowest score, ties, and warnings about the curve."""

from __future__ import annotations

from delta_curves import curve, names

from latentdrift.study.drift.delta_selection import choose, flags, lowest


def test_the_lowest_is_chosen_where_intervals_tell_it_apart() -> None:
    found = curve(lambda delta: (delta - 0.1) ** 2, 1e-4)
    assert choose(found).delta == 0.1 and names(found) == []


def test_ties_go_to_the_smallest_drift() -> None:
    found = curve(lambda delta: (delta - 0.1) ** 2, 0.004)  # 0.05 and 0.1 are 0.0025 apart
    assert lowest(found).delta == 0.1 and choose(found).delta == 0.05
    assert choose(curve(lambda delta: (delta - 0.1) ** 2, 0.006)).delta == 0.0
    assert (
        choose(curve(lambda delta: abs(abs(delta) - 0.1) - 0.01 * delta, 0.0)).delta == 0.1
    )  # lower of the two


def test_ties_of_the_fine_search_go_to_the_trained_drift() -> None:
    found = curve(lambda delta: 1.0, 0.1, (0.05, 0.075, 0.1, 0.125, 0.15))
    assert choose(found, anchor=0.1).delta == 0.1


def test_order_does_not_matter() -> None:
    found = curve(lambda delta: (delta + 0.05) ** 2, 0.002)
    backwards = found[::-1]
    assert choose(found) == choose(backwards) and flags(found) == flags(backwards)


def test_flags() -> None:
    assert names(curve(lambda delta: 1 - delta, 1e-3)) == ["edge"]
    assert names(curve(lambda delta: (delta**2 - 0.01) ** 2 * 100, 1e-3)) == ["non-convex"]
    assert names(curve(lambda delta: (delta**2 - 0.01) ** 2 * 100, 0.1)) == ["flat"]
    assert names(curve(lambda delta: 0.4, 0.1)) == ["degenerate"]
    assert names(curve(lambda delta: (delta**2 - 0.01) ** 2 * 100, 0.0)) == ["no-interval"]
    assert choose(curve(lambda delta: 0.4, 0.1)).delta == 0

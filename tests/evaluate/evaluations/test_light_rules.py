"""Rules of colours: from the ends of an interval, and from the worst of several parts."""

from __future__ import annotations

import pytest

from latentdrift.evaluate.evaluations.light_rules import (
    colour_of_share,
    list_by_colour,
    worst_colour,
)


@pytest.mark.parametrize(
    ("low", "high", "colour"),
    [
        (0.75, 2.0, "green"),
        (0.74, 0.99, "amber"),
        (0.2, 0.49, "red"),
        (-1.0, 0.49, "red"),  # however wide the interval is
        (0.4, 0.9, "amber"),
        (0.3, 0.9, "grey"),
    ],
)
def test_the_interval_decides(low: float, high: float, colour: str) -> None:
    assert colour_of_share(low, high) == colour


def test_the_worst_part_decides_and_stands_first() -> None:
    assert worst_colour(["green", "grey", "amber"]) == "amber"
    assert worst_colour(["green", "red"]) == "red"
    assert worst_colour(["green", "grey"]) == "grey"
    assert worst_colour([]) == "grey"
    assert list_by_colour({"green": ["age"], "red": ["sex", "view"]}) == "sex; view; age."
    assert list_by_colour({}) == "Nothing could be judged."

"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from latentdrift.display.counting import count


@pytest.mark.parametrize(
    ("n", "words"), [(0, "0 real images"), (1, "1 real image"), (2, "2 real images")]
)
def test_the_noun_follows_the_number(n: int, words: str) -> None:
    assert count(n, "real image") == words

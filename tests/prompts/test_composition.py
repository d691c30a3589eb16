"""Several conditions in one picture: the syntax, the sum, and that one condition is what it is
alone."""

from __future__ import annotations

import pytest

from latentdrift.errors import OptionError
from latentdrift.prompts.composition import compose, parts


def test_the_syntax_is_the_web_interfaces() -> None:
    assert parts("effusion:0.5 AND pneumonia: -0.25 AND a heart") == [
        ("effusion", 0.5),
        ("pneumonia", -0.25),
        ("a heart", 1.0),
    ]
    assert parts("a ratio of 3:2") == [("a ratio of 3:2", 1.0)]  # without AND nothing is a weight
    assert parts("sand AND sea AND 2:.5") == [("sand", 1.0), ("sea", 1.0), ("2", 0.5)]
    assert parts(compose([("a", 0.5), ("b: c", 2.0)])) == [("a", 0.5), ("b: c", 2.0)]
    assert compose([("a", 1.0)]) == "a"
    with pytest.raises(OptionError, match="nothing on one side"):
        parts("effusion AND ")

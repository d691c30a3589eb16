"""Attributes and their changes in words."""

from __future__ import annotations

import pytest

from latentdrift.evaluate.images.attribute_words import attribute, change


@pytest.mark.parametrize(
    ("name", "title"),
    [("age", "age"), ("sex=F", "sex: F"), ("findings=Effusion", "Effusion"), ("x=a=b", "x: a=b")],
)
def test_an_attribute_has_a_title(name: str, title: str) -> None:
    assert attribute(name) == title


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("age up", "age increased"),
        ("age down", "age decreased"),
        ("age set", "age set"),
        ("findings=Effusion added", "Effusion added"),
        ("findings=Mass removed", "Mass removed"),
        ("sex=M", "sex changed to M"),
        ("diagnosis=no dementia", "diagnosis changed to no dementia"),
        ("age", "age"),
    ],
)
def test_a_change_is_said_in_words(kind: str, words: str) -> None:
    assert change(kind) == words

"""Errors: one tree, and a sentence for a name that is no row of its table."""

from __future__ import annotations

import pytest

from latentdrift import errors


def test_every_error_is_of_one_tree() -> None:
    named = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in named if kind.__module__ == errors.__name__]
    assert len(kinds) >= 7
    assert all(issubclass(kind, errors.LatentDriftError) for kind in kinds)
    assert all(kind.__name__ in str(errors.__doc__) for kind in kinds)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("ddmi", "unknown editor 'ddmi'; known: ddim, sdedit (did you mean 'ddim'?)"),
        ("zzz", "unknown editor 'zzz'; known: ddim, sdedit"),
    ],
)
def test_an_unknown_name_lists_the_known_and_the_nearest(value: str, sentence: str) -> None:
    assert str(errors.unknown("editor", value, {"sdedit", "ddim"})) == sentence

"""Variants of a test of which a default run takes some, and `-m slow` the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some_at_once(names: Iterable[str], quick: Iterable[str]) -> list[Any]:
    """Parameters of a test, slow but for some.

    Args:
        names: All variants.
        quick: Those of a default run.
    """
    known = list(names)
    chosen = set(quick)
    assert chosen <= set(known), f"{chosen - set(known)} are no variants"
    return [
        name if name in chosen else pytest.param(name, marks=pytest.mark.slow) for name in known
    ]

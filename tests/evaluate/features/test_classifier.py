"""Networks of classifiers: the small one by its seed, and folders that hold no vision model."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from latentdrift.errors import InputError
from latentdrift.evaluate.features.classifier import SIZE, SMALL, classifier, load_network


def test_the_small_network_depends_on_its_seed_alone() -> None:
    x = torch.rand(2, 3, SIZE, SIZE)
    torch.manual_seed(1)
    first = classifier(0)(x)
    torch.manual_seed(2)
    assert torch.equal(first, classifier(0)(x))
    assert not torch.equal(first, classifier(1)(x))
    assert classifier(0, outputs=5)(x).shape == (2, 5)


def test_the_small_network_has_the_stated_number_of_parameters() -> None:
    """Convolutions 9 in out, two numbers of each normalised channel, and the linear layer."""
    widths = (3, 16, 32, 64, 128)
    expected = sum(9 * a * b + 2 * b for a, b in pairwise(widths)) + 129
    assert sum(part.numel() for part in classifier(0).parameters()) == expected
    assert expected == pytest.approx(98_000, rel=0.01)


def test_a_seed_of_others_is_left_as_it_is() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    classifier(0)
    assert torch.equal(torch.rand(4), expected)


def test_small_is_a_name_and_other_folders_are_refused(tmp_path: Path) -> None:
    assert load_network("small") is SMALL
    with pytest.raises(InputError, match="no vision model could be read from"):
        load_network(str(tmp_path))

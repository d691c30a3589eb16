"""The index of training images against the comparison of all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from latentdrift.evaluate.images import candidate_index, registration
from latentdrift.evaluate.images.candidate_index import CANDIDATES, CandidateIndex
from latentdrift.evaluate.images.fine_structure import structure, structure_of
from latentdrift.evaluate.privacy.copy_perturbations import DISGUISES, disguise
from latentdrift.evaluate.statistics.bootstrap import rng

N = 160


@pytest.fixture(scope="module")
def images():
    """Smooth random pictures without anything in common."""
    noise = np.random.default_rng(0).normal(size=(N, 64, 64))
    smooth = gaussian_filter(noise, (0, 1.5, 1.5))
    grey = (0.5 + smooth).clip(0, 1).astype(np.float32)
    return np.repeat(grey[..., None], 3, -1)


@pytest.fixture(scope="module")
def known(images):
    return structure(images)


@pytest.fixture
def small(monkeypatch):
    """A shortlist that is shorter than the set."""
    monkeypatch.setattr(candidate_index, "SHORTLIST", 110)
    monkeypatch.setattr(registration, "SHORTLIST", 110)


def test_every_disguise_is_a_candidate_and_found(images, known, small):
    copies = [disguise(name, images[[7]], rng(0, name)) for name in DISGUISES]
    found = registration.nearest(np.concatenate(copies), known)
    missed = [name for name, place in zip(DISGUISES, found.index, strict=True) if place != 7]
    assert not missed and found.value.min() > 0.9


def test_the_nearest_is_as_similar_as_in_the_full_search(images, known, small, monkeypatch):
    copies = np.concatenate([disguise("cropped by 8 %", images[[i]], rng(i)) for i in range(3)])
    indexed = registration.nearest(copies, known)
    monkeypatch.setattr(registration, "SHORTLIST", N)
    full = registration.nearest(copies, known)
    np.testing.assert_array_equal(indexed.index, full.index)
    np.testing.assert_array_equal(indexed.mirrored, full.mirrored)
    np.testing.assert_allclose(indexed.value, full.value, atol=1e-5)
    np.testing.assert_allclose(indexed.fine, full.fine, atol=1e-5)


def test_small_sets_have_no_index(known):
    reference = registration._Reference(known, [torch.zeros(1, 1, s, s) for s in (32, 64, 128)])
    assert reference.index is None


def test_candidates_are_those_of_the_coarse_search(images, known, small):
    """Similarity and move of a candidate are those of the comparison with every image."""
    zero = torch.zeros(1, 1, 32, 32)
    query = structure_of(images[:2])[0]
    similarity, number = registration._Reference(known, [zero])._coarse(query, slice(0, N))
    index = CandidateIndex.of(known, zero)
    for row, image in enumerate(query):
        found = index.candidates(image, None)
        assert len(found.index.unique()) == CANDIDATES and found.index[0] == row
        assert (found.similarity.diff() <= 0).all()
        torch.testing.assert_close(
            found.similarity, similarity[row, found.index], atol=1e-5, rtol=0
        )
        assert torch.equal(found.number[:1], number[row, found.index[:1]])


def test_what_does_not_count_is_no_candidate(images, known, small):
    own = np.arange(N)
    found = registration.nearest(
        images[:2], known, lambda rows, columns: own[rows, None] == own[None, columns]
    )
    assert (found.index != own[:2]).all() and (found.value < 0.9).all()
    nobody = registration.nearest(
        images[:2], known, lambda rows, columns: np.ones((1, len(own[columns])), bool)
    )
    assert (nobody.value == -1).all()


def test_blocks_change_nothing(images, known, small, monkeypatch):
    expected = registration.nearest(images[:2], known)
    monkeypatch.setattr(candidate_index, "COLUMNS", 50)
    split = registration.nearest(images[:2], known)
    np.testing.assert_array_equal(split.index, expected.index)
    np.testing.assert_allclose(split.value, expected.value, atol=1e-6)


def test_images_without_structure_have_an_index():
    """Flat images: nothing is like anything, and nothing fails."""
    flat = np.full((4, 32, 32, 3), 0.5, np.float32)
    index = CandidateIndex.of(structure(flat), torch.zeros(1, 1, 32, 32))
    assert torch.isfinite(index.descriptors).all()

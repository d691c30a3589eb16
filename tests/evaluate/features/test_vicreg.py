"""The encoder that learns from a cohort: its loss, its views, and that it learns what varies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentdrift.errors import InputError, OptionError
from latentdrift.evaluate.features import vicreg
from latentdrift.evaluate.features.features import Learned, load_features
from latentdrift.evaluate.features.vicreg import (
    MIN_IMAGES,
    SIZE,
    encode,
    encoder_key,
    learn,
    load_encoder,
    loss,
    view,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages


def discs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Discs of two radii at places that differ, on a field of noise; and which radius."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    kinds = np.arange(n) % 2
    at = generator.uniform(24, 40, (n, 2))
    inside = (y - at[:, :1, None]) ** 2 + (x - at[:, 1:, None]) ** 2 < np.where(kinds, 12, 7)[
        :, None, None
    ] ** 2
    grey = np.clip(0.3 + 0.4 * inside + generator.normal(0, 0.05, inside.shape), 0, 1)
    return np.repeat(grey[..., None], 3, -1).astype(np.float32), kinds


def test_the_loss_in_closed_form():
    """Two independent columns of unit variance: only the invariance is left; a collapsed batch pays
    for its variance."""
    a = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * np.sqrt(3) / 2
    assert float(loss(a, a)) == pytest.approx(0, abs=1e-6)
    assert float(loss(a, a + 0.1)) == pytest.approx(25 * 0.01, rel=1e-4)
    flat = torch.zeros(4, 2)
    assert float(loss(flat, flat)) == pytest.approx(2 * 25 * (1 - 0.01), rel=1e-5)
    tied = a[:, :1].repeat(1, 2)
    assert float(loss(tied, tied)) == pytest.approx(
        2 * 2 / 2, rel=1e-5
    )  # off-diagonal 1 twice, over 2 dimensions, two views


def test_views_are_never_mirrored():
    """A picture that is bright on the left stays so in every view."""
    ramp = torch.linspace(1, 0, SIZE).expand(64, 3, SIZE, SIZE)
    seen = view(ramp, torch.Generator().manual_seed(0))
    assert seen.shape == ramp.shape and float(seen.min()) >= 0 and float(seen.max()) <= 1
    assert (
        seen[..., : SIZE // 4].mean((1, 2, 3)) > seen[..., -SIZE // 4 :].mean((1, 2, 3)) + 0.1
    ).all()
    assert not torch.equal(seen[0], seen[1])


def test_the_same_seed_learns_the_same():
    images = EvaluationImages(discs(MIN_IMAGES, 0)[0])
    first, again, other = (learn(images, seed, steps=3).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_an_encoder_is_learned_once(tmp_path, monkeypatch):
    monkeypatch.setattr(vicreg, "STEPS", 2)
    monkeypatch.setattr(learn, "__defaults__", ("cpu", 2))
    images = EvaluationImages(discs(MIN_IMAGES, 0)[0])
    first = load_encoder(images, tmp_path, 0, "cpu")
    monkeypatch.setattr(vicreg, "learn", lambda *_: pytest.fail("was learned again"))
    again = load_encoder(images, tmp_path, 0, "cpu")
    pictures = images.images[:2]
    assert torch.equal(encode(first, pictures, "cpu"), encode(again, pictures, "cpu"))
    assert (
        encoder_key(images, 0)
        != encoder_key(images, 1)
        != encoder_key(EvaluationImages(discs(MIN_IMAGES, 1)[0]), 1)
    )


@pytest.mark.slow
def test_it_learns_what_varies_without_a_label():
    """Two views of each picture on standardised features: nearer to each other, and the radius is
    told from the other view."""
    images, _ = discs(128, 0)
    tried, kinds = discs(64, 1)
    x = torch.from_numpy(tried).permute(0, 3, 1, 2)

    def measured(steps: int) -> tuple[float, float]:
        """Distance of two views of one picture over that of two pictures, and accuracy by the mean
        of each kind's first views."""
        network = learn(EvaluationImages(images), 0, steps=steps).requires_grad_(False)
        source = torch.Generator().manual_seed(0)
        one, other = (network(view(x, source)) for _ in range(2))
        one, other = ((z - z.mean(0)) / (z.std(0) + 1e-9) for z in (one, other))
        means = torch.stack([one[kinds == kind].mean(0) for kind in (0, 1)])
        hits = (torch.cdist(other, means).argmin(1).numpy() == kinds).mean()
        apart = torch.cdist(one, other)
        return float(apart.diag().mean() / apart.mean()), float(hits)

    (before, guessed), (after, told) = measured(0), measured(60)
    assert after < 0.9 * before
    assert told >= 0.9 and told >= guessed + 0.1


def test_too_few_images_get_a_sentence():
    with pytest.raises(InputError, match="at least 16 training images, and there are 3"):
        learn(EvaluationImages(np.zeros((3, 8, 8, 3))), 0)


def test_it_brings_a_general_space_along(tmp_path, monkeypatch):
    monkeypatch.setattr(vicreg, "load_encoder", lambda *_: vicreg.Encoder())
    learned = Learned(EvaluationImages(np.zeros((20, 8, 8, 3))), tmp_path, 0)
    how = {"pocket": lambda x: x.mean((2, 3)), "learned": learned}
    assert list(load_features(["ssl"], **how)) == ["pocket", "ssl"]
    assert list(load_features(["ssl", "pocket"], **how)) == ["ssl", "pocket"]
    with pytest.raises(OptionError, match="there are none"):
        load_features(["ssl"], pocket=how["pocket"])

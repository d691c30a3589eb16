"""Regularised noise: its terms in closed form, and a descent that ends nearer to white noise."""

from __future__ import annotations

import math

import pytest
import torch
from gaussian import randn
from gaussian_inversions import error, task

from latentdrift.edit.inversions import noise_regularization
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.edit.inversions.noise_regularization import correlation, divergence, regularised


def test_regularised_noise_is_nearer_to_white_with_each_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of Stable Diffusion's size and with much structure, where a descent in steps too long would
    lead away."""
    white = randn(1, 4, 64, 64)
    ramp = torch.linspace(-1, 1, 64, dtype=torch.float64)
    for structured in (0.7 * white + 0.8 * ramp + 0.3, 0.7 * white + 1.0):
        left = []
        for rounds in (0, 1, 2, 5, 20):
            monkeypatch.setattr(noise_regularization, "ROUNDS", rounds)
            made = regularised(structured)
            left.append((correlation(made) + divergence(made)).item())
        assert left == sorted(left, reverse=True)
    assert (regularised(white) - white).pow(2).mean() < 1e-3 * (made - structured).pow(
        2
    ).mean()  # which has nothing to lose


def test_regularised_noise_is_moved_alike_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the same noise have its mean and variance, so that each number moves as far as in
    one."""
    monkeypatch.setattr(noise_regularization, "CORRELATION", 0.0)
    eps = 0.6 * randn(1, 4, 8, 8) + 0.2
    assert torch.allclose(
        regularised(eps.repeat(1, 1, 2, 2)), regularised(eps).repeat(1, 1, 2, 2), atol=1e-3
    )  # n - 1 and n


def test_an_image_of_structure_has_a_noise_of_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """What regularisation costs the way back, it gives the noise; without a round it is the plain
    inversion."""
    ramp = torch.linspace(-1, 1, 32, dtype=torch.float64)
    asked = task(x0=-0.2 + 0.35 * (0.7 * randn(1, 4, 32, 32) + 0.8 * ramp), steps=20)
    plain = INVERSIONS["negative-prompt"].invert(asked)
    errors = []
    left = []
    for rounds in (0, 1, 5):
        monkeypatch.setattr(noise_regularization, "ROUNDS", rounds)
        found = INVERSIONS["regularised"].invert(asked)
        assert torch.equal(found.xt, plain.xt) == (rounds == 0)
        errors.append(error(asked, "regularised"))
        left.append(correlation(found.xt).item())
    assert errors == sorted(errors) and left == sorted(left, reverse=True)


def test_regularisation_is_centred_on_the_drift() -> None:
    """The wrapped network's noise has mean 0; the bare one's has the mean delta, which the same
    terms would take out."""
    white = randn(1, 4, 16, 16)
    white = (white - white.mean()) / white.std()
    bare = regularised(white + 0.5).mean()
    assert (
        bare
        < 0.5
        * (1 - 2 * noise_regularization.DIVERGENCE / noise_regularization.THEIRS)
        ** noise_regularization.ROUNDS
        + 1e-6
    )  # the mean's own descent
    assert abs(regularised(white).mean()) < 1e-3 * bare


def test_what_regularises_noise_in_closed_form() -> None:
    """A constant is correlated with itself moved by c^4 at every level, a sign that alternates at
    the finest alone."""
    flat = torch.full((1, 4, 16, 16), 0.5, dtype=torch.float64)
    assert correlation(flat).item() == pytest.approx(
        2 * 2 * 4 * 0.5**4
    )  # levels of 16 and 8, rows and columns, channels
    striped = torch.ones(1, 4, 16, 16, dtype=torch.float64)
    striped[..., ::2] = -1.0
    assert correlation(striped).item() == pytest.approx(2 * 4)
    eps = randn(1, 4, 16, 16, seed=5)
    eps = 0.3 + 1.5 * (eps - eps.mean()) / eps.std()
    assert divergence(eps).item() == pytest.approx(1.5**2 + 0.3**2 - 1 - math.log(1.5**2), abs=1e-6)

"""Starts of edits that draw from noise: drift moves their mean as it moves that of sampling."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from gaussian import sd_schedule

from latentdrift.edit.core.sampling_start import SAMPLER, start
from latentdrift.model.drift import Drift
from latentdrift.sample.samplers import first_time

BASE = SimpleNamespace(
    latent_size=lambda side: side // 8,
    latent_channels=4,
    schedule=sd_schedule(),
    device=torch.device("cpu"),
)


def drawn(drift: Drift, seed: int = 0) -> torch.Tensor:
    return start(BASE, drift, None, "a brain MRI", 50, 256, torch.Generator().manual_seed(seed))


def test_the_generator_decides_the_noise() -> None:
    first = drawn(Drift())
    assert first.shape == (1, 4, 32, 32)
    assert torch.equal(first, drawn(Drift()))
    assert not torch.equal(first, drawn(Drift(), seed=1))


def test_drift_of_the_start_moves_the_mean_by_s_delta() -> None:
    """Training without drift, sampling with delta: the start is N(s_T delta, I)."""
    delta = (0.1, -0.2, 0.3, 0.0)
    plain = drawn(Drift())
    moved = drawn(Drift.of(delta, "infer"))
    schedule = BASE.schedule
    s = schedule.s(first_time(SAMPLER, schedule, 50))
    expected = s * torch.tensor(delta).reshape(1, 4, 1, 1)
    assert torch.allclose(moved - plain, expected.to(plain).expand_as(plain), atol=1e-5)

"""Variants of the drift benchmark: every row by default, and combinations that are not possible."""

from __future__ import annotations

from latentdrift import config
from latentdrift.study.benchmarks.drift_variants import FITS, VARIANTS, possible


def test_the_default_is_every_variant() -> None:
    assert config.BenchDriftOptions.model_fields["variants"].default == tuple(VARIANTS)
    assert {row.fit for row in VARIANTS.values()} == set(FITS)


def test_a_frozen_network_is_not_retrained() -> None:
    assert not possible("textual-inversion", "zero-snr")
    assert possible("lora", "zero-snr")

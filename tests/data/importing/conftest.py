"""Fixtures of the tests in this folder."""

from __future__ import annotations

import pytest
from noise_pictures import picture


@pytest.fixture
def source(tmp_path):
    for seed in range(6):
        picture(tmp_path / "scans" / f"{seed}.png", seed)
    return tmp_path / "scans"

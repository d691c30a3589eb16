"""Fixtures of the tests in this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from latentdrift.model.base import Base


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


@pytest.fixture
def broken(tiny_base_folder: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(tiny_base_folder, tmp_path / "broken")

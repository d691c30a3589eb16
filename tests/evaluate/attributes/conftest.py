"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import tiny_clip


@pytest.fixture
def clip(tmp_path: Path, tiny_base_folder: Path) -> Path:
    return tiny_clip(tmp_path, tiny_base_folder)

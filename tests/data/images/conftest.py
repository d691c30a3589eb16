"""Fixtures of the tests of images."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A place for one DICOM file."""
    return tmp_path / "a.dcm"

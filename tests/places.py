"""Where the repository and the data beside it lie."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"

"""Options of the verbs that run others."""

from __future__ import annotations

from pathlib import Path

from latentdrift.config.base import Options


class ReplayOptions(Options):
    """Run a record again and compare the output."""

    record: Path
    """Path of an earlier run's `record.json`."""
    out: Path
    """Folder of the repeated output."""


class DemoOptions(Options):
    """Run the whole pipeline on the embedded base and a phantom cohort, in a few minutes."""

    out: Path = Path("demo")
    """Folder of all that the demo makes."""
    seed: int = 0
    """Seed of the demo."""

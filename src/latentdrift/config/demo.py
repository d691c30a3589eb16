"""Options of the verbs that run others."""

from __future__ import annotations

from pathlib import Path

from latentdrift.config.base import Options


class ReplayOptions(Options):
    """Run a record again and compare what comes out."""

    record: Path
    """The `record.json` of an earlier run."""
    out: Path
    """Where the repeated output goes."""


class DemoOptions(Options):
    """The whole job on the embedded base and a phantom cohort, in a few minutes."""

    out: Path = Path("demo")
    """Folder for everything the demo makes."""
    seed: int = 0
    """Seed of the demo."""

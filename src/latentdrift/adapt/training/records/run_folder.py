"""The run folder of a fit: what was asked, the log, whether it is finished."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from latentdrift.config import FitOptions
from latentdrift.errors import OptionError, ResourceError
from latentdrift.storage import aside_of, write_text

SETTINGS = "fit.json"
UNFINISHED = {aside_of(Path(SETTINGS)).name, f".{SETTINGS}.writing"}
"""Names of the settings of a run that was killed while it claimed its folder."""
DEFAULTS = {name: field.default for name, field in FitOptions.model_fields.items()}
RECENT = 50  # steps


@dataclass(frozen=True)
class Run:
    """`runs/<name>/`: fit.json, log.jsonl, tensorboard/, cache/, checkpoints/, previews/,
    adapter/."""

    folder: Path

    @property
    def adapter(self) -> Path:
        """Folder of the adapter; it appears whole or not at all."""
        return self.folder / "adapter"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints from which an interrupted run resumes."""
        return self.folder / "checkpoints"

    @property
    def cache(self) -> Path:
        """Folder of latent moments and prompt embeddings; it may be deleted."""
        return self.folder / "cache"

    @property
    def finished(self) -> bool:
        """Whether the run has written its adapter."""
        return (self.adapter / "adapter.json").exists()

    def check(self, settings: Mapping[str, Any]) -> None:
        """Check that the folder is free, or holds a run with these settings.

        Args:
            settings: Settings of the fit, `Job.settings`.

        Raises:
            OptionError: It holds a run with other settings, or something that is not a run.
        """
        path = self.folder / SETTINGS
        requested = json.loads(json.dumps(settings))
        if path.exists():
            there = (
                DEFAULTS | self._settings()
            )  # what was no option yet when the run began had its default
            changed = [name for name in requested if there.get(name) != requested[name]]
            differs = ", ".join(
                f"{name} ({there.get(name)} there, {requested[name]} now)" for name in changed
            )
            if changed:
                raise OptionError(
                    f"{self.folder} holds a run with other settings: {differs}; give the same ones "
                    "to continue it, or another `out`"
                )
        elif self.folder.exists() and any(
            entry.name not in UNFINISHED for entry in self.folder.iterdir()
        ):
            raise OptionError(
                f"{self.folder} is not empty and holds no run; give an empty or new folder as `out`"
            )

    def begun_with(self, option: str) -> Any:
        """Value of an option of `fit` in a run that has begun; None in a new folder.

        Raises:
            OptionError: The settings of the run are damaged.
        """
        has_begun = (self.folder / SETTINGS).exists()
        return self._settings().get(option) if has_begun else None

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Make the folder, and write the settings of the fit into it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / SETTINGS, json.dumps(settings, indent=2))

    def is_claimed(self, seconds: float) -> bool:
        """Whether the folder holds a run.

        Args:
            seconds: Time that a run of another process has to appear on a network's file system.
        """
        end = time.monotonic() + seconds
        while not (self.folder / SETTINGS).exists():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def _settings(self) -> dict[str, Any]:
        try:
            there = json.loads((self.folder / SETTINGS).read_text(encoding="utf-8"))
        except ValueError as error:
            raise OptionError(
                f"{self.folder / SETTINGS} is damaged ({error}); give another `out`, or delete the "
                "run"
            ) from None
        if not isinstance(there, dict):
            raise OptionError(
                f"{self.folder / SETTINGS} holds no settings; give another `out`, or delete the run"
            )
        return there

    def need(self, size: int) -> None:
        """Check that the disk of the run has enough free space.

        Args:
            size: Bytes that the run writes.

        Raises:
            ResourceError: Fewer bytes are free.
        """
        place = next(
            parent
            for parent in (self.folder.absolute(), *self.folder.absolute().parents)
            if parent.exists()
        )
        free = shutil.disk_usage(place).free
        if size > free:
            raise ResourceError(
                f"this run writes about {size / 1e9:.2f} GB and {place} has {free / 1e9:.2f} GB "
                "free; free some space or give an `out` on another disk"
            )

    def log(self, **entry: Any) -> None:
        """Append an entry of JSON values to log.jsonl."""
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def entries(self) -> list[dict[str, Any]]:
        """Read the entries of log.jsonl; half-written and damaged lines are skipped."""
        path = self.folder / "log.jsonl"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        lines = (line for line in text.splitlines(keepends=True) if line.endswith("\n"))
        entries = (_entry(line) for line in lines)
        return [entry for entry in entries if entry is not None]

    def losses(self) -> dict[str, float | None]:
        """Losses of the run, from its log.

        Returns:
            `train`: mean training loss of the last RECENT steps. `held_out_before`, `held_out`:
            first and last held-out loss; None without held-out images.
        """
        entries = self.entries()
        recent = [entry["loss"] for entry in entries if "loss" in entry][-RECENT:]
        watched = [entry["held_out"] for entry in entries if "held_out" in entry]
        first, last = (watched[0], watched[-1]) if watched else (None, None)
        return {"train": fmean(recent), "held_out_before": first, "held_out": last}

    def rewind(self, step: int) -> None:
        """Delete log entries that a resumed run writes again.

        Args:
            step: Step that the run resumes from. Later entries and the final entry are deleted; at
                0, all are.
        """
        known = [
            entry
            for entry in self.entries()
            if entry["step"] <= step and step and "kept" not in entry
        ]
        lines = [json.dumps(entry) + "\n" for entry in known]
        write_text(self.folder / "log.jsonl", "".join(lines))


def _entry(line: str) -> dict[str, Any] | None:
    """Entry of a line of log.jsonl; None where the line is damaged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("step"), int) else None

"""Unfinished work of an import: a hidden folder beside the cohort, so that an import that was
stopped goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from latentdrift.storage import publish_folder, write_text


def staging_folder(out: Path) -> Path:
    """Folder for the unfinished work of a cohort, hidden beside it."""
    return out.with_name(f".{out.name}.partial")


@dataclass(frozen=True)
class Staging:
    """`.<cohort>.partial/`: the options' key, the pixels read so far, and one line of JSON per
    source file that is done.

    It holds raw patient ids, so only its owner can open it, and it goes away when the cohort
    appears.
    """

    folder: Path
    done: dict[str, dict[str, Any]]
    """Relative path -> what came out of the file."""
    lock: Lock = field(default_factory=Lock)

    @classmethod
    def open(cls, out: Path, key: str) -> Staging:
        """Continue the work under an equal key, or begin anew.

        Args:
            out: Folder of the cohort.
            key: Hash of the options that matter.
        """
        folder = staging_folder(out)
        if not (folder / "key").is_file() or (folder / "key").read_text(encoding="utf-8") != key:
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "pixels").mkdir(parents=True)
            folder.chmod(0o700)
            write_text(folder / "key", key)
        return cls(folder, dict(_read(folder)))

    @staticmethod
    def forget(out: Path) -> None:
        """Delete unfinished work that a finished import has left beside its cohort."""
        shutil.rmtree(staging_folder(out), ignore_errors=True)

    def record(self, path: str, result: dict[str, Any]) -> None:
        """Record that a source file is done and its pixels are on disk; safe for several threads.

        Args:
            path: Relative path of the source file.
            result: Its result as JSON values.
        """
        self.done[path] = result
        with self.lock, open(self.folder / "progress.jsonl", "a", encoding="utf-8") as handle:
            handle.write(json.dumps([path, result]) + "\n")

    def pixels(self, name: str) -> Path:
        """Path of a staged PNG."""
        return self.folder / "pixels" / name

    def assemble(self) -> Path:
        """Make an empty folder for the cohort's files, on the same disk."""
        folder = self.folder / "cohort"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "images").mkdir(parents=True)
        return folder

    def place(self, staged: str, target: Path) -> None:
        """Link or copy a staged PNG to its final path; the staged file stays.

        Args:
            staged: Name of the staged PNG.
            target: Final path.
        """
        try:
            os.link(self.pixels(staged), target)
        except OSError:  # a file system without hard links
            shutil.copy2(self.pixels(staged), target)

    def finish(self, out: Path) -> None:
        """Move the assembled cohort to `out`, and delete the unfinished work."""
        publish_folder(self.folder / "cohort", out)
        self.discard()

    def discard(self) -> None:
        """Delete the unfinished work."""
        shutil.rmtree(self.folder)


def _read(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Results of finished files. A line that a kill cut off does not count, nor a file without its
    pixels."""
    path = folder / "progress.jsonl"
    results = []
    for line in path.read_text(encoding="utf-8").split("\n") if path.is_file() else []:
        try:
            name, result = json.loads(line)
        except json.JSONDecodeError:
            continue
        if all((folder / "pixels" / image["png"]).is_file() for image in result["images"]):
            results.append((name, result))
    return results

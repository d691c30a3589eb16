"""Unfinished work of an import: a hidden folder beside the cohort, so that an import that was
stopped goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from latentdrift.attributes.specification import ImageRow
from latentdrift.data.images.image import Kind, Plane
from latentdrift.storage import publish_folder, write_text


def staging_folder(out: Path) -> Path:
    """Folder for the unfinished work of a cohort, hidden beside it."""
    return out.with_name(f".{out.name}.partial")


@dataclass(frozen=True)
class StagedImage:
    """An image that was read; its pixels lie in the staging folder."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    png: str
    """Name of the PNG with its pixels."""
    sha256: str
    """Hash of its pixels."""
    window: tuple[float, float]
    """Intensities of the darkest and the brightest value that the PNG can hold."""
    extent: tuple[float, float]
    """Lowest and highest intensity of the image."""
    spacing: tuple[float, float] | None
    """mm from row to row and from column to column; None: unknown."""
    unit: str
    """Unit of the intensities."""
    kind: Kind | None
    """Format of the source file."""
    plane: Plane | None
    frame: int | None
    """Frame of a multi-frame object, or slice of a volume."""
    notes: tuple[str, ...]
    header: ImageRow
    """Values of the header by our names, with the real patient and date."""
    png_bytes: int
    """Size of the PNG."""

    @property
    def patient(self) -> str | None:
        """Real id of the patient in the header; None if unknown."""
        return self._text("patient")

    @property
    def date(self) -> str | None:
        """Date of the scan in the header, YYYY-MM-DD; None if unknown."""
        return self._text("date")

    def _text(self, name: str) -> str | None:
        value = self.header[name]
        return value if isinstance(value, str) else None


@dataclass(frozen=True)
class StagedFile:
    """Result of reading one source file: its images, or why it is refused."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    images: tuple[StagedImage, ...] = ()
    reason: str | None = None
    """Short, countable; None: it was read."""
    sentence: str | None = None
    stamp: tuple[int, int] | None = None
    """Size in bytes and time of the file when it was read."""

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {**vars(self), "images": [vars(image) for image in self.images]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> StagedFile:
        """Build a result from its JSON values.

        Raises:
            ValueError: They are not those of `to_dict`: one is missing, unknown or of a wrong type.
        """
        result = _FILE.validate_python(stored)
        if len(stored) < len(fields(cls)):
            raise ValueError("a value is missing")
        return result


_FILE = TypeAdapter(StagedFile)


@dataclass(frozen=True)
class Staging:
    """`.<cohort>.partial/`: the options' key, the pixels read so far, and one line of JSON per
    source file that is done.

    It holds raw patient ids, so only its owner can open it, and it goes away when the cohort
    appears.
    """

    folder: Path
    done: dict[str, StagedFile]
    """Relative path of a source file -> its result."""

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

    @contextmanager
    def recording(self) -> Iterator[Callable[[str, StagedFile], None]]:
        """Open the list of files that are done; each further line is on its own, so that a kill
        costs one file at most.

        Yields:
            Function that records the relative path of a source file and its result. The pixels are
            on disk.
        """
        with open(self.folder / "progress.jsonl", "a", encoding="utf-8", buffering=1) as lines:

            def record(path: str, result: StagedFile) -> None:
                self.done[path] = result
                lines.write(json.dumps([path, result.to_dict()]) + "\n")

            yield record

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


def _read(folder: Path) -> list[tuple[str, StagedFile]]:
    """Results of finished files. A line that is damaged or of another version does not count, nor a
    file without its pixels."""
    path = folder / "progress.jsonl"
    results = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.split("\n"):
        try:
            name, stored = json.loads(line)
            result = StagedFile.from_dict(stored)
        except (ValueError, TypeError):
            continue
        if isinstance(name, str) and all(
            (folder / "pixels" / image.png).is_file() for image in result.images
        ):
            results.append((name, result))
    return results

"""Folders of results: one that the user names, or a temporary one that lives as long as its
result."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from latentdrift.errors import InputError
from latentdrift.storage import path_of

PRIVATE = "-private"
BESIDE = (PRIVATE, "-quarantine")
"""Endings of folders that lie beside a result and belong to it."""


@dataclass(frozen=True, eq=False)
class ResultFolder:
    """A folder for a result, and what keeps it alive."""

    path: Path
    keeper: TemporaryDirectory[str] | None = None
    """Deletes a temporary folder when the last result in it is gone."""

    @classmethod
    def open(cls, out: Path | str | None, name: str) -> ResultFolder:
        """Make the folder of a result.

        Args:
            out: The folder; None: a temporary one, deleted with the result.
            name: Name of the temporary folder.

        Raises:
            OptionError: `out` is no path.
        """
        if out is not None:
            return cls(path_of(out))
        keeper = TemporaryDirectory(prefix="latentdrift-")
        return cls(Path(keeper.name) / name, keeper)


def open_result(folder: Path | str, kind: str, *files: str) -> Path:
    """Check that a folder holds a result.

    Args:
        folder: The folder.
        kind: Noun of the result for the message, as "report".
        files: Files that the result has.

    Returns:
        The folder.

    Raises:
        InputError: The folder or one of the files is missing.
        OptionError: `folder` is no path.
    """
    folder = path_of(folder, "folder")
    if not folder.is_dir():
        raise InputError(f"there is no {kind} at {folder}: no such folder; give one that is there")
    for name in files:
        if not (folder / name).is_file():
            raise InputError(
                f"there is no {kind} in {folder}: it has no {name}; give the folder of a {kind}"
            )
    return folder


def copy_result(
    folder: Path, out: Path | str, *, private: Path | None = None, left_out: tuple[str, ...] = ()
) -> Path:
    """Copy a result, with the folders beside it that belong to it.

    Args:
        folder: The result.
        out: New folder.
        private: Private folder of the result; None: the one beside it, if there is one.
        left_out: Names of files and folders in the result that are not copied.

    Returns:
        The new folder.

    Raises:
        InputError: `out` or a folder beside it exists and is not empty, is a file, or lies in the
            result; or the result is gone.
        OptionError: `out` is no path.
    """
    target = Path(os.path.abspath(path_of(out)))
    sources = {
        target.with_name(target.name + ending): folder.with_name(folder.name + ending)
        for ending in BESIDE
        if target.name
    }
    if private is not None:
        sources[target.with_name(target.name + PRIVATE)] = private
    copies = {target: folder} | {
        place: source for place, source in sources.items() if source.is_dir()
    }
    _check_copies(copies, out)
    for place, source in copies.items():
        if place.name.endswith(PRIVATE):
            _copy_private(source, place)
        else:
            ignored = shutil.ignore_patterns(*left_out)
            shutil.copytree(source, place, dirs_exist_ok=True, ignore=ignored)
    return Path(out)


def _check_copies(copies: Mapping[Path, Path], out: Path | str) -> None:
    """Check that folders can be copied to their new places; see `copy_result`.

    Args:
        copies: New place -> folder.
        out: The argument `out`, for messages.
    """
    for place, source in copies.items():
        if not source.is_dir():
            raise InputError(f"the result in {source} is gone, and cannot be copied; make it again")
        if place.resolve().is_relative_to(source.resolve()):
            raise InputError(f"{out} lies in the result itself; give a folder elsewhere as `out`")
        if file := next((path for path in (place, *place.parents) if path.is_file()), None):
            raise InputError(f"{file} is a file; give a new folder as `out`")
        if place.exists() and any(place.iterdir()):
            raise InputError(f"{place} is there and not empty; give a new folder as `out`")


def _copy_private(source: Path, place: Path) -> None:
    """Copy a private folder; only the owner can read the copy, also while it is written."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    place.chmod(0o700)
    for path in sorted(source.rglob("*")):
        copy = place / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(mode=0o700, exist_ok=True)
        else:
            copy.touch(mode=0o600)
            shutil.copyfile(path, copy)

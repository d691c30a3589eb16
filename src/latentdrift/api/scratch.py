"""Folders of results: one that the user names, or a temporary one that lives as long as its
result."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from latentdrift.errors import InputError

BESIDE = ("-private", "-quarantine")
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
        """
        if out is not None:
            return cls(Path(out))
        keeper = TemporaryDirectory(prefix="latentdrift-")
        return cls(Path(keeper.name) / name, keeper)


def copy_result(folder: Path, out: Path | str) -> Path:
    """Copy a result, with the folders beside it that belong to it.

    Args:
        folder: The result.
        out: New folder.

    Returns:
        The new folder.

    Raises:
        InputError: `out` exists and is not empty.
    """
    out = Path(out)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is there and not empty; give a new folder as `out`")
    for ending in ("", *BESIDE):
        source = folder.with_name(f"{folder.name}{ending}")
        if source.is_dir():
            shutil.copytree(source, out.with_name(f"{out.name}{ending}"), dirs_exist_ok=True)
    return out

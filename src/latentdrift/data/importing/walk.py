"""Walk over the files of a source, with those out of reach: links that lead out of it or nowhere,
folders without permission."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Refusal:
    """A file, or a picture in it, that is not taken."""

    file: str
    reason: str
    """Short, and the same for the same kind of trouble."""
    sentence: str


def walk(
    root: Path, aside: Iterable[Path], *, follow_links: bool
) -> tuple[list[str], list[Refusal]]:
    """List the files below a folder, relative to it and sorted, and what is out of reach.

    Args:
        root: The folder.
        aside: Files and folders that are left out, resolved.
        follow_links: Whether links that lead out of the root are followed; a folder is entered
            once.
    """
    files: list[str] = []
    refused: list[Refusal] = []
    source = _Source(os.path.realpath(root), frozenset(map(str, aside)), follow_links)
    entered: set[str] = set()

    def shut(error: OSError) -> None:
        name = _name(os.path.relpath(error.filename, root))
        refused.append(
            Refusal(
                name,
                "unreadable",
                f"{name}: the folder cannot be read: {error.strerror} (unreadable)",
            )
        )

    for folder, folders, names in os.walk(root, onerror=shut, followlinks=True):
        real = os.path.realpath(folder)
        within = os.path.relpath(folder, root)
        entries = (
            []
            if real in entered
            else [*((name, True) for name in folders), *((name, False) for name in names)]
        )
        entered.add(real)
        folders.clear()
        for name, is_folder in entries:
            entry = source.look(real, within, name)
            if isinstance(entry, Refusal):
                refused.append(entry)
            elif entry and not is_folder:
                files.append(_name(os.path.join(within, name)))
            elif entry and not source.links_inside(real, name):
                folders.append(name)
    return sorted(files), refused


@dataclass(frozen=True)
class _Source:
    """The folder that is walked, resolved, and what is left out of it."""

    root: str
    aside: frozenset[str]
    follow_links: bool

    def look(self, folder: str, within: str, name: str) -> bool | Refusal:
        """Whether an entry of a resolved folder is taken."""
        path = os.path.join(folder, name)
        if not os.path.islink(path):
            return path not in self.aside
        relative = _name(os.path.join(within, name))
        try:
            target = os.path.realpath(path, strict=True)
        except OSError as error:
            where = "in a circle" if error.errno == errno.ELOOP else "nowhere"
            return Refusal(
                relative, "missing", f"{relative}: a symbolic link that leads {where} (missing)"
            )
        if self.follow_links or self._inside(target):
            return target not in self.aside
        sentence = (
            "a symbolic link that leads out of the source folder; `follow_links` takes what it "
            "leads to"
        )
        return Refusal(relative, "link outside", f"{relative}: {sentence} (link outside)")

    def links_inside(self, folder: str, name: str) -> bool:
        """Whether an entry is a link to a folder of the source, whose files are listed where they
        lie."""
        path = os.path.join(folder, name)
        return os.path.islink(path) and self._inside(os.path.realpath(path))

    def _inside(self, target: str) -> bool:
        return target == self.root or target.startswith(os.path.join(self.root, ""))


def readable(name: str) -> str:
    r"""Name that any text file can hold: bytes that are not UTF-8 are written as `\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _name(path: str) -> str:
    return Path(path).as_posix()

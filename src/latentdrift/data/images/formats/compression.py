"""Compressed files: the first bytes say which compression it is, never the name."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

STREAMS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
}
"""First bytes of a compression that is read through -> how it is opened."""

ARCHIVES = {
    b"PK\x03\x04": "a ZIP archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\xfd7zXZ\x00": "an XZ-compressed file",
    b"\x28\xb5\x2f\xfd": "a Zstandard-compressed file",
    b"\x1f\x9d": "a file made by `compress` (.Z)",
}
"""First bytes of an archive or a compression that has to be unpacked first -> its name."""

TAR_MAGIC = b"ustar"
"""Magic of a tar archive, at byte 257 (POSIX.1-1988)."""

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)
"""Errors of a damaged stream, beside OSError."""


def is_compressed(start: bytes) -> bool:
    """Whether a file is compressed as a row of STREAMS.

    Args:
        start: First bytes of the file; four suffice.
    """
    return start.startswith(tuple(STREAMS))


def open_unpacked(path: Path) -> Any:
    """Open a file for reading bytes; a stream of STREAMS is decompressed while it is read.

    Raises:
        OSError: The file cannot be opened.
    """
    with open(path, "rb") as file:
        start = file.read(4)
    for magic, opener in STREAMS.items():
        if start.startswith(magic):
            return opener(path)
    return open(path, "rb")


def archive_name(head: bytes) -> str | None:
    """Name of an archive format in words, as "a tar archive"; None for other files.

    Args:
        head: First 262 bytes of the file.
    """
    if head[257:262] == TAR_MAGIC:
        return "a tar archive"
    return next((name for magic, name in ARCHIVES.items() if head.startswith(magic)), None)

"""Results and errors as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latentdrift.errors import LatentDriftError

FULL_DISK_SIGNS = ("No space left on device", "os error 28", "Disk quota exceeded")
"""Parts of the messages with which libraries report a full disk in errors of their own."""


def show(result: Mapping[str, Any], indent: str = "") -> str:
    """Format a result, one line for each value, with four digits.

    Args:
        result: Result of a verb.
        indent: Text before each line.
    """
    lines = []
    for key, value in result.items():
        if key == "drift" and _is_no_drift(value):
            lines.append(f"{indent}{key}: none")
        elif _is_list_of_phrases(value):
            lines += [f"{indent}{key}:", *(f"{indent}  {phrase}" for phrase in value)]
        elif _has_sentences(value):
            lines += [f"{indent}{key}:", *(f"{indent}  {part['sentence']}" for part in value)]
        elif not isinstance(value, Mapping):
            lines.append(f"{indent}{key}: {_text(value)}")
        elif value:
            lines += [f"{indent}{key}:", show(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: none")
    return "\n".join(lines)


def _is_no_drift(value: Any) -> bool:
    """Whether a drift has no values, and the start of sampling is the plain one."""
    if not isinstance(value, Mapping) or value.get("start") != "shift":
        return False
    return not any(value.get(part) for part in ("train", "infer", "groups"))


def _is_list_of_phrases(value: Any) -> bool:
    """Whether a value is a list of texts that commas cannot separate."""
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        return False
    return any("," in part or part.endswith(".") for part in value)


def _has_sentences(value: Any) -> bool:
    """Whether a value is a list of findings, each with its sentence."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(part, Mapping) and "sentence" in part for part in value)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        parts = [f"({_text(p)})" if isinstance(p, list | tuple) else _text(p) for p in value]
        return ", ".join(parts) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    return str(value)


def size(count: int) -> str:
    """Format a number of bytes, as `5.4 GB` or `320 MB`."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """Format a time, as `0.4 s`, `12 min` or `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def sentence(error: Exception) -> str:
    """Describe an error in a sentence, with a remedy where one is known."""
    if isinstance(error, LatentDriftError):
        return str(error)
    if any(sign in str(error) for sign in FULL_DISK_SIGNS):
        return (
            f"the disk is full ({error}); free some space and give the same command again, which "
            "goes on where it can"
        )
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename} cannot be used" if error.filename else "a file cannot be used"
        return f"{where}: {error.strerror}; see that it is there and that you may read and write it"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            f"there is not enough memory ({str(error) or 'MemoryError'}); take fewer images at a "
            "time or a lower resolution"
        )
    return f"{type(error).__name__}: {error}; run it again with `debug` for the traceback"

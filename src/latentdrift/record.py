"""record.json: what made an output, so that it can be made again.

It holds the resolved options, the hashes of what went in and came out, the drift, the versions and the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latentdrift.config import Options
from latentdrift.errors import InputError

NAME = "record.json"
PRIVATE = "sources.json"
SCHEMA = 1
PACKAGES = ("latentdrift", "torch", "diffusers", "transformers", "accelerate", "peft", "numpy", "pillow", "pydicom", "nibabel")


def versions() -> dict[str, str]:
    """Version of every package that shapes a result; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """What kind of machine this is, without its name."""
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}


def sha256(path: Path) -> str:
    """Hash of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def outputs(folder: Path) -> dict[str, str]:
    """Hashes of the pictures, weights and tables below a folder: what a replay has to make again."""
    made = (
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".png", ".gif", ".safetensors") or path.name == "metadata.csv"
    )
    kept = (path.relative_to(folder) for path in made)
    return {str(path): sha256(folder / path) for path in kept if not {"previews", "cache", "checkpoints"} & set(path.parts)}


def write(
    folder: Path,
    verb: str,
    options: Options,
    *,
    inputs: Mapping[str, Any],
    results: Mapping[str, Any],
    private: Sequence[str] = (),
) -> Path:
    """Writes `folder/record.json`.

    Args:
        folder: What the verb made.
        verb: Its name.
        options: Resolved.
        inputs: Names to hashes.
        results: Whatever the verb has to say.
        private: Options that name files of patients, whose paths may hold a name: they stand in `private_place(folder)` alone.
    """
    every = options.model_dump(mode="json")
    apart = {name: every[name] for name in private if every[name]}
    if apart:
        _write_private(private_place(folder), apart)
    record = {
        "schema": SCHEMA,
        "verb": verb,
        "options": every | dict.fromkeys(apart),
        "private": sorted(apart),
        "inputs": dict(inputs),
        "results": dict(results),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "machine": machine(),
    }
    path = folder / NAME
    path.write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
    return path


def private_place(folder: Path) -> Path:
    """Where the options are that name files of patients: beside what was made, and not in it."""
    return Path(f"{folder}-private") / PRIVATE


def _write_private(path: Path, options: Mapping[str, Any]) -> None:
    """For the owner's eyes only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(options, indent=1) + "\n", encoding="utf-8")


def complete(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The options of a record, with those that were kept apart.

    Args:
        record: From `read`.
        path: Of the record, or its folder.

    Raises:
        InputError: They are not there any more.
    """
    options, apart = dict(record["options"]), record.get("private") or []
    if not apart:
        return options
    place = private_place(path if path.is_dir() else path.parent)
    try:
        return options | json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"the record {path} keeps {', '.join(apart)} apart, in {place}, which cannot be read; "
            f"put that file back, or give the command of `{record['verb']}` again"
        ) from None


def read(path: Path) -> dict[str, Any]:
    """Reads a record (the file, or the folder it lies in)."""
    path = path / NAME if path.is_dir() else path
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {"verb": record["verb"], **record}
    except FileNotFoundError:
        raise InputError(f"there is no record at {path}; give a {NAME} or a folder that a verb has made") from None
    except (json.JSONDecodeError, KeyError, UnicodeDecodeError, TypeError):
        raise InputError(f"{path} is not a record of latentdrift; give a {NAME} or a folder that a verb has made") from None

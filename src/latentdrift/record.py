"""record.json: what made an output, so that it can be made again.

It holds the resolved options, the hashes of what went in and came out, the drift, the versions and
the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from json.encoder import encode_basestring_ascii as json_text
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from latentdrift.config import Options
from latentdrift.errors import InputError
from latentdrift.storage import read_document, write_text

NAME = "record.json"
PRIVATE = "sources.json"
SCHEMA = 1
PACKAGES = (
    "latentdrift",
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "peft",
    "numpy",
    "pillow",
    "pydicom",
    "nibabel",
)


WORKERS = ("workers", "ray")
"""Options that say who does the work. They never change the output."""


def versions() -> dict[str, str]:
    """Version of Python and of every installed package that affects results."""
    result = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            continue
    return result


def machine() -> dict[str, Any]:
    """System, processor and number of cores of this machine, without its name."""
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}


def sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_hash(*parts: object) -> str:
    """Hash of everything that determines an output, for fit.json and record.json.

    Files of version 0.1 contain it, so its formula does not change. Caches use `storage.key`.

    Args:
        parts: Values, which enter by their text.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256(b"[1")
    for part in parts:
        digest.update(b', "')
        for piece in _pieces_of_text(part):
            digest.update(json_text(piece)[1:-1].encode())
        digest.update(b'"')
    digest.update(b"]")
    return digest.hexdigest()[:16]


def _pieces_of_text(part: object) -> Iterator[str]:
    """Pieces of `str(part)`; those of a long list or tuple take little memory."""
    is_plain = type(part) in (list, tuple)
    if not is_plain or not isinstance(part, (list, tuple)) or len(part) < 2:
        yield str(part)
        return
    opening, closing = "[]" if isinstance(part, list) else "()"
    yield opening + repr(part[0])
    for item in part[1:]:
        yield f", {item!r}"
    yield closing


def outputs(folder: Path, only: Collection[str] | None = None) -> dict[str, str]:
    """SHA-256 of the images, weights and tables below a folder, which a replay must reproduce.

    Args:
        folder: Output of a verb.
        only: Names of the files and folders right below it that count; None: all of them.

    Returns:
        Relative path -> hash.
    """
    places = [path for path in folder.iterdir() if only is None or path.name in only]
    files = (
        path
        for path in sorted(inner for place in places for inner in (place, *place.rglob("*")))
        if path.suffix in (".png", ".gif", ".safetensors") or path.name == "metadata.csv"
    )
    paths = (path.relative_to(folder) for path in files)
    return {
        str(path): sha256(folder / path)
        for path in paths
        if not {"previews", "cache", "checkpoints"} & set(path.parts)
    }


def write(
    folder: Path,
    verb: str,
    options: Options,
    *,
    inputs: Mapping[str, Any],
    results: Mapping[str, Any],
    private: Sequence[str] = (),
    home: Path | None = None,
    mode: int | None = None,
) -> Path:
    """Write `folder/record.json`, whole or not at all.

    Args:
        folder: Output of the verb.
        verb: Name of the verb.
        options: Resolved.
        inputs: Names to hashes.
        results: Whatever the verb has to say.
        private: Options that name files of patients, whose paths may hold a name: they stand in
            `private_place(home)` alone.
        home: Where the folder will be when all of it is written; default: where it is.
        mode: Permissions of the record; default: those of the umask.
    """
    every = options.model_dump(mode="json")
    apart = {name: every[name] for name in private if every[name]}
    if apart:
        place = private_place(home or folder)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text(place, json.dumps(apart, indent=1) + "\n", mode=0o600)
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
    write_text(path, json.dumps(record, indent=1, default=str) + "\n", mode=mode)
    return path


def private_place(folder: Path) -> Path:
    """Path of the private part of a record, with options that name files of patients.

    It lies beside the output, never in it.

    Args:
        folder: Output of the verb.
    """
    return Path(f"{folder}-private") / PRIVATE


def complete(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The options of a record, with those that were kept apart.

    Args:
        record: From `read`.
        path: Path of the record, or of its folder.

    Raises:
        InputError: They are not there any more.
    """
    options = dict(record["options"])
    apart = record.get("private") or []
    if not apart:
        return options
    place = private_place(path if path.is_dir() else path.parent)
    try:
        result: dict[str, Any] = options | json.loads(place.read_text(encoding="utf-8"))
        return result
    except (OSError, ValueError, TypeError):
        raise InputError(
            f"the record {path} keeps {', '.join(apart)} apart, in {place}, which cannot be read; "
            f"put that file back, or give the command of `{record['verb']}` again"
        ) from None


def is_of(folder: Path, verb: str, options: Options, inputs: Mapping[str, Any]) -> bool:
    """Whether an equal command has already finished a folder, with any workers.

    Args:
        folder: Folder with a record; it need not exist.
        verb: Name of the verb.
        options: Its options.
        inputs: Hashes of its inputs.
    """
    try:
        record = read(folder)
        recorded = complete(record, folder)
    except InputError:
        return False
    record["options"] = {name: recorded[name] for name in recorded if name not in WORKERS}
    expected = {
        "verb": verb,
        "options": options.model_dump(mode="json", exclude=set(WORKERS)),
        "inputs": json.loads(json.dumps(inputs, default=str)),
    }
    return all(record.get(name) == value for name, value in expected.items())


class RecordedAdapter(BaseModel):
    """An adapter among the inputs of a record; what else it holds is kept."""

    model_config = ConfigDict(extra="allow")

    method: str | None = None


class RecordedInputs(BaseModel):
    """Inputs of a record; what else they hold is kept."""

    model_config = ConfigDict(extra="allow")

    adapters: list[RecordedAdapter] = []


class Record(BaseModel):
    """The part of a record that is read again; what else it holds is kept."""

    model_config = ConfigDict(extra="allow")

    verb: str
    options: dict[str, Any]
    inputs: RecordedInputs = RecordedInputs()
    results: dict[str, Any] = {}
    private: list[str] | None = None


def read(path: Path) -> dict[str, Any]:
    """Read a record.

    Args:
        path: The file, or the folder that contains it.

    Raises:
        InputError: There is none, or it is damaged.
    """
    path = path / NAME if path.is_dir() else path
    cure = f"give a {NAME} or a folder that a verb has made"
    return read_document(path, Record, InputError, "record", cure)

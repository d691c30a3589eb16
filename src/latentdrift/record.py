"""record.json: what made an output, so that it can be made again.

It holds the resolved options, the hashes of what went in and came out, the drift, the versions and the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latentdrift.config import Options
from latentdrift.errors import InputError

NAME = "record.json"
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


def write(folder: Path, verb: str, options: Options, *, inputs: Mapping[str, Any], results: Mapping[str, Any]) -> Path:
    """Writes `folder/record.json`; `inputs` are names to hashes, `results` whatever the verb has to say."""
    record = {
        "schema": SCHEMA,
        "verb": verb,
        "options": options.model_dump(mode="json"),
        "inputs": dict(inputs),
        "results": dict(results),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "machine": machine(),
    }
    path = folder / NAME
    path.write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
    return path


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

"""Where an adapter lies, and what its adapter.json says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentdrift import record
from latentdrift.adapt.adapters.adapter_info import AdapterInfo
from latentdrift.adapt.adapters.checkpoint_reader import PICKLES
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.errors import AdapterError, OptionError
from latentdrift.storage import read_document

NAME = "adapter.json"
FORMAT = 1


def locate(path: Path | str) -> Path:
    """The adapter folder of a path: itself, or the `adapter/` of a run folder.

    Raises:
        AdapterError: There is none.
    """
    path = Path(path)
    pickles = [
        file
        for file in ([path] if path.is_file() else sorted(path.glob("*")))
        if file.suffix in PICKLES
    ]
    if (path / NAME).is_file():
        return path
    if (path / "adapter" / NAME).is_file():
        return path / "adapter"
    if (path / "fit.json").is_file():
        raise AdapterError(
            f"the run {path} is not finished and has no adapter yet; give its `fit` command again "
            "to continue it"
        )
    if pickles:
        raise AdapterError(
            f"{pickles[0]} is a pickle, which can run code when it is opened; latentdrift loads "
            "safetensors only. To have it checked and its weights alone brought over: latentdrift "
            f"adopt {pickles[0]} --base BASE --out RUN"
        )
    if not path.exists():
        raise AdapterError(
            f"there is no adapter at {path}; give the folder that `fit` made, or its adapter/ "
            "folder"
        )
    raise AdapterError(
        f"{path} is not an adapter: it has no {NAME}; give the folder that `fit` made, or its "
        "adapter/ folder. A file of another tool needs its `base`, or `latentdrift adopt`"
    )


def read(path: Path | str) -> dict[str, Any]:
    """adapter.json of an adapter or run folder.

    Raises:
        AdapterError: There is none, or it is damaged, or of another version.
    """
    folder = locate(path)
    cure = "copy the adapter again from where it was made"
    info = read_document(folder / NAME, AdapterInfo, AdapterError, "adapter", cure)
    form = info["format"]
    row = info["method"]
    if form != FORMAT:
        raise AdapterError(
            f"the adapter {folder} has format {form}; this latentdrift reads {FORMAT}: update "
            "latentdrift"
        )
    if row not in METHODS:
        raise AdapterError(
            f"the adapter {folder} is of method '{row}'; this latentdrift knows "
            f"{', '.join(METHODS)}: update it"
        )
    return info


def told(folder: Path, info: Mapping[str, Any], weight: float = 1.0) -> dict[str, Any]:
    """What is kept of an adapter that another one, or a picture, was made with."""
    file = folder / METHODS[info["method"]].file
    return {
        "adapter": str(folder.absolute()),
        "method": info["method"],
        "weight": weight,
        "sha256": record.sha256(file),
    }


def parse(reference: str) -> tuple[Path, float]:
    """`RUN` or `RUN=0.7` -> its adapter folder and weight.

    Raises:
        OptionError: The weight is not a number.
        AdapterError: There is no adapter.
    """
    if Path(reference).exists() or "=" not in reference:
        return locate(reference), 1.0
    name, _, weight = reference.rpartition("=")
    try:
        return locate(name), float(weight)
    except ValueError:
        raise OptionError(
            f"'{reference}' is neither a folder nor RUN=WEIGHT; write for example run=0.7"
        ) from None

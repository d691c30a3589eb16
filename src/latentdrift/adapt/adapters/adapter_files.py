"""Paths of an adapter's files, and checks of its adapter.json."""

from __future__ import annotations

import json
from pathlib import Path

from latentdrift import record
from latentdrift.adapt.adapters.checkpoint_reader import PICKLES
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.adapter_info import FORMAT, AdapterFile, AdapterInfo, AdapterReference
from latentdrift.storage import read_model

NAME = "adapter.json"


def locate(path: Path | str) -> Path:
    """Find the adapter folder of a path: the folder itself, or `adapter/` in a run folder.

    Raises:
        AdapterError: There is none, the run is not finished, or the file is a pickle.
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


def read(path: Path | str) -> AdapterInfo:
    """Read adapter.json of an adapter or run folder.

    Raises:
        AdapterError: There is none, or it is damaged, or of another version.
    """
    folder = locate(path)
    cure = "copy the adapter again from where it was made"
    info = read_model(folder / NAME, AdapterFile, AdapterError, "adapter", cure)
    if info.format != FORMAT:
        raise AdapterError(
            f"the adapter {folder} has format {info.format}; this latentdrift reads {FORMAT}: "
            "update latentdrift"
        )
    if info.method not in METHODS:
        raise AdapterError(
            f"the adapter {folder} is of method '{info.method}'; this latentdrift knows "
            f"{', '.join(METHODS)}: update it"
        )
    return info


def text(info: AdapterInfo) -> str:
    """Content of adapter.json as text."""
    return json.dumps(info.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def reference_to(folder: Path, method: str, weight: float = 1.0) -> AdapterReference:
    """Reference to an adapter, for the record of another adapter or image.

    Args:
        folder: Adapter folder.
        method: Row of METHODS.
        weight: Factor of the adapter.
    """
    return AdapterReference(
        adapter=str(folder.absolute()),
        method=method,
        weight=weight,
        sha256=record.sha256(METHODS[method].file_in(folder)),
    )


def parse_reference(reference: str) -> tuple[Path, float]:
    """Parse `RUN` or `RUN=0.7` into the adapter folder and its weight, 1 by default.

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

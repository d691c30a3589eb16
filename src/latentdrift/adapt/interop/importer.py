"""A file of another tool in one of our bases, and what adapter.json has to say of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentdrift import record
from latentdrift.adapt.adapters.adapter import write_adapter
from latentdrift.adapt.adapters.adapter_files import NAME
from latentdrift.adapt.adapters.adapter_files import read as read_info
from latentdrift.adapt.adapters.checkpoint_reader import Foreign, find, read
from latentdrift.adapt.interop import formats, network_weights
from latentdrift.adapt.methods import lora, textual_inversion
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.data.cohort.controlnet_hints import Hint
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.adapter_info import (
    FORMAT,
    AdapterFile,
    AdapterInfo,
    AdoptedInfo,
    BaseInfo,
    DriftFile,
    HintInfo,
    OptionsInfo,
    PromptInfo,
    ScheduleInfo,
)
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift


def recognised(path: Path) -> str:
    """Describe the format of a file in words, before any base is loaded.

    Raises:
        AdapterError: The format is not known.
    """
    foreign = _open(path)
    return formats.describe(foreign, formats.recognise(foreign))


def apply_file(
    base: Base, path: Path, token: str | None = None, hint: str | None = None
) -> tuple[Base, AdapterInfo]:
    """Put another tool's file into a base.

    Returns the base with the adapter in it, and its adapter.json.

    Args:
        base: The one that it was made for; used up.
        path: The file, or the folder that holds it.
        token: The word of a textual inversion, instead of the file's own.
        hint: Kind of hint that a ControlNet reads; default: edges.

    Raises:
        AdapterError: Not an adapter, unsafe, damaged, or made for another base.
        OptionError: A token for a file that does not hold exactly one word, or that is already a
            word of the base; a hint for what is no ControlNet.
    """
    foreign = _open(path)
    adopted = formats.read(foreign, base)
    words = adopted.words
    if token is not None:
        if not words:
            raise OptionError(
                f"`token` renames the word of a file, and {foreign.path} has no word; leave it out"
            )
        if len(words) != 1:
            raise OptionError(
                f"`token` renames the one word of a file, and {foreign.path} has {len(words)}: "
                f"{', '.join(words)}"
            )
        words = {token: next(iter(words.values()))}
    if hint and adopted.method != "controlnet":
        raise OptionError(
            f"`hint` describes the input of a ControlNet, and {foreign.path} is "
            f"{recognised(path)}: leave it out"
        )
    base = base.take_over()
    if adopted.network:
        base = network_weights.put(base, adopted.network, foreign)
    if adopted.changes:
        lora.inject(base, adopted.changes)
    if words:
        base = textual_inversion.insert(base, words)
        textual_inversion.freeze(base)
    source = AdoptedInfo(
        format=formats.recognise(foreign),
        file=foreign.path.name,
        sha256=record.sha256(foreign.path),
    )
    return base, _adopted_info(base, adopted.method, list(words), source, hint or "edges")


def adopt(
    base: Base, path: Path, folder: Path, token: str | None = None, hint: str | None = None
) -> AdapterInfo:
    """Make an adapter folder from a file of another tool.

    Args:
        base: The base; it is changed, so do not use it afterwards.
        path: Safetensors file or pickle of tensors.
        folder: Adapter folder to write.
        token: As of `apply_file`.
        hint: As of `apply_file`.

    Returns:
        Content of adapter.json.

    Raises:
        OptionError: The folder exists and is not empty.
        AdapterError: As `apply_file`.
    """
    adapted, info = apply_file(base, path, token, hint)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        plain = json.loads(json.dumps(info.to_dict()))
        is_whole = (folder / NAME).is_file() and METHODS[str(info.method)].file_in(folder).is_file()
        if is_whole and read_info(folder).to_dict() == plain:
            return info  # made by the same command, which did not come to its end
        raise OptionError(f"{folder} is there and not empty; give a new folder as `out`")
    write_adapter(folder, adapted, METHODS[str(info.method)], info, None)
    return info


def finished(path: Path, folder: Path, recorded: Mapping[str, Any]) -> AdapterInfo | None:
    """Adapter that an earlier `adopt` has made of an unchanged file.

    Args:
        path: File of another tool, or the folder that holds it.
        folder: Adapter folder.
        recorded: Content of record.json of the earlier `adopt`.

    Returns:
        Content of adapter.json; None where file or adapter differ from the record.
    """
    file = find(path)
    results = recorded["results"]
    if file is None or not (folder / NAME).is_file():
        return None
    info = read_info(folder)
    source = record.sha256(file)
    is_same_file = info.adopted is not None and info.adopted.sha256 == source
    is_same_adapter = record.outputs(folder) == results.get("outputs")
    return info if is_same_file and is_same_adapter else None


def _open(path: Path) -> Foreign:
    file = find(path)
    if file is None:
        raise AdapterError(
            f"there is no adapter file at {path}; give another tool's file, or the folder that "
            "holds it"
        )
    return read(file)


def _adopted_info(
    base: Base, method: str, words: list[str], source: AdoptedInfo, hint: str
) -> AdapterInfo:
    """The part of adapter.json that `generate` and `edit` need; nothing of what nobody knows."""
    has_hint = METHODS[method].image_input == "hint"
    return AdapterFile(
        format=FORMAT,
        method=method,
        options=OptionsInfo(hint=hint) if has_hint else OptionsInfo(),
        hint=HintInfo.of_hint(Hint.parse(hint)) if has_hint else None,
        base=BaseInfo.of_base(base),
        schedule=ScheduleInfo(
            prediction_type=base.schedule.prediction_type, zero_snr=base.schedule.zero_snr
        ),
        drift=DriftFile.model_validate({**Drift().to_dict(), "source": "none"}),
        tokens=words,
        describe=METHODS[method].called.format(token=" ".join(words[:1]), images="image"),
        pictures="image",
        prompt=PromptInfo(style="simple", patient_info=True),
        attributes={},
        resolution=base.resolution,
        colour=True,
        adopted=source,
        versions=record.versions(),
    )

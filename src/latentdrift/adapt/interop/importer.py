"""A file of another tool in one of our bases, and what adapter.json has to say of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentdrift import record
from latentdrift.adapt.adapters.checkpoint_reader import find, read
from latentdrift.adapt.interop import formats, network_weights
from latentdrift.adapt.methods import lora, textual_inversion
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.data.cohort.controlnet_hints import Hint
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift


def recognised(path: Path) -> str:
    """What a file is, in words, before any base is loaded."""
    foreign = _open(path)
    return formats.describe(foreign, formats.recognise(foreign))


def take_in(
    base: Base, path: Path, token: str | None = None, hint: str | None = None
) -> tuple[Base, dict[str, Any]]:
    """The base with the file's adapter in it, and the facts of it.

    Args:
        base: The one that it was made for; used up.
        path: The file, or the folder that holds it.
        token: The word of a textual inversion, instead of the file's own.
        hint: What a ControlNet is shown; default: edges.

    Raises:
        AdapterError: Not an adapter, unsafe, damaged, or made for another base.
        OptionError: A token for a file that does not hold exactly one word, or that is already a
            word of the base; a hint for what is no ControlNet.
    """
    foreign = _open(path)
    found = formats.read(foreign, base)
    words = found.words
    if token is not None:
        if len(words) != 1:
            raise OptionError(
                f"`token` renames the one word of a file, and {foreign.path} has {len(words)}: "
                f"{', '.join(words)}"
            )
        words = {token: next(iter(words.values()))}
    if hint and found.method != "controlnet":
        raise OptionError(
            f"`hint` says what a ControlNet is shown, and {foreign.path} is {recognised(path)}: "
            "leave it out"
        )
    if found.network:
        base = network_weights.put(base, found.network, foreign)
    if found.changes:
        lora.inject(base, found.changes)
    if words:
        base = textual_inversion.insert(base, words)
        textual_inversion.freeze(base)
    source = {
        "format": formats.recognise(foreign),
        "file": foreign.path.name,
        "sha256": record.sha256(foreign.path),
    }
    return base, _facts(base, found.method, list(words), source, hint or "edges")


def _open(path: Path) -> Any:
    file = find(path)
    if file is None:
        raise AdapterError(
            f"there is no adapter file at {path}; give another tool's file, or the folder that "
            "holds it"
        )
    return read(file)


def _facts(
    base: Base, method: str, words: list[str], source: Mapping[str, Any], hint: str
) -> dict[str, Any]:
    """The contents of adapter.json that `generate` and `edit` need; what nobody knows is left
    out."""
    controls = METHODS[method].shown == "hint"
    return {
        "method": method,
        "options": {"hint": hint} if controls else {},
        "hint": Hint.parse(hint).to_dict() if controls else None,
        "base": {
            "name": base.name,
            "hash": base.hash,
            "resolution": base.resolution,
            "latent_channels": base.latent_channels,
        },
        "schedule": {
            "prediction_type": base.schedule.prediction_type,
            "zero_snr": base.schedule.zero_snr,
        },
        "drift": {**Drift().to_dict(), "source": "none"},
        "tokens": words,
        "describe": METHODS[method].called.format(token=" ".join(words[:1]), images="image"),
        "pictures": "image",
        "prompt": {"style": "simple", "patient_info": True},
        "attributes": {},
        "resolution": base.resolution,
        "colour": True,
        "adopted": dict(source),
        "versions": record.versions(),
    }

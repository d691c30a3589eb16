"""Loading a model: an adapter or a run, a base, another tool's file, or several of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from latentdrift.adapt.adapters.adapter import apply_adapter
from latentdrift.adapt.adapters.adapter_files import NAME, locate, read
from latentdrift.adapt.adapters.adapter_stack import add
from latentdrift.adapt.adapters.checkpoint_reader import find
from latentdrift.adapt.interop.importer import apply_file, recognised
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.errors import AdapterError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.model import LoadedAdapter, Model
from latentdrift.storage import path_of

log = logging.getLogger(__name__)


def load_model(
    place: Path | str,
    *,
    also: Sequence[str] = (),
    base: str | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Model:
    """Load a model from an adapter, a run, a base or another tool's file; arguments as of
    `Model.load`."""
    path = Path(place)
    if not path.exists() or (path / "vae").is_dir():  # an adapter never has an autoencoder
        plain = Base.load(str(place), device=device, precision=precision)
        return add(Model.of_base(plain), also)
    model = add(load_adapter(path, base=base, device=device, precision=precision), also)
    if model.info.adopted:  # another tool chose its words
        words = ", ".join(model.info.tokens) or "none"
        log.info("%s, words in a prompt: %s", model.info.adopted.format, words)
    return model


def load_adapter(
    path: Path | str, *, base: str | None = None, device: str = "auto", precision: str = "auto"
) -> Model:
    """Read one adapter and put it into its base.

    Args:
        path: An adapter folder, a run folder, or a safetensors file of another tool.
        base: Path of its base on this machine; default: where it was trained, which no other
            tool's file states.
        device: As in `Base.load`.
        precision: As in `Base.load`.

    Raises:
        AdapterError: Damaged, unsafe, unfinished, or made for another base.
        BaseModelError: The base cannot be loaded.
        OptionError: `path` is no path.
    """
    path = path_of(path, "path")
    if _is_foreign(path, base):
        return _load_foreign(path, base, device, precision)
    folder = locate(path)
    info = read(folder)
    plain = Base.load(
        base or info.base.name, device=device, precision=precision, fetch=base is not None
    )
    return apply_adapter(plain, folder, info)


def _load_foreign(path: Path, base: str | None, device: str, precision: str) -> Model:
    """Read another tool's file into its base.

    Raises:
        AdapterError: No base is named.
    """
    if base is None:
        raise AdapterError(
            f"{path} is {recognised(path)}, and does not say which base it belongs to: give that "
            "one with `base`"
        )
    plain = Base.load(base, device=device, precision=precision)
    adapted, info = apply_file(plain, path)
    sha256 = info.adopted.sha256 if info.adopted else ""
    loaded = LoadedAdapter(str(info.method), sha256, hint=info.hint)
    return Model(adapted, Drift(), info, base_schedule=plain.schedule, adapters=(loaded,))


def _is_foreign(path: Path, base: str | None) -> bool:
    """Whether a path is another tool's safetensors.

    That is a file, or, where a base is named, a folder with such a file and no adapter of ours.
    """
    file = find(path)
    ours = any((folder / NAME).is_file() for folder in (path, path / "adapter"))
    return (
        file is not None
        and file.suffix == ".safetensors"
        and not ours
        and (path.is_file() or base is not None)
    )


def unload_adapters(model: Model) -> Base:
    """Remove the adapters of a model, the last first; returns its base, see `Model.without`."""
    base = model.base.take_over()
    for adapter in reversed(model.adapters):
        base = METHODS[adapter.method].remove(base)
    return replace(base, schedule=model.base_schedule)

"""Adapter = the file that stock diffusers loads, and adapter.json: what it is, which base it
belongs to, how to prompt it. Written to disk, and applied to a base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from safetensors import SafetensorError

from latentdrift.adapt.adapters import checkpoint_reader, model_card
from latentdrift.adapt.adapters.adapter_files import NAME, read, text
from latentdrift.adapt.methods.methods import METHODS, Method
from latentdrift.errors import AdapterError
from latentdrift.model.adapter_info import AdapterInfo, AdapterReference, StartInfo
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.model.model import LoadedAdapter, Model
from latentdrift.model.model_files import instead_of_weights
from latentdrift.record import sha256
from latentdrift.storage import folder_written, write_text

COPY_AGAIN = "copy the adapter again from where it was made"


def write_adapter(
    folder: Path, base: Base, row: Method, info: AdapterInfo, statistics: Statistics | None
) -> None:
    """Write the adapter folder, whole or not at all.

    Args:
        folder: The folder to make.
        base: The base with the trained parameters.
        row: Row of METHODS.
        info: Content of adapter.json.
        statistics: Statistics of the training latents.
    """
    with folder_written(folder) as aside:
        row.save(base, aside)
        if statistics is not None:
            statistics.save(aside)
        write_text(aside / model_card.NAME, model_card.card(info))
        write_text(aside / NAME, text(info))


def apply_adapter(
    base: Base,
    folder: Path,
    info: AdapterInfo,
    weight: float = 1.0,
    below: Sequence[LoadedAdapter] = (),
) -> Model:
    """Put an adapter into a base, on top of what it was trained on.

    Args:
        base: The base; used up.
        folder: The adapter's folder.
        info: Content of adapter.json.
        weight: Share of its change that counts, 1 in full.
        below: The adapters that are in the base already.

    Raises:
        AdapterError: It was made for another base, or its file is missing or damaged, or what it
            was trained on is.
    """
    row = METHODS[str(info.method)]
    _check_file(base, folder, info, row)
    base = base.take_over()
    adapters = tuple(below)
    for start in info.start:
        if start.needed and start.sha256 not in [adapter.sha256 for adapter in adapters]:
            start_folder = _start_folder(start, folder)
            start_info = read(start_folder)
            started = apply_adapter(base, start_folder, start_info, start.weight, adapters)
            base = replace(started.base, schedule=base.schedule)
            adapters = started.adapters
    try:
        schedule = base.schedule.altered(
            info.schedule.prediction_type, bool(info.schedule.zero_snr)
        )  # adapters of older versions never change it
        adapted = replace(row.apply(base, folder, info, weight), schedule=schedule)
        checkpoint_reader.check_finite(folder)
        drift = Drift.from_dict(info.drift.to_dict())
        statistics = Statistics.load(folder)
        _check_channels(folder, base.latent_channels, drift, statistics)
        loaded = loaded_adapter(folder, info, weight)
    except (SafetensorError, OSError) as error:
        raise AdapterError(
            f"{row.file_in(folder)} is damaged ({error}); copy the adapter again from where it was "
            "made"
        ) from error
    return Model(
        adapted,
        drift,
        info,
        statistics,
        base_schedule=base.schedule,
        adapters=(*adapters, loaded),
    )


def loaded_adapter(folder: Path, info: AdapterInfo, weight: float) -> LoadedAdapter:
    """Entry of one of our adapters for `Model.adapters`.

    Args:
        folder: Adapter folder.
        info: adapter.json.
        weight: Factor of the adapter.
    """
    method = str(info.method)
    return LoadedAdapter(
        method,
        sha256(METHODS[method].file_in(folder)),
        weight,
        folder.absolute(),
        info.cohort.fingerprint if info.cohort else None,
        info.hint,
    )


def _check_file(base: Base, folder: Path, info: AdapterInfo, row: Method) -> None:
    """Check that an adapter is whole and was made for a base.

    Raises:
        AdapterError: It is not.
    """
    if base.hash != info.base.hash:
        raise AdapterError(
            f"the adapter {folder} was made for base '{info.base.name}' (hash "
            f"{info.base.hash[:12]}) and does not fit '{base.name}' (hash {base.hash[:12]}); give "
            "that base's folder with `base`"
        )
    file = row.file_in(folder)
    if not file.is_file():
        raise AdapterError(
            f"the adapter {folder} has lost its {file.relative_to(folder).as_posix()}; copy it "
            "again from where it was made"
        )
    if instead := instead_of_weights(file):
        raise AdapterError(f"{file} is {instead}")


def _check_channels(
    folder: Path, channels: int, drift: Drift, statistics: Statistics | None
) -> None:
    """Check that drift and statistics have as many channels as a latent of the base.

    Raises:
        AdapterError: They have not.
    """
    if any(count not in (0, channels) for count in drift.channels):
        counts = ", ".join(map(str, drift.channels))
        raise AdapterError(
            f"the drift of {folder} has {counts} values, and latents {channels} channels; "
            f"{COPY_AGAIN}"
        )
    sizes = (
        [len(getattr(statistics, part.name)) for part in fields(statistics)] if statistics else []
    )
    if any(size not in (0, channels) for size in sizes):
        raise AdapterError(
            f"the statistics of {folder} are of {max(sizes)} channels, and latents have "
            f"{channels}; {COPY_AGAIN}"
        )


def _start_folder(start: AdapterReference | StartInfo, folder: Path) -> Path:
    """The folder of an adapter that another one was trained on.

    Raises:
        AdapterError: It is not there, or has changed since.
    """
    start_folder = Path(start.adapter)
    file = METHODS[start.method].file_in(start_folder)
    if not file.is_file() or sha256(file) != start.sha256:
        state = "is not what it was" if file.is_file() else "is not there"
        raise AdapterError(
            f"the adapter {folder} was trained on top of {start_folder}, which {state}; put that "
            "one back"
        )
    return start_folder

"""Adapter = the file that stock diffusers loads, and adapter.json: what it is, which base it
belongs to, how to prompt it.

No patient data: counts, the vocabulary of the attributes and the range of intensities, nothing of
any one image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from latentdrift import prompts
from latentdrift.adapt.adapters import checkpoint_reader, model_card
from latentdrift.adapt.adapters.adapter_files import FORMAT, NAME, locate, parse, read, told
from latentdrift.adapt.adapters.checkpoint_reader import find
from latentdrift.adapt.interop.importer import recognised, take_in
from latentdrift.adapt.methods import full_finetuning
from latentdrift.adapt.methods.methods import METHODS, Method
from latentdrift.adapt.training.training_setup import Job
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.base import Base, Schedule
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.model.model_files import instead_of_weights
from latentdrift.record import sha256, versions
from latentdrift.storage import folder_written, write_text


@dataclass(frozen=True)
class Adapted:
    """A base with an adapter in it."""

    base: Base
    drift: Drift
    info: Mapping[str, Any]
    """adapter.json."""
    statistics: Statistics | None
    """Of the training latents; adapters of older versions have none."""
    own: Schedule
    """The base's schedule without the adapter."""
    parts: tuple[Mapping[str, Any], ...] = ()
    """What `shelf.told` says of each adapter in it, the lowest first."""

    def without(self) -> Base:
        """The base as it was, bit for bit; the adapted one is used up."""
        base = self.base
        for part in reversed(self.parts):
            base = METHODS[part["method"]].remove(base)
        return replace(base, schedule=self.own)


def describe(
    base: Base, cohort: Cohort, todo: Job, drift: Mapping[str, Any], losses: Mapping[str, Any]
) -> dict[str, Any]:
    """The contents of adapter.json."""
    options = todo.options
    rows = cohort.rows()
    learned = rows.iloc[list(todo.positions)]
    spoken = {
        name: spec for name, spec in cohort.attributes.items() if name != options.caption
    }  # a caption's words are reports
    return {
        "format": FORMAT,
        "method": options.method,
        "options": {name: getattr(options, name) for name in todo.row.options},
        "hint": todo.hint and todo.hint.to_dict(),
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
        "drift": dict(drift),
        "noise": todo.noise.to_dict(),
        "tokens": list(todo.words),
        "describe": todo.describe,
        "pictures": todo.pictures,
        "start": [_started(*parse(reference), todo.row) for reference in options.start],
        "prompt": {
            **asdict(prompts.Manner.asked(options)),
            "caption_dropout": todo.dropout,
            "templates": list(prompts.TEMPLATES[options.prompt_style]),
        },
        "attributes": {name: _attribute(spec, learned.get(name)) for name, spec in spoken.items()},
        "said": _always_said(todo, learned, spoken),
        "modalities": sorted({str(value) for value in learned["modality"].dropna()}),
        "resolution": todo.resolution,
        "colour": any(cohort.pixels(row).ndim == 3 for row in learned.head(8).to_dict("records")),
        "depth": 16
        if any(cohort.stored(row).dtype == np.uint16 for row in learned.head(8).to_dict("records"))
        else 8,
        "unit": _unit(cohort),
        "intensity": {name: _summary(learned[name]) for name in ("window_low", "window_high")},
        "cohort": {
            "fingerprint": cohort.fingerprint,
            "images": {split: len(cohort.rows(split)) for split in ("train", "validation", "test")},
            "patients": int(rows["patient"].nunique()),
            "attributes": model_card.summary(learned, spoken),
        },
        "steps": options.steps,
        "batch_size": options.batch_size,
        "learning_rate": todo.rate,
        "trainer": todo.craft,
        "seed": options.seed,
        "precision": todo.settings["precision"],
        "losses": dict(losses),
        "versions": versions(),
    }


def _started(folder: Path, weight: float, row: Method) -> dict[str, Any]:
    """What a fit began from, and whether its result needs that: a whole network holds all but words
    and text encoder."""
    info = read(folder)
    needed = (
        row.file != full_finetuning.FILE
        or bool(info.get("tokens"))
        or bool(info["options"].get("train_text_encoder"))
    )
    return {**told(folder, info, weight), "needed": needed}


def _attribute(spec: Mapping[str, Any], values: Any) -> dict[str, Any]:
    """What adapter.json says of an attribute: type and words, and the rounded range of a number."""
    said = {field: spec[field] for field in ("type", "vocabulary", "unit") if field in spec}
    found = (
        model_card.bounds(values, spec.get("unit"))
        if spec["type"] == "number" and values is not None
        else None
    )
    return said | ({"low": found[0], "high": found[1]} if found else {})


def _unit(cohort: Cohort) -> str | None:
    """The unit of the cohort's intensities; None where it has several, or none is known."""
    units = list(cohort.info.get("source", {}).get("units", {}))
    return units[0] if len(units) == 1 else None


def _always_said(todo: Job, learned: Any, spoken: Mapping[str, Any]) -> list[str]:
    """Attributes that the sentence of every training image says; none where images have texts or
    instructions of their own."""
    options = todo.options
    if options.caption or todo.row.shown == "source":
        return []
    says_patient = options.patient_info and options.prompt_style != "bare"
    names = [name for name in spoken if says_patient or name in prompts.OF_THE_PICTURE]
    return [
        name
        for name in names
        if name in learned and not learned[name].map(prompts.is_missing).any()
    ]


def _summary(values: Any) -> dict[str, float] | None:
    """Lowest, middle and highest of a column; None where it says nothing."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return (
        {"low": known.min().item(), "median": float(np.median(known)), "high": known.max().item()}
        if len(known)
        else None
    )


def write(
    folder: Path, base: Base, row: Method, info: Mapping[str, Any], statistics: Statistics | None
) -> None:
    """The adapter folder, whole or not at all."""
    text = json.dumps(info, indent=2, ensure_ascii=False, allow_nan=False)
    with folder_written(folder) as aside:
        row.save(base, aside)
        if statistics is not None:
            statistics.save(aside)
        write_text(aside / model_card.NAME, model_card.card(info))
        write_text(aside / NAME, text + "\n")


def load_adapter(
    path: Path | str, *, base: str | None = None, device: str = "auto", precision: str = "auto"
) -> Adapted:
    """The base with the adapter applied, and the adapter's drift.

    Args:
        path: An adapter folder, a run folder, or a safetensors file of another tool.
        base: Where its base lies on this machine; default: where it was trained, which no other
            tool's file says.
        device: As in `Base.load`.
        precision: As in `Base.load`.

    Raises:
        AdapterError: Damaged, unsafe, unfinished, or made for another base.
        BaseModelError: The base cannot be loaded.
    """
    if _is_foreign(Path(path), base):
        if base is None:
            what = recognised(Path(path))
            raise AdapterError(
                f"{path} is {what}, and does not say which base it belongs to: give that one with "
                "`base`"
            )
        plain = Base.load(base, device=device, precision=precision)
        taken, facts = take_in(plain, Path(path))
        return Adapted(
            taken,
            Drift(),
            {"format": FORMAT, **facts},
            None,
            plain.schedule,
            ({**facts["adopted"], "method": facts["method"]},),
        )
    folder = locate(path)
    info = read(folder)
    where = base or info["base"]["name"]
    return apply(
        Base.load(where, device=device, precision=precision, fetch=base is not None), folder, info
    )


def adopt(
    base: Base, path: Path, folder: Path, token: str | None = None, hint: str | None = None
) -> dict[str, Any]:
    """Make an adapter folder of another tool's file, safetensors or pickle; returns its
    adapter.json.

    Arguments and errors of `take_in`; `base` is used up.

    Raises:
        OptionError: The folder is there and not empty.
    """
    taken, facts = take_in(base, path, token, hint)
    info = {"format": FORMAT, **facts}
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if (folder / NAME).is_file() and read(folder) == json.loads(json.dumps(info)):
            return info  # made by the same command, which did not come to its end
        raise OptionError(f"{folder} is there and not empty; give a new folder as `out`")
    write(folder, taken, METHODS[info["method"]], info, None)
    return info


def _is_foreign(path: Path, base: str | None) -> bool:
    """Whether it is another tool's safetensors: a file, or beside `base` a folder that holds one
    and no adapter of ours."""
    file = find(path)
    ours = any((place / NAME).is_file() for place in (path, path / "adapter"))
    return (
        file is not None
        and file.suffix == ".safetensors"
        and not ours
        and (path.is_file() or base is not None)
    )


def apply(
    base: Base, folder: Path, info: Mapping[str, Any], there: Sequence[Mapping[str, Any]] = ()
) -> Adapted:
    """Put an adapter into a base, on top of what it was trained on.

    Args:
        base: Used up.
        folder: The adapter's.
        info: Its adapter.json; `weight`, if it is not to count in full.
        there: `Adapted.parts` that are in the base already.

    Raises:
        AdapterError: It was made for another base, or its file is missing or damaged, or what it
            was trained on is.
    """
    made_for = info["base"]
    row = METHODS[info["method"]]
    if base.hash != made_for["hash"]:
        raise AdapterError(
            f"the adapter {folder} was made for base '{made_for['name']}' (hash "
            f"{made_for['hash'][:12]}) and does not fit '{base.name}' (hash {base.hash[:12]}); "
            "give that base's folder with `base`"
        )
    if not (folder / row.file).is_file():
        raise AdapterError(
            f"the adapter {folder} has lost its {row.file}; copy it again from where it was made"
        )
    if instead := instead_of_weights(folder / row.file):
        raise AdapterError(f"{folder / row.file} is {instead}")
    parts = list(there)
    for part in info.get("start", ()):
        if part["needed"] and part["sha256"] not in [one.get("sha256") for one in parts]:
            start = _found(part, folder)
            below = apply(base, start, {**read(start), "weight": part["weight"]}, parts)
            base = replace(below.base, schedule=base.schedule)
            parts = list(below.parts)
    try:
        schedule = base.schedule.altered(
            **info.get("schedule", {})
        )  # adapters of older versions never change it
        adapted = replace(row.apply(base, folder, info), schedule=schedule)
        checkpoint_reader.check_finite(folder)
        drift = Drift.from_dict(info["drift"])
        statistics = Statistics.load(folder)
        _check_channels(folder, base.latent_channels, drift, statistics)
        return Adapted(
            adapted,
            drift,
            info,
            statistics,
            base.schedule,
            (*parts, told(folder, info, info.get("weight", 1.0))),
        )
    except (SafetensorError, OSError) as error:
        raise AdapterError(
            f"{folder / row.file} is damaged ({error}); copy the adapter again from where it was "
            "made"
        ) from error


def _check_channels(
    folder: Path, channels: int, drift: Drift, statistics: Statistics | None
) -> None:
    """See that drift and statistics are of as many channels as a latent of the base has.

    Raises:
        AdapterError: They are not.
    """
    cure = "copy the adapter again from where it was made"
    if any(count not in (0, channels) for count in drift.channels):
        counts = ", ".join(map(str, drift.channels))
        raise AdapterError(
            f"the drift of {folder} has {counts} values, and latents {channels} channels; {cure}"
        )
    sizes = (
        [len(getattr(statistics, part.name)) for part in fields(statistics)] if statistics else []
    )
    if any(size not in (0, channels) for size in sizes):
        raise AdapterError(
            f"the statistics of {folder} are of {max(sizes)} channels, and latents have "
            f"{channels}; {cure}"
        )


def _found(part: Mapping[str, Any], folder: Path) -> Path:
    """The folder of an adapter that another one was trained on.

    Raises:
        AdapterError: It is not there, or is another one now.
    """
    start = Path(part["adapter"])
    file = start / METHODS[part["method"]].file
    if not file.is_file() or sha256(file) != part["sha256"]:
        state = "is not what it was" if file.is_file() else "is not there"
        raise AdapterError(
            f"the adapter {folder} was trained on top of {start}, which {state}; put that one back"
        )
    return start

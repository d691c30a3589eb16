"""Stack = adapters one on another in one base: words and a LoRA on a fine-tuned network,
ControlNets beside it, with weights.

Everything in a stack was made for the same base, is trained with the same drift, and predicts the
same; sampling starts as the first one says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from latentdrift.adapt.adapters.adapter import Adapted, apply
from latentdrift.adapt.adapters.adapter_files import parse, read, told
from latentdrift.adapt.methods import controlnet, full_finetuning, lora
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.training_setup import Job
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift

WEIGHTED = (lora.FILE, controlnet.FILE)
"""Files whose change can be given a weight."""


def add(below: Adapted, references: Sequence[str]) -> Adapted:
    """Put further adapters onto an adapted base, in their order.

    Args:
        below: Used up.
        references: Adapter or run folders, with weights where a row of METHODS allows it.

    Raises:
        AdapterError: Made for another base, drift or prediction, or replaces what is there.
        OptionError: A weight for what has none.
    """
    for reference in references:
        folder, weight = parse(reference)
        info, bare = read(folder), below.info["method"] is None
        row = METHODS[info["method"]]
        if weight != 1 and row.file not in WEIGHTED:
            able = ", ".join(name for name, other in METHODS.items() if other.file in WEIGHTED)
            raise OptionError(
                f"{reference}: an adapter of method '{info['method']}' has no weight; those of "
                f"{able} have"
            )
        if row.file == full_finetuning.FILE and not bare:
            raise AdapterError(
                f"{folder} replaces the whole network, and what lies under it would be lost: give "
                "it first"
            )
        _check(below, info, folder)
        put = apply(
            replace(below.base, schedule=below.own), folder, {**info, "weight": weight}, below.parts
        )
        first = put if bare else replace(below, info=_joined(below.info, info, folder, weight))
        below = replace(first, base=put.base, parts=put.parts)
    return below


def _check(below: Adapted, info: Mapping[str, Any], folder: Path) -> None:
    """See that two adapters can lie on one another."""
    if below.info["method"] is None:
        return
    wanted = below.own.altered(**info.get("schedule", {}))
    schedules = [
        {"prediction": one.prediction_type, "zero SNR": one.zero_snr}
        for one in (below.base.schedule, wanted)
    ]
    for what, mine, theirs in (
        ("drift in training", below.info["drift"].get("train"), info["drift"].get("train")),
        ("schedule", *schedules),
    ):
        if mine != theirs:
            raise AdapterError(
                f"{folder} and the adapter below it were trained with another {what} ({theirs} and "
                f"{mine}); one network cannot follow both: fit one of them again like the other"
            )


def _joined(
    first: Mapping[str, Any], info: Mapping[str, Any], folder: Path, weight: float
) -> dict[str, Any]:
    """adapter.json of the first, with the words of both, and what was put onto it."""
    tokens = list(dict.fromkeys([*first.get("tokens", []), *info.get("tokens", [])]))
    return {**first, "tokens": tokens, "also": [*first.get("also", []), told(folder, info, weight)]}


def begin(base: Base, todo: Job) -> tuple[Base, dict[str, torch.nn.Parameter]]:
    """The base as its training begins, on what it starts from, and what is trained.

    Args:
        base: Used up.
        todo: Its method, and the adapters that it starts from.

    Raises:
        AdapterError: One of them does not fit.
    """
    begun = base
    if todo.row.exact and base.dtype != torch.float32:
        exact = Base.load(base.name, device=str(base.device), precision="fp32", fetch=False)
        encoders = exact.text_encoders if todo.options.train_text_encoder else base.text_encoders
        begun = replace(exact, vae=base.vae, text_encoders=encoders, schedule=base.schedule)
    if todo.options.start:
        plain = Adapted(begun, Drift(), {"method": None}, None, begun.schedule)
        started = add(plain, todo.options.start)
        if started.base.schedule is not begun.schedule:
            there = started.base.schedule
            flags = f"`prediction={there.prediction_type}`" + (
                " `zero_snr`" if there.zero_snr else ""
            )
            raise OptionError(
                f"what `start` names was trained with {flags}, and this fit is not: give it the "
                "same"
            )
        begun = started.base
        if begun.sees_source and todo.row.shown != "source":
            raise OptionError(
                "what `start` names is shown a picture to start from, which "
                f"`method={todo.options.method}` has none of; take instruct-pix2pix, "
                "or start from another adapter"
            )
        if begun.controls:
            raise OptionError(
                "`start` names a ControlNet, and a fit shows the network no hints but its own: "
                "leave it out, and put it on top when you draw, with `latentdrift generate --also`"
            )
        if todo.row.exact:
            lora.merge(begun)
    return todo.row.prepare(begun, todo.options, todo.words)

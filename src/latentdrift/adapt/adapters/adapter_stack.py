"""Stack = adapters one on another in one base: words and a LoRA on a fine-tuned network,
ControlNets beside it, with weights.

Everything in a stack was made for the same base, is trained with the same drift, and predicts the
same; sampling starts as the first one says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from latentdrift.adapt.adapters.adapter import apply_adapter
from latentdrift.adapt.adapters.adapter_files import parse_reference, read, reference_to
from latentdrift.adapt.methods import controlnet, lora
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.adapter_info import AdapterInfo, AdapterReference
from latentdrift.model.model import Model

WEIGHTED = (lora.FILE, controlnet.FILE)
"""Files whose change can be given a weight."""


def add(model: Model, references: Sequence[str]) -> Model:
    """Put further adapters onto a model, in their order.

    Args:
        model: The model below; used up.
        references: Adapter or run folders, with weights where a row of METHODS allows it.

    Raises:
        AdapterError: Made for another base, drift or prediction, or replaces what is there.
        OptionError: A weight for what has none.
    """
    for reference in references:
        folder, weight = parse_reference(reference)
        info = read(folder)
        row = METHODS[str(info.method)]
        if weight != 1 and row.file not in WEIGHTED:
            able = ", ".join(name for name, other in METHODS.items() if other.file in WEIGHTED)
            raise OptionError(
                f"{reference}: an adapter of method '{info.method}' has no weight; those of {able} "
                "have"
            )
        if row.replaces_network and not model.is_base:
            raise AdapterError(
                f"{folder} replaces the whole network and would discard the adapters "
                "before it; give it first"
            )
        _check_fit(model, info, folder)
        plain = replace(model.base, schedule=model.base_schedule)
        top = apply_adapter(plain, folder, info, weight, model.adapters)
        if model.is_base:
            model = top
        else:
            added = reference_to(folder, str(info.method), weight)
            joined = _joined(model.info, info, added)
            model = replace(model, info=joined, base=top.base, adapters=top.adapters)
    return model


def _check_fit(model: Model, info: AdapterInfo, folder: Path) -> None:
    """Check that an adapter can lie on a model.

    Raises:
        AdapterError: Drift in training or the schedule differ.
    """
    if model.is_base:
        return
    own = model.base.schedule
    wanted = model.base_schedule.altered(
        info.schedule.prediction_type, bool(info.schedule.zero_snr)
    )
    schedules = [
        {"prediction": schedule.prediction_type, "zero SNR": schedule.zero_snr}
        for schedule in (own, wanted)
    ]
    for name, mine, theirs in (
        ("drift in training", list(model.info.drift.train), list(info.drift.train)),
        ("schedule", *schedules),
    ):
        if mine != theirs:
            raise AdapterError(
                f"{folder} and the adapter below it were trained with another {name} ({theirs} and "
                f"{mine}); one network cannot follow both: fit one of them again like the other"
            )


def _joined(first: AdapterInfo, info: AdapterInfo, added: AdapterReference) -> AdapterInfo:
    """adapter.json of the first, with the words of both and the reference to what was added."""
    tokens = list(dict.fromkeys([*first.tokens, *info.tokens]))
    return first.model_copy(update={"tokens": tokens, "also": [*first.also, added]})

"""Start of a training: its number format, and bases and schedules that do not go together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from method_fits import job, load, prepared

from latentdrift.adapt.training.setup import training_start
from latentdrift.adapt.training.setup.training_start import begin
from latentdrift.errors import OptionError


def test_full_fine_tuning_starts_from_exact_weights(tiny_base_folder: Path) -> None:
    base = load(tiny_base_folder, "bf16")
    begun, parameters = prepared(base, "full")
    exact = load(tiny_base_folder)
    assert begun.dtype == torch.float32 and begun.vae is base.vae
    assert all(part.dtype == torch.float32 for part in parameters.values())
    for name, tensor in exact.network.state_dict().items():
        assert torch.equal(tensor, begun.network.state_dict()[name]), name


def test_lora_keeps_the_number_format_of_the_base(tiny_base_folder: Path) -> None:
    begun, parameters = prepared(load(tiny_base_folder, "bf16"), "lora")
    assert begun.dtype == torch.bfloat16
    assert all(part.dtype == torch.float32 for part in parameters.values())


def started(begun: Any, **changes: Any) -> Any:
    """A model whose base differs from the fit's own."""
    return SimpleNamespace(base=replace(begun, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("schedule", r"was trained with `prediction=v_prediction` `zero_snr`, and this fit is not"),
        ("controls", "`start` names a ControlNet"),
    ],
)
def test_a_start_of_another_kind_is_refused(
    changes: str, message: str, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load(tiny_base_folder)
    other = {
        "schedule": {"schedule": base.schedule.altered("v_prediction", True)},
        "controls": {"controls": ((torch.nn.Linear(1, 1), 1.0),)},
    }[changes]
    monkeypatch.setattr(training_start, "add", lambda model, runs: started(model.base, **other))
    with pytest.raises(OptionError, match=message):
        begin(base, job("lora", start=("run",)))

"""Advice on a fit that takes too much memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentdrift.adapt.training.planning.fit_trace import UNSEEN, Memory
from latentdrift.adapt.training.planning.machine_memory import MachineMemory
from latentdrift.adapt.training.planning.remedies import Remedy, advice, changes
from latentdrift.config import FitOptions

MACHINE = MachineMemory(total=16 * 10**9, free=12 * 10**9)


def options(**more: Any) -> FitOptions:
    return FitOptions(cohort=Path("cohort"), out=Path("run"), **more)


def test_changes_that_keep_the_result_come_first() -> None:
    assert changes(options(method="full", batch_size=8, accumulate=2), "fp32") == [
        {"batch_size": 1, "accumulate": 16},
        {"gradient_checkpointing": True},
        {"batch_size": 1, "accumulate": 16, "gradient_checkpointing": True},
        {"precision": "bf16"},
        {"method": "lora"},
    ]


def test_only_what_is_not_done_yet_is_a_change() -> None:
    least = options(method="lora", batch_size=2, gradient_checkpointing=True)
    assert changes(least, "bf16", processes=2) == []
    assert changes(least, "bf16") == [{"batch_size": 1, "accumulate": 2}]
    assert {"method": "dreambooth-lora"} in changes(options(method="dreambooth"), "bf16")


def memory(gigabytes: float) -> Memory:
    return Memory(weights=round(gigabytes * 1e9))


def test_a_fit_that_surely_fits_needs_no_advice() -> None:
    assert advice(memory(12 / UNSEEN), MACHINE, []) is None
    assert advice(memory(12), MACHINE, []) is not None


def test_the_advice_names_all_that_fits() -> None:
    remedies = [
        Remedy({"batch_size": 1, "accumulate": 8}, memory(14)),
        Remedy({"gradient_checkpointing": True}, memory(9)),
        Remedy({"method": "lora"}, memory(5.4)),
    ]
    assert advice(memory(20), MACHINE, remedies) == (
        "the fit takes 20.0 to 25.0 GB of memory, and 12.0 GB of 16.0 GB are free; what would fit: "
        "`gradient_checkpointing` (9.0 GB), or `method=lora` (5.4 GB)"
    )


def test_where_nothing_fits_the_least_is_named() -> None:
    remedies = [
        Remedy({"batch_size": 1, "accumulate": 8}, memory(14)),
        Remedy({"gradient_checkpointing": True}, memory(13)),
    ]
    sentence = advice(memory(15), MACHINE, remedies)
    assert sentence and "the least is `gradient_checkpointing` (13.0 GB)" in sentence
    assert "smaller `resolution`" in str(advice(memory(15), MACHINE, []))


def test_options_of_one_remedy_are_joined() -> None:
    change = {"batch_size": 1, "accumulate": 8, "gradient_checkpointing": True}
    text = Remedy(change, memory(2)).text
    assert text == "`batch_size=1` and `accumulate=8` and `gradient_checkpointing` (2.0 GB)"

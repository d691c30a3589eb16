"""Kinds of values that options take, read from the option models."""

from __future__ import annotations

from latentdrift import config
from latentdrift.config.fields import can_be_left_out, choices, is_sequence, is_switch


def test_choices_come_from_the_tables() -> None:
    fields = config.FitOptions.model_fields
    assert choices("method", fields["method"]) == config.NAMES["method"].known
    assert choices("precision", fields["precision"]) == ("auto", "fp32", "bf16", "fp16")
    assert choices("preset", fields["preset"]) == tuple(config.PRESETS)
    assert choices("base", fields["base"]) == ()
    edit = config.EditOptions.model_fields
    assert choices("gate", edit["gate"]) == ()


def test_kinds_of_options() -> None:
    edit = config.EditOptions.model_fields
    assert is_switch(edit["reverse"]) and is_switch(edit["detail"]) and not is_switch(edit["gate"])
    assert is_sequence(edit["set"]) and not is_sequence(edit["strength"])
    assert can_be_left_out(edit["gate"]) and not can_be_left_out(edit["mask"])

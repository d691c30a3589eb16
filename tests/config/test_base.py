"""Option models: frozen, closed, and with defaults that their own ranges allow."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import TypeAdapter, ValidationError

from latentdrift import config
from latentdrift.config.base import Options

MODELS = [
    model
    for model in vars(config).values()
    if isinstance(model, type) and issubclass(model, Options)
]


@pytest.mark.parametrize("model", MODELS)
def test_every_default_is_an_allowed_value(model: type[Options]) -> None:
    types = get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        if not field.is_required():
            checked = TypeAdapter(types[name]).validate_python(field.default)
            assert checked == field.default, name


@pytest.mark.parametrize("model", MODELS)
def test_every_option_is_explained(model: type[Options]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name


def test_options_are_frozen_and_closed() -> None:
    options = config.InspectOptions(cohort=Path("c"))
    with pytest.raises(ValidationError, match="frozen"):
        options.cohort = Path("d")  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        config.InspectOptions(cohort=Path("c"), cohrot=Path("d"))  # type: ignore[call-arg]

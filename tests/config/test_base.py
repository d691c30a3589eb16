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


def test_the_address_of_a_cluster_has_one_of_two_forms(tmp_path: Path) -> None:
    given = {"adapter": "pocket", "out": tmp_path}
    for address in ("auto", "node-1.cluster:6379", "[::1]:6379"):
        assert config.GenerateOptions(**given, ray=address).ray == address  # type: ignore[arg-type]
    for address in ("", "bogus", "host:", "host:0", "host:65536", "ray://host:10001", "a b:1"):
        with pytest.raises(ValidationError, match=r"`auto` .* or HOST:PORT"):
            config.GenerateOptions(**given, ray=address)  # type: ignore[arg-type]

"""Options from Python values: cohorts, models and dictionaries stand where the verbs take text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic.fields import FieldInfo

from latentdrift import config
from latentdrift.config.fields import is_sequence, takes_text_alone

SomeOptions = TypeVar("SomeOptions", bound=config.Options)


@runtime_checkable
class HasFolder(Protocol):
    """A cohort, a set of images or another result on disk."""

    @property
    def folder(self) -> Path:
        """Folder of the result."""


def options_of(model: type[SomeOptions], values: Mapping[str, Any]) -> SomeOptions:
    """Options of a verb from Python values.

    Args:
        model: The verb's option model.
        values: Option -> its value. A cohort or set of images stands for its folder, one value for
            a sequence of one, and a dictionary `{"age": 85}` for `("age=85",)`.

    Raises:
        OptionError: A name is unknown, a required option is missing, or a value is not allowed.
    """
    plain: dict[str, Any] = {}
    for name, value in values.items():
        field = model.model_fields.get(name)
        plain[name] = value if field is None else _plain(value, field)
    return config.build(model, plain)


def _plain(value: Any, field: FieldInfo) -> Any:
    """A value as the option models take it."""
    if value is None or not is_sequence(field):
        return _one(value, field)
    if isinstance(value, Mapping):
        return tuple(f"{name}={_text(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(_one(part, field) for part in value)
    return (_one(value, field),)


def _one(value: Any, field: FieldInfo) -> Any:
    """One value: a folder for what has one, text for a path or number where text is due."""
    if isinstance(value, HasFolder):
        value = value.folder
    is_plain = isinstance(value, Path | int | float) and not isinstance(value, bool)
    return _text(value) if is_plain and takes_text_alone(field) else value


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

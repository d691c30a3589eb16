"""Fields of option models: which kinds of values an option takes."""

from __future__ import annotations

import typing
from pathlib import Path
from types import UnionType
from typing import Any, Literal

from pydantic.fields import FieldInfo

from latentdrift.config.fit import PRESETS
from latentdrift.config.names import NAMES


def kinds(field: FieldInfo) -> tuple[Any, ...]:
    """Types that an option takes, None among them where it may be unset."""
    annotation = field.annotation
    if isinstance(annotation, UnionType) or typing.get_origin(annotation) is typing.Union:
        return typing.get_args(annotation)
    return (annotation,)


def is_switch(field: FieldInfo) -> bool:
    """Whether an option is on or off."""
    return all(kind in (bool, type(None)) for kind in kinds(field))


def is_sequence(field: FieldInfo) -> bool:
    """Whether an option takes several values."""
    return any(typing.get_origin(kind) is tuple for kind in kinds(field))


def takes_text_alone(field: FieldInfo) -> bool:
    """Whether the values of an option are text only, neither paths nor numbers."""
    parts = [part for kind in kinds(field) for part in (typing.get_args(kind) or (kind,))]
    return str in parts and not {Path, int, float} & {part for part in parts if part is not ...}


def can_be_left_out(field: FieldInfo) -> bool:
    """Whether an option takes a value or `False`."""
    return Literal[False] in kinds(field)


def choices(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Names that an option takes; empty where it takes any value.

    Args:
        name: Name of the option.
        field: Its field in the option model.
    """
    if name == "preset":
        return tuple(PRESETS) if all(row in str(field.description) for row in PRESETS) else ()
    if name in NAMES and not is_switch(field):
        return NAMES[name].known
    literals: list[str] = []
    for kind in kinds(field):
        inner = typing.get_args(kind)[:1] if typing.get_origin(kind) is tuple else (kind,)
        for part in inner:
            if typing.get_origin(part) is Literal:
                literals += [str(value) for value in typing.get_args(part) if value is not False]
    return tuple(literals)


def choices_text(name: str, field: FieldInfo) -> str:
    """Names that an option takes in braces, `{full, lora}`; empty where it takes any value.

    Args:
        name: Name of the option.
        field: Its field in the option model.
    """
    names = choices(name, field)
    others = ", or another value" if name in NAMES and NAMES[name].others else ""
    return f"{{{', '.join(names)}{others}}}" if names else ""

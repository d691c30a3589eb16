"""Texts of the help pages: one option, one verb, all verbs."""

from __future__ import annotations

import typing
from types import UnionType
from typing import Any, Literal

from pydantic.fields import FieldInfo

from latentdrift import config
from latentdrift.cli.flags import flag, with_flags
from latentdrift.verbs import VERBS


def kinds(field: FieldInfo) -> tuple[Any, ...]:
    """The types that an option takes."""
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


def can_be_left_out(field: FieldInfo) -> bool:
    """Whether an option takes a value, or `--no-OPTION`."""
    return Literal[False] in kinds(field)


def choices(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Names that an option takes; none where it takes any value."""
    if name == "preset":
        return _presets(field)
    if name in config.NAMES and not is_switch(field):
        return config.NAMES[name].known
    literals: list[str] = []
    for kind in kinds(field):
        inner = typing.get_args(kind)[:1] if typing.get_origin(kind) is tuple else (kind,)
        for part in inner:
            if typing.get_origin(part) is Literal:
                literals += [str(value) for value in typing.get_args(part) if value is not False]
    return tuple(literals)


def _presets(field: FieldInfo) -> tuple[str, ...]:
    return tuple(config.PRESETS) if "PRESETS" in str(field.description) else ()


def option_help(verb: str, name: str, field: FieldInfo) -> str:
    """Help of an option: its description, the choices in braces, and the default."""
    text = with_flags(" ".join(str(field.description).split()), verb)
    names = choices(name, field)
    if names:
        others = ", or another value" if name in config.NAMES and config.NAMES[name].others else ""
        text += f" {{{', '.join(names)}{others}}}"
    if field.is_required():
        text += " (required)"
    elif field.default not in (None, ()):
        text += f" (default: {default_text(field.default)})"
    return text.replace("%", "%%")


def default_text(value: object) -> str:
    """A default as a person writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(default_text(part) for part in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def usage(verb: str) -> str:
    """The usage line of a verb: what is required, and that there is more."""
    row = VERBS[verb]
    parts = [f"latentdrift {verb}", *(name.upper() for name in row.positional)]
    for name, field in row.options.model_fields.items():
        if field.is_required() and name not in row.positional:
            parts.append(f"{flag(name)} {name.upper()}")
    return " ".join([*parts, "[options]"])


def overview() -> str:
    """The list of verbs under their headings, one line each."""
    lines: list[str] = []
    heading = ""
    for name, row in VERBS.items():
        if row.topic != heading:
            heading = row.topic
            lines += ["", f"{heading}:"]
        lines.append(f"  {name:<15} {row.summary}")
    return "\n".join(lines).strip()

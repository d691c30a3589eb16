"""Texts of the help pages: one option, one verb, all verbs."""

from __future__ import annotations

import sys
from contextlib import suppress

from pydantic.fields import FieldInfo

from latentdrift.cli.flags import flag, with_flags
from latentdrift.config.fields import choices_text
from latentdrift.verbs import VERBS


def print_page(text: str) -> None:
    """Write text to stdout; a closed stdout is ignored, as in argparse."""
    with suppress(OSError):
        sys.stdout.write(text)


def option_help(verb: str, name: str, field: FieldInfo) -> str:
    """Help text of an option: its description, the choices in braces, and the default.

    Args:
        verb: Name of the verb.
        name: Name of the option.
        field: Its field in the option model.
    """
    text = with_flags(" ".join(str(field.description).split()), verb)
    if allowed := choices_text(name, field):
        text += f" {allowed}"
    if field.is_required():
        text += " (required)"
    elif field.default not in (None, ()):
        text += f" (default: {default_text(field.default)})"
    return text.replace("%", "%%")


def default_text(value: object) -> str:
    """Write a default value as on the command line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(default_text(part) for part in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def usage(verb: str) -> str:
    """Usage line of a verb, with its required options."""
    row = VERBS[verb]
    parts = [f"latentdrift {verb}", *(name.upper() for name in row.positional)]
    for name, field in row.options.model_fields.items():
        if field.is_required() and name not in row.positional:
            parts.append(f"{flag(name)} {name.upper()}")
    return " ".join([*parts, "[options]"])


def overview() -> str:
    """List of all verbs under their headings, one line each."""
    lines: list[str] = []
    heading = ""
    for name, row in VERBS.items():
        if row.topic != heading:
            heading = row.topic
            lines += ["", f"{heading}:"]
        lines.append(f"  {name:<15} {row.summary}")
    return "\n".join(lines).strip()

"""Option names in messages: `` `drift_mode=pin` `` becomes `--drift-mode pin` on the command line.

`` `set={'age': 85}` `` becomes `--set age=85`. Everything below the command line names a
parameter in backquotes; only the command line knows flags.
"""

from __future__ import annotations

import ast
import logging
import re
import shlex
from contextlib import suppress

from latentdrift.verbs import VERBS

COMMON = ("config", "dry_run", "json", "debug")
"""Options that every verb has beside those of its model."""
NAMED = re.compile(r"(?<!entry )`([a-z][a-z0-9_]*)(?:=([^`]*))?`")
"""An option with its value. After the word "entry", a name is a key of a JSON file."""
ATTRIBUTES = ("age", "mask")
"""Options whose names also stand for attributes of a cohort and for values of other options."""


def flag(name: str) -> str:
    """The flag of an option: `drift_mode` -> `--drift-mode`."""
    return f"--{name.replace('_', '-')}"


def written(verb: str, name: str, value: str | None = None) -> str:
    """Write an option and its value as on the command line.

    Args:
        verb: Name of the verb.
        name: Name of the option.
        value: Its value as text; None: the option alone.
    """
    if name in VERBS[verb].positional:
        return name.upper() if value is None else f"{name.upper()} {value}"
    if value == "False":
        return f"--no-{name.replace('_', '-')}"
    if value is None or value == "True":
        return flag(name)
    return f"{flag(name)} {_entries(value)}"


def _entries(value: str) -> str:
    """Write a dictionary of Python as on the command line: `{'age': 85}` -> `age=85`.

    Args:
        value: Value of an option as text; any other than a dictionary stays.
    """
    if not value.startswith("{"):
        return value
    with suppress(SyntaxError, ValueError):
        parsed = ast.literal_eval(value)
        return " ".join(
            f"{name}=..." if part is ... else shlex.quote(f"{name}={part}")
            for name, part in parsed.items()
        )
    return value


def _written_of_others(name: str, value: str | None) -> str | None:
    """Write an option of other verbs as on the command line.

    Names of one word stay as they are without a value, because attributes and values have such
    names, too.

    Args:
        name: Name of the option.
        value: Its value as text; None: the option alone.

    Returns:
        "`fit --zero-snr`" where one verb has the option, its flag where several have it; None where
        no verb has it, or where it stays.
    """
    owners = [verb for verb, row in VERBS.items() if name in row.options.model_fields]
    is_ambiguous = "_" not in name and (value is None or name in ATTRIBUTES)
    if not owners or is_ambiguous:
        return None
    flagged = written(owners[0], name, value)
    return f"`{owners[0]} {flagged}`" if len(owners) == 1 else flagged


def with_flags(text: str, verb: str) -> str:
    """Replace option names in a message by flags; other words in backquotes stay.

    Args:
        text: The message.
        verb: Name of the verb; an unknown one changes nothing.
    """
    if verb not in VERBS:
        return text
    known = {*VERBS[verb].options.model_fields, *COMMON}

    def as_typed(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name in known:
            return written(verb, name, value)
        return _written_of_others(name, value) or match.group()

    return NAMED.sub(as_typed, text)


class FlagFormatter(logging.Formatter):
    """Log lines of a verb, with flags."""

    def __init__(self, verb: str) -> None:
        super().__init__("%(message)s")
        self.verb = verb

    def format(self, record: logging.LogRecord) -> str:
        """Format a log record, with option names as flags."""
        return with_flags(super().format(record), self.verb)

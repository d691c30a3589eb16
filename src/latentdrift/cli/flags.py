"""Option names in messages: `` `drift_mode=pin` `` becomes `--drift-mode pin` on the command line.

Everything below the command line names a parameter in backquotes; only the command line knows
flags.
"""

from __future__ import annotations

import logging
import re

from latentdrift.verbs import VERBS

COMMON = ("config", "dry_run", "json", "debug")
"""Options that every verb has beside those of its model."""
NAMED = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


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
    return f"{flag(name)} {value}"


def with_flags(text: str, verb: str) -> str:
    """Replace a verb's option names in a message by flags; other words in backquotes stay.

    Args:
        text: The message.
        verb: Name of the verb; an unknown one changes nothing.
    """
    if verb not in VERBS:
        return text
    known = {*VERBS[verb].options.model_fields, *COMMON}

    def as_typed(match: re.Match[str]) -> str:
        name, value = match.groups()
        return written(verb, name, value) if name in known else match.group()

    return NAMED.sub(as_typed, text)


class FlagFormatter(logging.Formatter):
    """Log lines of a verb, with flags."""

    def __init__(self, verb: str) -> None:
        super().__init__("%(message)s")
        self.verb = verb

    def format(self, record: logging.LogRecord) -> str:
        """Format a log record, with option names as flags."""
        return with_flags(super().format(record), self.verb)

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
    """An option and its value as they are typed after a verb."""
    if name in VERBS[verb].positional:
        return name.upper() if value is None else f"{name.upper()} {value}"
    if value == "False":
        return f"--no-{name.replace('_', '-')}"
    if value is None or value == "True":
        return flag(name)
    return f"{flag(name)} {value}"


def with_flags(text: str, verb: str) -> str:
    """A message with the verb's options as flags; other words in backquotes stay."""
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
        """The message of a record."""
        return with_flags(super().format(record), self.verb)

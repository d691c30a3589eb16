"""Options from plain values: what the command line, YAML and Python share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from latentdrift.config.base import Options
from latentdrift.errors import OptionError, unknown

SomeOptions = TypeVar("SomeOptions", bound=Options)


def build(model: type[SomeOptions], values: Mapping[str, Any]) -> SomeOptions:
    """Build the options of a verb from values by name.

    Args:
        model: Option model of the verb.
        values: Value of each given option.

    Raises:
        OptionError: A name is unknown, a required option is missing, or a value is not allowed. The
            message names the option in backquotes.
    """
    for name in values:
        if name not in model.model_fields:
            raise unknown("option", name, model.model_fields)
    try:
        return model(**values)
    except ValidationError as error:
        sentences = [_sentence(problem) for problem in error.errors()]
        raise OptionError("; ".join(sentences)) from None


def _sentence(problem: Any) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else "options"
    if problem["type"] == "missing":
        return f"`{name}` is missing"
    message = problem["msg"]
    return f"`{name}` is {problem['input']!r}: {message[:1].lower()}{message[1:]}"

"""Options from plain values: what the command line, YAML and Python share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import ValidationError

from latentdrift.config.base import Options
from latentdrift.config.fields import choices, kinds
from latentdrift.errors import OptionError, unknown

SomeOptions = TypeVar("SomeOptions", bound=Options)

ADVICE = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "a number above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "a number below {lt}",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "literal_error": "{expected}",
}
"""Kind of error of pydantic -> values that are allowed."""


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
        sentences = dict.fromkeys(_sentence(problem, model) for problem in error.errors())
        raise OptionError("; ".join(sentences)) from None


def _sentence(problem: Any, model: type[Options]) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else "options"
    is_part_missing = problem["type"] == "missing" and len(problem["loc"]) > 1
    if is_part_missing or problem["type"] == "too_long":
        return _wrong_count(name, problem, model)
    if problem["type"] == "missing":
        allowed = choices(name, model.model_fields[name]) if name in model.model_fields else ()
        return f"`{name}` is missing" + (f"; give one of {', '.join(allowed)}" if allowed else "")
    if problem["type"] == "path_type":
        return f"`{name}` is {problem['input']!r}; give a path"
    if advice := ADVICE.get(problem["type"]):
        return f"`{name}` is {problem['input']}; give {advice.format(**problem.get('ctx', {}))}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"`{name}` is {problem['input']!r}: {message[:1].lower()}{message[1:]}"


def _wrong_count(name: str, problem: Any, model: type[Options]) -> str:
    """Sentence on an option of a fixed number of values that got another number."""
    field = model.model_fields[name]
    count = next(len(get_args(kind)) for kind in kinds(field) if get_origin(kind) is tuple)
    given = ", ".join(map(str, problem["input"]))
    example = f", such as {', '.join(map(str, field.default))}" if field.default else ""
    return f"`{name}` takes {count} values{example}; {len(problem['input'])} given: {given}"

"""Signatures of Python functions that take the options of a verb as keywords."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic.fields import FieldInfo

from latentdrift.config.base import Options
from latentdrift.config.fields import choices_text


def document(function: Callable[..., Any], model: type[Options], *hidden: str) -> None:
    """Give a function with `**options` the signature and the documentation of its option model.

    Parameters that the function names itself keep their annotation and documentation.

    Args:
        function: Takes some options by name and the others as keywords.
        model: The option model.
        hidden: Options that the function sets itself.
    """
    own = inspect.signature(function)
    named = [part for part in own.parameters.values() if part.kind is not part.VAR_KEYWORD]
    taken = {part.name for part in named} | set(hidden)
    types = get_type_hints(model)
    further = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.is_required() else field.default,
            annotation=types[name],
        )
        for name, field in model.model_fields.items()
        if name not in taken
    ]
    function.__signature__ = own.replace(parameters=[*named, *further])  # type: ignore[attr-defined]
    lines = [
        f"    {name}: {_described(name, field)}"
        for name, field in model.model_fields.items()
        if name not in taken
    ]
    function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Options:", *lines])


def _described(name: str, field: FieldInfo) -> str:
    """Describe an option: its description, and its choices in braces."""
    description = " ".join(str(field.description).split())
    return " ".join(filter(None, [description, choices_text(name, field)]))

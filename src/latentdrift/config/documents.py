"""YAML files that people write: maps and options.

A few bytes of YAML can grow without end, so its form is checked before it is read.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any, Literal

import yaml

from latentdrift.errors import InputError

MAX_BYTES = 1_000_000
"""Largest YAML file, bytes."""
MAX_DEPTH = 20
"""Deepest nesting of lists and keys, levels."""


def read_yaml(
    path: Path,
    name: str,
    loader: type[yaml.BaseLoader] | type[yaml.SafeLoader],
    form: Literal["NFC"] | None = None,
) -> Any:
    """Read a YAML file.

    Args:
        path: The file.
        name: Name of the file in messages, such as `the map columns.yaml`.
        loader: Loader that gives words their types.
        form: Unicode form of the words.

    Returns:
        The content.

    Raises:
        OSError: The file cannot be read.
        InputError: The file is not YAML, is too large or nested too deeply, or repeats parts of
            itself by aliases (`*name`).
    """
    if path.stat().st_size > MAX_BYTES:
        raise InputError(
            f"{name} has more than {MAX_BYTES / 1e6:g} MB; it must be a page of `name: value` lines"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        text = unicodedata.normalize(form, text) if form else text
        _check_form(text, name)
        return yaml.load(text, Loader=loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{name} is not YAML: {' '.join(str(error).split())}") from error


def _check_form(text: str, name: str) -> None:
    """Refuse YAML that nests too deeply or repeats parts of itself."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
            event, yaml.CollectionEndEvent
        )
        if depth > MAX_DEPTH:
            raise InputError(
                f"{name} is nested more than {MAX_DEPTH} levels deep; it must be a page of `name: "
                "value` lines"
            )
        if isinstance(event, yaml.AliasEvent):
            raise InputError(f"{name} has a YAML alias (*{event.anchor}); write the value out")

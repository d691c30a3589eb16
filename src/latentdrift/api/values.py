"""Options from Python values: cohorts, models and dictionaries stand where the verbs take text."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic.fields import FieldInfo

from latentdrift import config
from latentdrift.config.fields import is_sequence, kinds, takes_text_alone
from latentdrift.errors import OptionError
from latentdrift.prompts.phrases import is_missing

SomeOptions = TypeVar("SomeOptions", bound=config.Options)


@runtime_checkable
class HasFolder(Protocol):
    """A cohort, a set of images or another result on disk."""

    @property
    def folder(self) -> Path:
        """Folder of the result."""


MAX_WHOLE_NUMBER = 1e15
"""Size up to which a float has all its digits as a whole number."""
SERIES = ("grid",)
"""Options whose dictionaries have several values for a name."""
WEIGHTED = ("compose",)
"""Options whose dictionaries have a weight for a condition, as `effusion:0.5`."""
NUMBER_LISTS = ("window", "drift")
"""Options whose text is a list of numbers, as `0,100`."""


def options_of(model: type[SomeOptions], values: Mapping[str, Any]) -> SomeOptions:
    """Options of a verb from Python values.

    Args:
        model: The verb's option model.
        values: Option -> its value. A cohort or set of images stands for its folder, one value for
            a sequence of one, and a dictionary `{"age": 85}` for `("age=85",)`.

    Raises:
        OptionError: A name is unknown, a required option is missing, or a value is not allowed.
    """
    plain: dict[str, Any] = {}
    for name, value in values.items():
        field = model.model_fields.get(name)
        plain[name] = value if field is None else _plain(name, value, field)
    return config.build(model, plain)


def _plain(name: str, value: Any, field: FieldInfo) -> Any:
    """Convert the value of an option to what the option models take."""
    if name == "age" and _is_number(value) and value >= 0:
        raise OptionError(
            f"`age={value}` has no sign, and Python drops the one of +10; write `age='+10'` for a "
            "change in years, or `set={'age': 85}` for the age itself"
        )
    if value is None or not is_sequence(field):
        is_listed = name in NUMBER_LISTS and isinstance(value, list | tuple)
        return ",".join(map(_text, value)) if is_listed else _one(value, field)
    if isinstance(value, Mapping):
        return tuple(_entry(name, str(key), part) for key, part in value.items())
    if isinstance(value, str) and not (takes_text_alone(field) or _takes_paths(field)):
        return tuple(value.replace(",", " ").split())  # `0.7,0.15,0.15`
    if isinstance(value, list | tuple):
        return tuple(_one(part, field) for part in value)
    return (_one(value, field),)


def _entry(option: str, name: str, value: Any) -> str:
    """Convert an entry of a dictionary to text: `age=85`, `age=60,80` or `effusion:0.5`.

    Args:
        option: The option that has the dictionary.
        name: Key of the entry.
        value: Its value.

    Raises:
        OptionError: The value is missing, or is not of the kind that the option takes.
    """
    is_text = isinstance(value, str)
    parts = [value] if is_text or not isinstance(value, Iterable) else list(value)
    if any(not isinstance(part, str) and is_missing(part) for part in parts):
        raise OptionError(f"`{option}` has no value for {name}: {value!r}; leave {name} out")
    if option in WEIGHTED and not all(_is_number(part) for part in parts):
        raise OptionError(
            f"`{option}` has {value!r} for {name}; give a weight, as `{{'{name}': 0.5}}`"
        )
    if len(parts) != 1 and option not in SERIES:
        raise OptionError(f"`{option}` has {len(parts)} values for {name}; give one")
    sign = ":" if option in WEIGHTED else "="
    return f"{name}{sign}{','.join(map(_text, parts))}"


def _one(value: Any, field: FieldInfo) -> Any:
    """Convert one value: a result to its folder, and a path or number to text where text is due."""
    if isinstance(value, HasFolder):
        value = value.folder
    is_plain = isinstance(value, Path) or _is_number(value)
    return _text(value) if is_plain and takes_text_alone(field) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _takes_paths(field: FieldInfo) -> bool:
    return any(Path in typing.get_args(kind) for kind in kinds(field))


def _text(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    is_whole = value.is_integer() and abs(value) < MAX_WHOLE_NUMBER
    return str(int(value)) if is_whole else repr(float(value))

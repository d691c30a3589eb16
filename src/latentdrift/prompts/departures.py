"""Departures of a prompt from the training prompts: missing statements, ages beyond the cohort's,
unknown values.

A network answers to any words; to those that it never read in training, its answer means little.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from latentdrift.attributes.specification import (
    Attribute,
    AttributeValue,
    AttributeValues,
    Spec,
    as_number,
    words_of,
)
from latentdrift.prompts.phrases import article, is_missing, split_findings
from latentdrift.prompts.prompt_style import Manner

OF_THE_PICTURE = ("view",)
"""Attributes that describe the picture and not the patient: a value that all training images had
can be taken for granted."""
_AGES = re.compile(r"(\d+(?:\.\d+)?)[ -]years?[ -]old")


@dataclass(frozen=True)
class PromptTraining:
    """The prompts that a model was trained with, as far as other prompts can depart from them."""

    manner: Manner = field(default_factory=Manner)
    describe: str = ""
    """The noun of the prompts."""
    spec: Spec = field(default_factory=dict)
    """The attributes that they state."""
    always_stated: tuple[str, ...] = ()
    """Attributes that every prompt stated."""
    is_unknown: bool = False
    """Whether nothing is known of the training: of a base alone, or of another tool's adapter."""


def constant_attributes(attributes: AttributeValues, spec: Spec) -> dict[str, AttributeValue]:
    """Values of attributes that all training images shared and this image does not state.

    Args:
        attributes: Attributes of the image.
        spec: Attributes of the adapter's cohort.

    Returns:
        Attribute of the picture, as view -> its only value.
    """
    words = {name: spec[name].words for name in OF_THE_PICTURE if name in spec}
    return {
        name: known[0]
        for name, known in words.items()
        if len(known) == 1 and is_missing(attributes.get(name))
    }


def spelled(attributes: AttributeValues, spec: Spec) -> dict[str, AttributeValue]:
    """Attributes with categories in the cohort's spelling: AXIAL of a header becomes axial.

    Args:
        attributes: Attributes of an image.
        spec: Attributes of the adapter's cohort.
    """
    result = dict(attributes)
    for name, value in attributes.items():
        fold = {word.lower(): word for word in words_of(spec, name)}
        result[name] = fold.get(str(value).lower(), value)
    return result


def departures(
    states: Sequence[AttributeValues], training: PromptTraining, option: str | None = None
) -> list[str]:
    """Departures of images' attributes from the training prompts.

    Args:
        states: Attributes that the prompt of each image states.
        training: The training prompts.
        option: Option that states attributes of an image; None: there is none.

    Returns:
        A sentence for each kind of departure, with its number of images.
    """
    spec = training.spec
    silent = _silent(states, training.manner)
    unsaid = Counter(
        name for state in states for name in training.always_stated if is_missing(state.get(name))
    )
    sentences = [
        f"training said the {_title(name)} of every image, and {number} of {len(states)} prompts "
        f"leave it out{_advice(option, name, spec)}"
        for name, number in unsaid.items()
    ]
    sentences += [_beyond(name, states, spec[name]) for name in spec if spec[name].is_number]
    sentences += [_unseen(name, states, spec[name]) for name in spec if not spec[name].is_number]
    return [sentence for sentence in [*sentences, silent] if sentence]


def _silent(states: Iterable[AttributeValues], manner: Manner) -> str:
    """Sentences on patient attributes in a prompt, where the prompts of training had none."""
    if manner.patient_info and manner.style != "bare":
        return ""
    spoken = {
        name for state in states for name, value in state.items() if not is_missing(value)
    } - set(OF_THE_PICTURE)
    return (
        f"training said nothing of the patient, and these prompts say {', '.join(sorted(spoken))}"
        if spoken
        else ""
    )


def _title(name: str) -> str:
    return name.replace("_", " ")


def _advice(option: str | None, name: str, spec: Spec) -> str:
    """Say how an option states an attribute; empty without an option."""
    words = words_of(spec, name)
    example = {name: words[0] if words else 70}
    return f"; say it with `{option}={example}`" if option else ""


def _beyond(name: str, states: Iterable[AttributeValues], spec: Attribute) -> str:
    """A number outside of the range that training had; nothing where the adapter does not say the
    range."""
    low = spec.low
    high = spec.high
    if low is None or high is None:
        return ""
    values = [as_number(state[name]) for state in states if not is_missing(state.get(name))]
    outside = [value for value in values if not low <= value <= high]
    if not outside:
        return ""
    return (
        f"the adapter's cohort had {article(_title(name))} from {low:g} to {high:g}, and "
        f"{len(outside)} of {len(values)} prompts lie beyond, the first {outside[0]:g}: what the "
        "network makes of it was never learned"
    )


def _unseen(name: str, states: Iterable[AttributeValues], spec: Attribute) -> str:
    """A word that the vocabulary has not."""
    known = {word.lower() for word in spec.words}
    words = [word for state in states for word in _words(name, state.get(name))]
    strange = sorted(
        {
            word
            for word in words
            if known and word.lower().removeprefix("no ") not in known | _bare(known)
        }
    )
    if not strange:
        return ""
    return (
        f"the adapter's cohort had no {_title(name)} '{strange[0]}'; it had {', '.join(spec.words)}"
    )


def _words(name: str, value: AttributeValue) -> tuple[str, ...]:
    return (
        () if is_missing(value) else split_findings(value) if name == "findings" else (str(value),)
    )


def _bare(known: Iterable[str]) -> set[str]:
    return {word.removeprefix("no ") for word in known}


def of_text(prompt: str, training: PromptTraining) -> list[str]:
    """Departures of a free prompt from the training prompts: missing statements, ages beyond the
    cohort's.

    Args:
        prompt: Text of the prompt.
        training: The training prompts. A model that was trained on reports has no departures.

    Returns:
        A sentence for each departure.
    """
    if training.manner.caption:
        return []
    spec = training.spec
    lower = prompt.lower()
    sentences = []
    called = training.describe.partition("{")[0].strip("-<> ")
    if not training.is_unknown and called and called.lower() not in lower:
        sentences.append(
            f"the prompt '{prompt}' does not say '{training.describe}', which every prompt in "
            "training did"
        )
    for name in OF_THE_PICTURE:
        words = words_of(spec, name)
        if name in training.always_stated and not any(word.lower() in lower for word in words):
            sentences.append(
                f"the prompt '{prompt}' says no {_title(name)}, which every prompt in training "
                f"did: {', '.join(words)}"
            )
    ages: list[AttributeValues] = [{"age": float(number)} for number in _AGES.findall(lower)]
    beyond = _beyond("age", ages, spec["age"]) if "age" in spec else ""
    return [*sentences, *([f"the prompt '{prompt}': {beyond}"] if beyond else [])]

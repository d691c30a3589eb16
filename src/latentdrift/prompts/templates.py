"""The wordings of a sentence; a part of a template in square brackets is left out when its slot is
empty."""

from __future__ import annotations

import re

from latentdrift.attributes.specification import AttributeValues
from latentdrift.errors import OptionError, unknown
from latentdrift.prompts import phrases

# {image}: what the picture shows; {who}: "75 year old female"; {what}: "dementia", "mass, nodule
# and no effusion".
# The simple one is the paper's; the wordings of its 21 diverse ones are not known, and these are
# ours.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "bare": (
        "{image}",
    ),  # the word alone, as embeddings of 64 vectors are asked for (de Wilde et al. 2024)
    "simple": ("a {image}[ of a {who}][ with {what}]",),
    "findings-first": (
        "[{what}: ]{image}[ of a {who}]",
    ),  # where small text encoders hear them (docs/methods.md)
    "diverse": (
        "a {image}[ of a {who}][ with {what}]",
        "the {image}[ of a {who}][ with {what}]",
        "{image}[ of a {who}][ with {what}]",
        "{image}[, {who}][, {what}]",
        "{image}[; {what}][; {who}]",
        "[{who}: ]{image}[, {what}]",
        "[{what}: ]{image}[ of a {who}]",
        "[a {who}, ]a {image}[ with {what}]",
        "a clinical {image}[ of a {who}][ with {what}]",
        "a medical image, {image}[ of a {who}][ with {what}]",
        "this is a {image}[ of a {who}][ with {what}]",
        "this {image}[ of a {who}][ shows {what}]",
        "a {image}[ showing {what}][ from a {who}]",
        "a {image}[ acquired from a {who}][ with {what}]",
        "a {image}[ of a patient, {who}][, with {what}]",
        "one {image}[ from a {who}][, reported as {what}]",
        "a single {image}[ belonging to a {who}][ with {what}]",
        "a radiology study, {image}[ of a {who}][, finding: {what}]",
        "image type: {image}[, patient: {who}][, label: {what}]",
        "a {image}[ with {what}][, patient is a {who}]",
        "a {image} from a hospital archive[, {who}][, {what}]",
        "a diagnostic {image}[ from the examination of a {who}][ with {what}]",
        "an example of a {image}[ of a {who}][ with {what}]",
        "a {image} as a radiologist sees it[, {who}][, {what}]",
    ),
}


def sentence(
    describe: str,
    attributes: AttributeValues,
    *,
    style: str = "simple",
    index: int = 0,
    patient_info: bool = True,
    age_encoding: str = "numerical",
) -> str:
    """Prompt of an image: "a brain MRI of a 75 year old female with dementia".

    Args:
        describe: Noun of the images, e.g. "brain MRI", or with slots, see `phrases.named`.
        attributes: Name -> value; missing ones are left out.
        style: Row of TEMPLATES.
        index: Number of the wording, modulo the number of the style's templates.
        patient_info: Whether to state age, sex, findings and other attributes; the view is always
            stated.
        age_encoding: Row of AGES.
    """
    if style not in TEMPLATES:
        raise unknown("prompt style", style, TEMPLATES)
    describe, known = phrases.named(
        describe, {k: v for k, v in attributes.items() if not phrases.is_missing(v)}
    )
    stated = known if patient_info else {}
    return fill(
        TEMPLATES[style][index % len(TEMPLATES[style])],
        image=phrases.image(describe, known),
        who=phrases.who(stated, age_encoding),
        what=phrases.join(phrases.conditions(stated)),
    )


def sentences(
    describe: str,
    attributes: AttributeValues,
    n: int,
    style: str = "diverse",
    *,
    patient_info: bool = True,
    age_encoding: str = "numerical",
) -> list[str]:
    """n different wordings of one meaning, for editors that take the mean over a set
    (pix2pix-zero).

    Args:
        describe: Noun of the images.
        attributes: As in `sentence`.
        n: Number of sentences.
        style: A row of TEMPLATES.
        patient_info, age_encoding: As in `sentence`.

    Raises:
        OptionError: The style has not so many; the less is known, the more of its wordings are the
            same.
    """
    if style not in TEMPLATES:
        raise unknown("prompt style", style, TEMPLATES)
    every = [
        sentence(
            describe,
            attributes,
            style=style,
            index=index,
            patient_info=patient_info,
            age_encoding=age_encoding,
        )
        for index in range(len(TEMPLATES[style]))
    ]
    different = list(dict.fromkeys(every))
    if n > len(different):
        raise OptionError(
            f"{n} different sentences are requested, but the prompt style '{style}' has "
            f"{len(different)} for '{different[0]}'; request at most {len(different)}, or "
            "take another style"
        )
    return different[:n]


def fill(template: str, **slots: str) -> str:
    """Fill the slots of a template.

    Bracketed parts with an empty slot are left out. "a" before a slot becomes the right article.

    Args:
        template: Text with `{slot}` and `[bracketed parts]`.
        slots: Text of each slot.
    """
    text = re.sub(
        r"\[([^\]]*?\{(\w+)\}[^\]]*)\]", lambda part: part[1] if slots[part[2]] else "", template
    )
    filled = re.sub(
        r"(\ba )?\{(\w+)\}",
        lambda slot: phrases.article(slots[slot[2]]) if slot[1] else slots[slot[2]],
        text,
    )
    return " ".join(filled.split())

"""Attributes of patients that tests of prompts share, and what a sentence has to say of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from specs import spec_of

from latentdrift import prompts
from latentdrift.prompts import sentence

SPEC = spec_of(
    {
        "age": {"type": "number", "unit": "years"},
        "sex": {"type": "category", "vocabulary": ["F", "M"]},
        "diagnosis": {"type": "category", "vocabulary": ["dementia", "no dementia"]},
        "findings": {"type": "findings", "vocabulary": ["effusion", "mass", "no finding"]},
    }
)
FULL = {"age": 75.0, "sex": "F", "diagnosis": "dementia"}

KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "age": st.none() | st.floats(0, 120) | st.just(float("nan")),
        "sex": st.sampled_from(["F", "M", "male", "female", "O", "U", ""]),
        "diagnosis": st.sampled_from(["dementia", "no dementia", "MCI", ""]),
        "findings": st.sampled_from(
            ["", "mass", "effusion|mass", "No Finding", "oedema|nodule|hernia"]
        ),
        "view": st.sampled_from(["", "axial", "PA"]),
        "prior_surgery": st.sampled_from(["yes", "no", True, False]),
        "mmse": st.none() | st.integers(0, 30),
    },
)


DANGLING = r"\b(an?|of|with|from|in|to|shows|showing|who|has|and|the|is|as)(?=[,;:]|$)"


def said(attributes: dict[str, Any], encoding: str = "numerical") -> list[str]:
    """What a sentence has to say of these attributes, piece by piece."""
    known = {name: value for name, value in attributes.items() if not prompts.is_missing(value)}
    age = known.pop("age", None)
    old = (
        sentence("it", {"age": age}, age_encoding=encoding)
        .removeprefix("an it of ")
        .split(" ", 1)[1:]
        if age is not None
        else []
    )
    findings = prompts.split_findings(known.pop("findings", ""))
    return [
        *old,
        *findings,
        known.pop("view", ""),
        *(prompts.phrase(name, value) for name, value in known.items()),
    ]


CHEST = spec_of(
    {
        "findings": {
            "type": "findings",
            "vocabulary": ["Effusion", "Hernia", "Mass", "No Finding", "Nodule"],
        }
    }
)

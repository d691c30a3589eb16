"""EditSpec: the options of `edit` that reach an editor, with their defaults."""

from __future__ import annotations

from dataclasses import fields

from latentdrift.config import EditOptions
from latentdrift.edit.core.edit_spec import EditSpec, given_options


def test_defaults_are_those_of_the_options() -> None:
    for field in fields(EditSpec):
        assert field.default == EditOptions.model_fields[field.name].default, field.name


def test_options_reach_the_fields_of_their_names() -> None:
    options = EditOptions(
        source="a.png",
        adapter="run",
        out="out",
        set=("age=80",),
        strength=0.3,
        steps=7,
        emphasis=("dementia=2",),
    )
    spec = EditSpec.of_options(options)
    assert (spec.strength, spec.steps, spec.emphasis) == (0.3, 7, ("dementia=2",))
    assert spec == EditSpec(strength=0.3, steps=7, emphasis=("dementia=2",))


def test_options_with_another_value_than_the_default_are_given() -> None:
    assert EditSpec().given_options == frozenset()
    assert EditSpec(steps=7, emphasis=("dementia=2",)).given_options == {"steps", "emphasis"}
    options = EditOptions(
        source="a.png", adapter="run", out="out", strength=0.3, mask="m.png", mask_edge=0.0
    )
    given = given_options(options)
    assert {"strength", "mask", "mask_edge"} <= given
    assert given.isdisjoint({"steps", "protect", "sentences", "inversions"})

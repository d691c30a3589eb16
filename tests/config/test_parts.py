"""Options that have an effect only beside others: refused alone, and allowed beside them."""

from __future__ import annotations

from typing import Any

import pytest

from latentdrift import config
from latentdrift.config.build import build
from latentdrift.config.parts import (
    BY_EDITOR,
    BY_METHOD,
    DEFAULT_EDITORS,
    PARTS,
    check_parts,
    given,
)
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.errors import OptionError

PLACES = {"cohort": "c", "out": "o"}
SETS = {"real": "r", "synthetic": "s", "out": "o"}


@pytest.mark.parametrize(
    ("verb", "model", "alone", "beside"),
    [
        ("fit", config.FitOptions, PLACES | {"mask_outside": 0.5}, {"mask": "roi"}),
        ("fit", config.FitOptions, PLACES | {"prior_weight": 2}, {"prior_images": 8}),
        ("fit", config.FitOptions, PLACES | {"drift": "none", "drift_mode": "both"}, None),
        ("fit", config.FitOptions, PLACES | {"rank": 4, "method": "full"}, {"method": "lora"}),
        ("evaluate", config.EvaluateOptions, SETS | {"scorer": "clip"}, {"alignment": True}),
        ("evaluate", config.EvaluateOptions, SETS | {"card": False}, {"edits": "e"}),
        (
            "drift estimate",
            config.DriftEstimateOptions,
            PLACES | {"n": 5, "copy_slope": False},
            {"copy_slope": True},
        ),
        ("drift search", config.DriftSearchOptions, PLACES | {"rank": 4}, {"stage": "train"}),
    ],
)
def test_an_option_needs_what_its_row_names(
    verb: str, model: type[config.Options], alone: dict[str, Any], beside: dict[str, Any] | None
) -> None:
    with pytest.raises(OptionError, match="has no part"):
        check_parts(verb, build(model, alone))
    if beside is not None:
        check_parts(verb, build(model, alone | beside))


def test_a_default_is_never_refused() -> None:
    check_parts("fit", build(config.FitOptions, PLACES))
    check_parts("evaluate", build(config.EvaluateOptions, SETS))
    options = build(config.FitOptions, PLACES | {"vectors": 1, "prior_images": 0})
    assert not given(options, "vectors") and not given(options, "prior_images")
    check_parts("fit", options)


def test_rows_name_options_that_are_there() -> None:
    assert {name for names in BY_METHOD for name in names} <= set(config.FitOptions.model_fields)
    fields = {name for part in PARTS["evaluate"] for name in part.options}
    assert fields <= set(config.EvaluateOptions.model_fields)


def test_an_option_of_a_preset_is_named_with_it() -> None:
    for preset, row in config.PRESETS.items():
        values = PLACES | {"preset": preset, "method": "controlnet"}
        names = [name for names in BY_METHOD for name in names if name in row]
        if any(given(build(config.FitOptions, values), name) for name in names):
            with pytest.raises(OptionError, match=f"of `preset={preset}`"):
                check_parts("fit", build(config.FitOptions, values))


def test_editors_are_those_of_the_table() -> None:
    rows = {name: editors for names, editors in BY_EDITOR.items() for name in names}
    able = {
        name: tuple(editor for editor, row in EDITORS.items() if name in row.options)
        for name in rows
    }
    assert rows == able


@pytest.mark.parametrize(
    ("editor", "message"),
    [
        ("ledits", "`emphasis` has no part in editor 'ledits', but in prompt-to-prompt, null-text"),
        (None, r"`emphasis` has no part in the default editors.* give `editor=prompt-to-prompt`"),
    ],
)
def test_an_option_of_other_editors_is_refused(editor: str | None, message: str) -> None:
    edit = {"adapter": "run", "source": "x.png", "out": "o"}
    with pytest.raises(OptionError, match=message):
        check_parts(
            "edit", build(config.EditOptions, edit | {"editor": editor, "emphasis": ("a=2",)})
        )
    for allowed in ({"editor": "null-text", "emphasis": ("a=2",)}, {"instruction": "age it"}, {}):
        check_parts("edit", build(config.EditOptions, edit | allowed))


def test_the_default_editors_are_those_that_edit_takes() -> None:
    default = str(config.EditOptions.model_fields["editor"].description)
    assert all(name in default for name in DEFAULT_EDITORS)

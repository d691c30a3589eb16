"""What is asked of `edit`: relative ages, series and grids, in the words of each image."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from infos import info_of
from specs import spec_of

from latentdrift import prompts
from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.editors.editors import check
from latentdrift.edit.io.attribute_sweep import check_animation
from latentdrift.edit.io.edit_inputs import Entry
from latentdrift.edit.io.edit_requests import EditPlan
from latentdrift.errors import OptionError
from latentdrift.prompts import Years, parse_series, parse_years

SPEC: Any = {
    "age": {"type": "number", "low": 60.0, "high": 90.0, "unit": "years"},
    "score": {"type": "number", "low": -2.0, "high": 2.0},
    "diagnosis": {"type": "category", "vocabulary": ["dementia", "no dementia"]},
}
INFO = info_of(describe="brain MRI", prompt={}, attributes=SPEC)


def entry(name: str = "000000", **attributes: Any) -> Entry:
    def nothing() -> Any:
        raise AssertionError("words need no pixels")

    return Entry(name, attributes, nothing)


def edit_plan(changes: Any = (), *series: str, editor: str = "ddim") -> EditPlan:
    return EditPlan(
        dict(changes),
        (),
        (),
        editor,
        2,
        INFO,
        tuple((n, tuple(v)) for n, v in (parse_series(s, spec_of(SPEC)) for s in series)),
    )


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("age=60:90:10", "age", [60.0, 70.0, 80.0, 90.0]),
        ("age=60:89:10", "age", [60.0, 70.0, 80.0]),
        ("age=90:60:-15", "age", [90.0, 75.0, 60.0]),
        ("age=70:71:0.1", "age", [round(70 + i / 10, 1) for i in range(11)]),
        ("Age=70:70:5", "age", [70.0]),
        ("age=+0:+10:5", "age", [Years(0.0), Years(5.0), Years(10.0)]),
        ("age=-5,+5", "age", [Years(-5.0), Years(5.0)]),
        ("score=-1:1:1", "score", [-1.0, 0.0, 1.0]),
        ("age=85,65", "age", [85.0, 65.0]),
        ("diagnosis=Dementia,no dementia", "diagnosis", ["dementia", "no dementia"]),
    ],
)
def test_a_series_is_read_as_it_is_written(text: str, name: str, values: list[Any]) -> None:
    assert parse_series(text, spec_of(SPEC)) == (name, values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age", "is not a series; write name=start:stop:step"),
        ("age=60:90", "not a range that leads anywhere; write start:stop:step"),
        ("age=60:90:0", "not a range that leads anywhere"),
        ("age=60:90:-5", "not a range that leads anywhere"),
        ("age=60:old:5", "not a range that leads anywhere"),
        ("age=60:90:nan", "not a range that leads anywhere"),
        ("age=0:130:0.001", "has 130001 values; a series has at most 100"),
        ("age=60:140:10", "an age lies between 0 and 120 years"),
        ("age=60,60", "one twice"),
        ("age=,", "names no value"),
        ("age=+5,70", "`age=70` is no number of years"),
        ("diagnosis=demencia", "did you mean 'dementia'"),
        ("weight=60:90:5", "unknown attribute 'weight'"),
    ],
)
def test_a_series_that_cannot_be_is_a_sentence(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_series(text, spec_of(SPEC))


@pytest.mark.parametrize("text", ["85", "+", "ten", "+-5", "+1e3"])
def test_years_have_a_sign(text: str) -> None:
    with pytest.raises(OptionError, match=r"write \+10 or -5, or `set={'age': 85}`"):
        parse_years(text, spec_of(SPEC))
    with pytest.raises(OptionError, match="unknown attribute 'age'"):
        parse_years("+5", {})


def test_a_relative_age_is_each_images_own() -> None:
    found = edit_plan({"age": parse_years("+10", spec_of(SPEC))}.items()).requests(
        [entry("a", age=62.0), entry("b", age=71.5)]
    )
    assert [request.change.changes["age"] for request in found] == [72.0, 81.5]
    assert "62 year" in found[0].source and "72 year" in found[0].target
    assert [request.name for request in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({}, "which is not known; give it with `given={'age': 70}`"),
        ({"age": 125.0}, r"\+10 years from 125 is 135, and ages lie between"),
    ],
)
def test_a_relative_age_that_cannot_be_is_a_sentence(known: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        edit_plan({"age": Years(10.0)}.items()).request(entry(**known))
    with pytest.raises(OptionError, match="-70 years from 60 is -10"):
        edit_plan({"age": Years(-70.0)}.items()).request(entry(age=60.0))


def test_images_without_an_age_are_left_out_with_a_sentence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    found = edit_plan({"age": Years(5.0)}.items()).requests([entry("a", age=70.0), entry("b")])
    assert [request.entry.name for request in found] == ["a"]
    assert (
        "left out: 1 of 2 images, the first because an age change of +5 years needs the image's own"
        in caplog.text
    )


def test_ages_that_the_adapter_has_not_seen_are_said(caplog: pytest.LogCaptureFixture) -> None:
    edit_plan((), "age=80:100:10").requests([entry(age=70.0)])
    assert "had an age from 60 to 90, and 1 of 6 prompts lie beyond, the first 100" in caplog.text
    caplog.clear()
    edit_plan((), "age=80:90:10").requests([entry(age=70.0)])
    assert not caplog.messages


def test_a_grid_is_every_combination_in_folders_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    asked = edit_plan((), "age=60:80:10", "diagnosis=dementia,no dementia")
    found = asked.requests([entry("a", age=70.0, diagnosis="no dementia")])
    assert [request.name for request in found] == [
        "a-age-60-diagnosis-dementia",
        "a-age-60-diagnosis-no-dementia",
        "a-age-70-diagnosis-dementia",
        "a-age-80-diagnosis-dementia",
        "a-age-80-diagnosis-no-dementia",
    ]
    assert found[0].title == "age 60, dementia" and found[0].change.changes == {
        "age": 60.0,
        "diagnosis": "dementia",
    }
    assert "left out: 1 of 6 edits, the first because the edit changes nothing" in caplog.text
    assert len({request.source for request in found}) == 1  # one inversion serves them all


def test_a_grid_stands_beside_what_is_set() -> None:
    (request, _) = edit_plan({"diagnosis": "dementia"}.items(), "age=+5,-5").requests(
        [entry("a", age=70.0)]
    )
    assert request.change.changes == {"diagnosis": "dementia", "age": 75.0}
    assert (request.name, request.title) == ("a-age-plus-5", "age +5")


def test_signs_are_part_of_a_folders_name() -> None:
    spec = {**SPEC, "score": SPEC["score"]}
    asked = EditPlan(
        {},
        (),
        (),
        "ddim",
        2,
        info_of(describe="brain MRI", prompt={}, attributes=spec),
        (("score", (-1.0, 1.0)), ("age", (65.0,))),
    )
    names = [request.name for request in asked.requests([entry("a", age=70.0)])]
    assert names == ["a-score-minus-1-age-65", "a-score-1-age-65"]


def test_two_folders_of_one_name_are_refused() -> None:
    spec: Any = {"grade": {"type": "category", "vocabulary": ["A+", "A-"]}}
    asked = EditPlan(
        {},
        (),
        (),
        "ddim",
        2,
        info_of(describe="brain MRI", prompt={}, attributes=spec),
        (("grade", ("A+", "A-")),),
    )
    with pytest.raises(OptionError, match="would have folders of one name"):
        asked.requests([entry("a", grade="B")])


def test_facts_say_what_was_asked_of_this_image() -> None:
    facts = edit_plan({"age": Years(10.0)}.items()).request(entry(age=62.0)).to_dict()
    assert (
        facts["changes"] == {"age": 72.0}
        and facts["editor"] == "ddim"
        and {"image", "mask", "target_prompt"} <= facts.keys()
    )


@pytest.mark.parametrize(
    ("animate", "grid", "installed", "message"),
    [
        ("gif", (), True, "there is none; say `grid=age=60:90:5`"),
        ("mp4", ("age=1,2",), False, "needs imageio-ffmpeg, which is not installed"),
    ],
)
def test_films_are_refused_before_work(
    animate: str,
    grid: tuple[str, ...],
    installed: bool,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from latentdrift.edit.io import attribute_sweep

    monkeypatch.setattr(attribute_sweep, "find_spec", lambda name: object() if installed else None)
    with pytest.raises(OptionError, match=message):
        check_animation(animate, grid)


@pytest.mark.parametrize("editor", ["ddim", "prompt-to-prompt", "null-text", "pix2pix-zero"])
def test_editors_that_draw_nothing_at_random_refuse_seeds(editor: str) -> None:
    with pytest.raises(
        OptionError, match=f"`seeds` has no part in editor '{editor}', but in sdedit"
    ):
        check(editor, EditSpec(seeds=4))


def test_protect_is_a_mask_too() -> None:
    check("inpaint", EditSpec(), {"protect", "mask_edge"})
    with pytest.raises(OptionError, match="`protect` has no part in editor 'ledits'"):
        check("ledits", EditSpec(), {"protect"})
    with pytest.raises(OptionError, match="`mask_edge` says how a mask ends"):
        check("ddim", EditSpec(), {"mask_edge"})


def test_years_read_as_they_are_written() -> None:
    assert str(prompts.Years(10.0)) == "+10" and str(prompts.Years(-2.5)) == "-2.5"

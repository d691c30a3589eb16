"""Options from values by name: every mistake is one sentence that names the parameter."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift import config
from latentdrift.errors import OptionError


def test_right_values_are_options() -> None:
    built = config.build(config.FitOptions, {"cohort": "C", "out": "O", "steps": "9"})
    assert (built.cohort, built.steps, built.method) == (Path("C"), 9, None)


def test_a_number_among_few_is_read_from_text() -> None:
    values = {"adapter": "A", "out": "O", "slots": "2"}
    assert config.build(config.GenerateOptions, values).slots == 2
    with pytest.raises(OptionError, match="`slots` is 3; give 1, 2 or 4"):
        config.build(config.GenerateOptions, {**values, "slots": "3"})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"cohort": "C"}, "^`out` is missing$"),
        ({"cohort": "C", "out": "O", "steps": 0}, "^`steps` is 0; give at least 1$"),
        ({"cohort": "C", "out": "O", "step": 3}, "unknown option 'step'.*did you mean 'steps'"),
        ({"steps": 0}, "`cohort` is missing; `out` is missing; `steps` is 0"),
    ],
)
def test_a_mistake_names_the_parameter(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        config.build(config.FitOptions, values)


@pytest.mark.parametrize(
    ("model", "values", "sentence"),
    [
        (config.GenerateOptions, {"adapter": "A", "n": "0"}, "`n` is 0; give at least 1"),
        (config.GenerateOptions, {"adapter": "A", "n": "1.5"}, "`n` is 1.5; give a whole number"),
        (
            config.GenerateOptions,
            {"adapter": "A", "guidance": "b"},
            "`guidance` is b; give a number",
        ),
        (config.GenerateOptions, {"adapter": "A", "rescale": 2}, "`rescale` is 2; give at most 1"),
        (
            config.GenerateOptions,
            {"adapter": "A", "format": "jpg"},
            "`format` is jpg; give 'png', 'dicom' or 'nifti'",
        ),
        (config.ExportOptions, {"adapter": "A"}, "`to` is missing; give one of diffusers, a1111, "),
    ],
)
def test_a_mistake_names_what_is_allowed(
    model: type[config.Options], values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(OptionError) as refused:
        config.build(model, {"out": "O", **values})
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("split", "given"),
    [
        (["0.7", "0.3"], "2 given: 0.7, 0.3"),
        (["0.7"], "1 given: 0.7"),
        (["0.4", "0.3", "0.2", "0.1"], "4 given: 0.4, 0.3, 0.2, 0.1"),
    ],
)
def test_a_wrong_number_of_shares_says_the_right_one(split: list[str], given: str) -> None:
    with pytest.raises(OptionError, match=f"^`split` takes 3 values, such as .*0.15; {given}$"):
        config.build(config.ImportOptions, {"source": "S", "out": "O", "split": split})


@pytest.mark.parametrize("interval", [["5"], ["1", "2", "3"]])
def test_a_wrong_number_of_noise_levels_says_the_right_one(interval: list[str]) -> None:
    """An option of two values that has no default to show."""
    given = f"{len(interval)} given: {', '.join(interval)}"
    with pytest.raises(OptionError, match=f"^`guidance_interval` takes 2 values; {given}$"):
        config.build(
            config.GenerateOptions, {"adapter": "A", "out": "O", "guidance_interval": interval}
        )


@pytest.mark.parametrize("position", ["200%", "-1%", "100.5%", "middle", "5cm"])
@pytest.mark.parametrize(
    ("model", "values"),
    [
        (config.ImportOptions, {"source": "S", "out": "O"}),
        (config.EditOptions, {"adapter": "A", "source": "S", "out": "O"}),
    ],
)
def test_a_position_outside_a_volume_is_refused(model, values, position: str) -> None:
    with pytest.raises(OptionError) as refused:
        config.build(model, values | {"position": position})
    assert str(refused.value) == (
        f"`position` is '{position}': a position is a percentage of the volume's extent from 0% to "
        "100%, millimetres (-12.5mm), or a voxel index (80)"
    )
    for inside in ("0%", "100%", "33.3%", "-12.5mm", "80"):
        assert config.build(model, values | {"position": inside}).position == inside


@pytest.mark.parametrize("value", ["inf", "nan", "-inf"])
def test_numbers_are_finite(value: str) -> None:
    with pytest.raises(OptionError, match=r"`learning_rate` is .*; give a finite number$"):
        config.build(config.FitOptions, {"cohort": "C", "out": "O", "learning_rate": value})
    with pytest.raises(OptionError, match=r"`guidance` is .*; give a finite number$"):
        config.build(config.GenerateOptions, {"adapter": "A", "out": "O", "guidance": value})

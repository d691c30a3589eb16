"""Numbers of an instruction: what is read of it, and which words are left."""

from __future__ import annotations

import pytest

from latentdrift.prompts import instruction
from latentdrift.prompts.prompt_numbers import PromptNumbers, VolumeChange, split_numbers

WORDS = "Age this CN female brain MRI into a brain MRI with MCI"


@pytest.mark.parametrize(
    ("prompt", "words", "numbers"),
    [
        (
            "Age this CN 70 years old female brain MRI by 2.5 years into a brain MRI with MCI",
            WORDS,
            PromptNumbers(2.5, 70),
        ),
        (
            "Age this CN 70 years old female brain MRI by -7 years into a brain MRI with MCI",
            WORDS,
            PromptNumbers(-7, 70),
        ),
        (
            "Age this 70 years old brain MRI by 5 years (ventricles +1.2 %, fluid -0.35 % of the "
            "head) into a brain MRI",
            "Age this brain MRI into a brain MRI",
            PromptNumbers(5, 70, 1.2, -0.35),
        ),
        ("Age this female brain MRI by 1 year", "Age this female brain MRI", PromptNumbers(1)),
        (
            "Age this 6 months old brain MRI by 0 years into a brain MRI",
            "Age this brain MRI into a brain MRI",
            PromptNumbers(0, 0.5),
        ),
        ("a brain MRI of a 70 year old female", "a brain MRI of a female", PromptNumbers(None, 70)),
        ("Make the ventricles larger", "Make the ventricles larger", PromptNumbers()),
        ("", "", PromptNumbers()),
        ("standby 3 years later", "standby 3 years later", PromptNumbers()),
    ],
)
def test_numbers_are_taken_out_of_a_prompt(prompt: str, words: str, numbers: PromptNumbers) -> None:
    assert split_numbers(prompt) == (words, numbers)


@pytest.mark.parametrize(("years", "elapsed"), [(2.5, 2.5), (-3.25, -3.25), (0, 0), (0.004, 0)])
def test_numbers_of_an_instruction_come_back(years: float, elapsed: float) -> None:
    known = {"age": 71, "sex": "F", "diagnosis": "MCI"}
    text = instruction("brain MRI", known, known, "years", years)
    words, numbers = split_numbers(text)
    assert numbers == PromptNumbers(elapsed, 71)
    assert words == "Age this MCI female brain MRI into a brain MRI with MCI"
    assert "-0 " not in text


@pytest.mark.parametrize(
    ("volumes", "read"),
    [((1.234, 2.5), (1.23, 2.5)), ((-0.001, -3), (0, -3)), ((0, 0), (0, 0))],
)
def test_volumes_of_an_instruction_come_back(
    volumes: tuple[float, float], read: tuple[float, float]
) -> None:
    text = instruction("brain MRI", {"age": 71}, {"age": 76}, "volumes", 5, VolumeChange(*volumes))
    assert split_numbers(text) == (
        "Age this brain MRI into a brain MRI",
        PromptNumbers(5, 71, *read),
    )
    assert "-0 " not in text

"""Sums of conditions and series between two: drawn images, and combinations that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from infos import info_of

from latentdrift import config, service
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.prompts.composition import parts
from latentdrift.sample.generate import SamplingOptions, generate
from latentdrift.sample.prompt_composition import between, combined
from latentdrift.sample.synthetic_cohort import Request, follow_cohort

HOW: Any = {"seed": 3, "steps": 4, "guidance": 2.5, "sampler": "ddim"}


INFO: dict[str, Any] = {
    "describe": "chest X-ray",
    "prompt": {"style": "simple", "patient_info": True},
    "attributes": {
        "findings": {"type": "findings", "vocabulary": ["No Finding", "Effusion", "Pneumonia"]},
        "diagnosis": {"type": "category", "vocabulary": ["CN", "AD"]},
    },
}


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


def drawn(
    base: Base, *prompts: str, indices: tuple[int, ...] | None = None, **how: Any
) -> list[np.ndarray]:
    asked = [Request.of(prompt).prompt_or_parts for prompt in prompts]
    wanted = dict(zip(indices or range(len(prompts)), asked, strict=True))
    return [
        picture for _, picture in generate(base, Drift(), wanted, SamplingOptions(**{**HOW, **how}))
    ]


def test_one_condition_is_to_the_bit_what_it_is_alone(base: Base) -> None:
    alone = drawn(base, "a brain MRI", "a red disc", guidance=2.3)
    mixed = drawn(
        base, "a brain MRI", "a red disc", "a chest x ray:0.5 AND a red disc:0.5", guidance=2.3
    )
    for one, other in zip(alone, mixed, strict=False):
        assert np.array_equal(one, other)  # although an image of its four is composed
    (zero,) = drawn(base, "a brain MRI:1 AND a red disc:0", guidance=2.3)
    assert np.array_equal(zero, alone[0])


def test_equal_conditions_whose_weights_add_up_to_one_are_that_condition(base: Base) -> None:
    (alone,), (halves,) = (
        drawn(base, "a brain MRI"),
        drawn(base, "a brain MRI:0.5 AND a brain MRI:0.5"),
    )
    np.testing.assert_allclose(halves, alone, atol=2e-4)
    (both,), (first,) = (
        drawn(base, "a brain MRI:0.5 AND a red disc:0.5"),
        drawn(base, "a brain MRI"),
    )
    assert np.abs(both - first).max() > 1e-3


def test_a_report_with_an_and_of_its_own_is_one_prompt(
    base: Base, tiny_cohort_folder: Path
) -> None:
    cohort = Cohort.load(tiny_cohort_folder)
    table = cohort.table.assign(report="NO MASS: 3 AND HEART")
    captioned = {
        "describe": "scan",
        "pictures": "scan",
        "attributes": {},
        "prompt": {"caption": "report"},
    }
    (one,) = follow_cohort(
        Cohort(cohort.folder, table, cohort.info), "train", 1, info_of(**captioned)
    )
    assert (
        one.prompt == one.prompt_or_parts == "NO MASS: 3 AND HEART"
    )  # a table's words are never taken apart
    assert Request.of(one.prompt).prompt_or_parts == (("NO MASS", 3.0), ("HEART", 1.0))
    (whole,) = (
        picture
        for _, picture in generate(base, Drift(), {0: one.prompt_or_parts}, SamplingOptions(**HOW))
    )
    (split,) = drawn(base, one.prompt)
    assert not np.array_equal(whole, split)


def test_the_same_noise_for_all(base: Base) -> None:
    same = drawn(base, "a brain MRI", "a brain MRI", "a red disc", same_noise=True)
    assert np.array_equal(same[0], same[1]) and not np.array_equal(same[0], same[2])
    own = drawn(base, "a brain MRI", "a brain MRI")
    assert np.array_equal(own[0], same[0]) and not np.array_equal(own[1], same[1])


def test_conditions_are_said_in_the_adapters_words() -> None:
    found = combined(
        ["effusion:0.5", "Pneumonia:0.5", "diagnosis=AD:-0.2", "a lateral view"], 2, info_of(**INFO)
    )
    assert len(found) == 2 and found[0] == found[1]
    assert parts(found[0].prompt) == [
        ("a chest X-ray with Effusion", 0.5),
        ("a chest X-ray with Pneumonia", 0.5),
        ("a chest X-ray with AD", -0.2),
        ("a lateral view", 1.0),
    ]
    assert found[0].attributes == {"findings": "Effusion|Pneumonia"}
    series = between(["no finding", "effusion"], 5, info_of(**INFO))
    weights = [dict(parts(one.prompt)).get("a chest X-ray with Effusion", 0.0) for one in series]
    assert weights == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert series[0].attributes == {"findings": "No Finding"} and series[2].attributes == {}
    assert series[-1].prompt == "a chest X-ray with Effusion" and series[-1].attributes == {
        "findings": "Effusion"
    }


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(OptionError, match="is one condition"):
        combined(["effusion:0.5"], 2, info_of(**INFO))
    with pytest.raises(
        OptionError, match="takes two conditions and `n` 2 or more, and got 2 and 1"
    ):
        between(["effusion", "pneumonia"], 1, info_of(**INFO))
    silent = {**INFO, "prompt": {"style": "bare", "patient_info": False}}
    with pytest.raises(OptionError, match="read the same to this adapter"):
        combined(["effusion", "pneumonia"], 1, info_of(**silent))
    with pytest.raises(OptionError, match="unknown diagnosis 'MCI'"):
        combined(["diagnosis=MCI", "effusion"], 1, info_of(**INFO))


def test_generate_draws_a_series_and_labels_its_ends(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    def made(out: str, **more: Any) -> Cohort:
        options = config.GenerateOptions(
            adapter=str(tiny_base_folder), out=tmp_path / out, steps=3, precision="fp32", **more
        )
        service.run("generate", options, quiet=True)
        return Cohort.load(tmp_path / out)

    series = made("series", interpolate=("a brain MRI", "a red disc"), n=3)
    assert list(series.rows()["prompt"]) == [
        "a brain MRI",
        "a brain MRI:0.5 AND a red disc:0.5",
        "a red disc",
    ]
    assert json.loads((tmp_path / "series" / "record.json").read_text())["options"]["interpolate"]
    ends = made("ends", prompt=("a brain MRI", "a red disc"), same_noise=True, n=2)
    for here, there in ((0, 0), (2, 1)):
        pictures = [
            cohort.stored(cohort.rows().iloc[i].to_dict())
            for cohort, i in ((series, here), (ends, there))
        ]
        assert np.array_equal(*pictures)
    with pytest.raises(OptionError, match="`prompt` and `compose` both say what to draw"):
        made("both", prompt=("x",), compose=("a", "b"))

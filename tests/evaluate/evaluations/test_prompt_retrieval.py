"""Prompt retrieval: its check, its light and its section."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_inputs import inputs_of, rendered, request_of, textures

from latentdrift.errors import InputError, OptionError
from latentdrift.evaluate.evaluations.attribute_agreement import AgreementResult
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.evaluations.prompt_retrieval import (
    PROMPT_RETRIEVAL,
    RetrievalResult,
    check,
    compute,
    encoder_of,
    lights,
)

FIRST = {
    "ceiling": 0.9,
    "ceiling_ci": [0.9, 0.9],
    "value": 0.9,
    "ci": [0.85, 0.95],
    "floor": 0.1,
    "floor_range": [0.05, 0.15],
    "blind": 0.125,
    "n": {"synthetic": 4, "real": 12},
}
RETRIEVAL = {
    "scorer": "judges",
    "among": 10,
    "prompts": 16,
    "n": {"synthetic": 4, "real": 12},
    "metrics": {"first": FIRST},
    "attributes": {},
    "curve": {"x": [0.0, 1.0], "real": [0.0, 1.0], "synthetic": [0.0, 1.0]},
    "worst": [{"name": "2", "asked": "an old man", "best": "a young woman", "rank": 0.9}],
}
RESULT = RetrievalResult.model_validate({"alignment": {"retrieval": RETRIEVAL}})


def test_a_scorer_without_prompts_is_refused(tiny_cohort_folder: Path, tmp_path: Path) -> None:
    scorer = str(tmp_path)
    with pytest.raises(OptionError, match="ranks prompts, and none are ranked; give `alignment`"):
        check(request_of(tiny_cohort_folder, scorer=scorer))
    with pytest.raises(InputError):
        check(request_of(tiny_cohort_folder, scorer=scorer, alignment=True))
    request = request_of(tiny_cohort_folder, alignment=True)
    assert check(request) == [] and request.once(encoder_of) is None


def test_nothing_is_ranked_without_alignment(tiny_cohort_folder: Path) -> None:
    request = request_of(tiny_cohort_folder)
    assert compute(inputs_of(textures(4, 0), request=request)) is None
    assert compute(inputs_of(textures(4, 0))) is None


def test_the_whole_prompt_has_a_part_in_the_light() -> None:
    """0.85 lies at 94 % of the way from chance, 0.1, to real images, 0.9."""
    agreement = AgreementResult.model_validate({"alignment": {"judged": {}, "left_out": []}})
    ((_, colour, sentence),) = lights(Results([agreement, RESULT]))
    assert colour == "green" and "whole prompt 94% to 106%" in sentence
    assert lights(Results([RESULT])) == []


def test_the_section_shows_the_worst_images(tmp_path: Path) -> None:
    assert RESULT.report_keys() == {"alignment": {"retrieval": RETRIEVAL}}
    page = rendered(PROMPT_RETRIEVAL, RESULT, tmp_path, inputs_of(textures(4, 0)))
    assert "2. Asked for: an old man. Fits best: a young woman." in page
    assert "chance is 10%" in page
    too_few = RetrievalResult.model_validate({"alignment": {"retrieval": None}})
    assert rendered(PROMPT_RETRIEVAL, too_few, tmp_path) == ""

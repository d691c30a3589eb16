"""Cost of a fit: the token budget of its captions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_fits import asked, report_cohort

from latentdrift.adapt.training.cost_estimate import plan
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return report_cohort(tmp_path_factory.mktemp("cohort") / "reports")


def test_a_plan_shows_the_token_budget_and_fit_keeps_it(base: Base, cohort: Cohort) -> None:
    options, todo = asked(base, cohort, batch_size=1)
    shown = plan(Base.load(base.name, device="cpu", precision="fp32"), cohort, options)[
        "longest_prompt"
    ]
    assert shown["limit"] == 75 and shown["text"] in todo.prompts
    tokenizer = base.tokenizers["tokenizer"]
    counts = [len(tokenizer(text, add_special_tokens=False).input_ids) for text in todo.prompts]
    assert shown["tokens"] == max(counts) < 75
    _, reports = asked(base, cohort, caption="report")
    long = replace(
        reports, train=(replace(reports.train[0], caption="brain " * 80), *reports.train[1:])
    )
    message = (
        "reads 75: 'brain brain brain brain brain' would be dropped; .*leave `caption=report` out; "
        "1 of 11 prompts are too"
    )
    with pytest.raises(OptionError, match=message):
        long.check_prompts(base)

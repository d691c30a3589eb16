"""Cost of a fit: its memory, its time where memory is scarce, the token budget of its captions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_fits import asked, report_cohort

from latentdrift.adapt.training import cost_estimate
from latentdrift.adapt.training.cost_estimate import plan, seconds
from latentdrift.adapt.training.planning.machine_memory import MachineMemory
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


def test_a_plan_without_weights_is_that_of_a_base_with_weights(base: Base, cohort: Cohort) -> None:
    options, _ = asked(base, cohort, method="lora", batch_size=2, steps=4)
    plans = [
        plan(Base.load(base.name, device="cpu", precision="fp32", weights=weights), cohort, options)
        for weights in (True, False)
    ]
    for one, other in zip(
        plans[0]["memory_parts_bytes"].items(), plans[1]["memory_parts_bytes"].items(), strict=True
    ):
        assert one == other or one[0] == "program"
    for told in plans:
        assert told["memory_bytes"] == sum(told["memory_parts_bytes"].values())
        assert told["memory_bytes"] < told["memory_upper_bytes"] < told["memory_free_bytes"]
        assert told["advice"] is None and told["extrapolated_from"] is None
        assert told["seconds"] > 4 * told["seconds_per_step"] > 0


def machine(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine have so many bytes of memory."""
    monkeypatch.setattr(MachineMemory, "of", lambda device: MachineMemory(2 * free, free))


def test_a_fit_that_is_too_large_is_timed_by_a_smaller_one(
    base: Base, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, _ = asked(base, cohort, method="lora", batch_size=24, steps=4)
    monkeypatch.setattr(cost_estimate, "program", lambda: 0)
    large, small = {}, {}
    for told in (large, small):
        outline = Base.load(base.name, device="cpu", precision="fp32", weights=False)
        told |= plan(outline, cohort, options)
        machine(told["memory_bytes"] // 2, monkeypatch)
    assert small["memory_parts_bytes"] == large["memory_parts_bytes"]
    assert small["extrapolated_from"] == {"batch_size": 6, "resolution": large["resolution"]}
    assert small["seconds_per_step"] > 0
    assert "`batch_size=1` and `accumulate=24`" in small["advice"]


def test_where_no_step_fits_there_is_no_time(
    base: Base, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, _ = asked(base, cohort, method="lora", batch_size=1, steps=4)
    machine(10**6, monkeypatch)
    monkeypatch.setattr(cost_estimate, "measure", lambda *_: pytest.fail("a step was made"))
    outline = Base.load(base.name, device="cpu", precision="fp32", weights=False)
    told = plan(outline, cohort, options)
    assert told["seconds"] is None and told["seconds_per_step"] is None
    assert "take a machine with more memory" in told["advice"]


def test_seconds_are_those_of_the_steps_and_more(base: Base, cohort: Cohort) -> None:
    options, _ = asked(base, cohort, method="lora", batch_size=1, steps=4)
    real = Base.load(base.name, device="cpu", precision="fp32")
    assert seconds(real, cohort, options) > 0

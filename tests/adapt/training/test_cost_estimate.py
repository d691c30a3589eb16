"""Cost of a fit: its memory, its time where memory is scarce, the token budget of its captions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_fits import asked, report_cohort

from latentdrift.adapt.training import cost_estimate
from latentdrift.adapt.training.cost_estimate import plan, seconds, within_budget
from latentdrift.adapt.training.planning.durations import Durations
from latentdrift.adapt.training.planning.machine_memory import MachineMemory
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError, ResourceError
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


def test_a_plan_says_the_steps_of_a_budget(
    base: Base, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock on which a step takes half a second; and as many as the fit then makes."""
    durations = Durations(0.4, 0.1, 0, 0, 0, 0, 0)
    monkeypatch.setattr(cost_estimate, "_measured", lambda *_: durations)
    options, _ = asked(base, cohort, batch_size=2)
    budgeted = options.model_copy(update={"budget": "1min"})

    def loaded() -> Base:
        return Base.load(base.name, device="cpu", precision="fp32")

    told = plan(loaded(), cohort, budgeted, tmp_path / "run", lambda: 20.0)
    assert (told["steps"], told["seconds"]) == (80, 40.0)
    assert told["extrapolated_from"] is None
    assert told["epochs"] == round(80 * 2 / told["images"]["train"], 2)
    fitted = within_budget(loaded(), cohort, budgeted, tmp_path / "run", lambda: 20.0)
    assert (fitted.steps, fitted.checkpoint_every, fitted.preview_every) == (80, 20, 40)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(OptionError, match="is not empty and holds no run"):
        within_budget(loaded(), cohort, budgeted, tmp_path / "other", lambda: 20.0)


def test_a_plan_says_the_method_and_why(base: Base, cohort: Cohort) -> None:
    options, _ = asked(base, cohort, batch_size=1, steps=4)
    for method, reason in (
        (None, "the network has 0.4 million weights, at most 100 million"),
        ("lora", None),
    ):
        outline = Base.load(base.name, device="cpu", precision="fp32", weights=False)
        told = plan(outline, cohort, options.model_copy(update={"method": method}))
        assert told["method_reason"] == reason and told["method"] == (method or "full")


def test_without_memory_for_a_step_a_budget_says_nothing(
    base: Base, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, _ = asked(base, cohort, batch_size=1, budget="1h")
    machine(10**6, monkeypatch)
    outline = Base.load(base.name, device="cpu", precision="fp32", weights=False)
    with pytest.raises(ResourceError, match="no time is known for `budget`; give `steps`"):
        plan(outline, cohort, options)

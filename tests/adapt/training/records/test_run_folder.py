"""Run folders: settings that continue a run, a log that is rewound, and free space."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from latentdrift.adapt.training.records.run_folder import DEFAULTS, RECENT, UNFINISHED, Run
from latentdrift.errors import OptionError, ResourceError

SETTINGS = {"steps": 9, "method": "lora", "cohort": "c"}


def test_the_same_settings_continue_a_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.check(SETTINGS)
    run.claim(SETTINGS)
    run.check(SETTINGS)
    run.check(SETTINGS | {"rank": DEFAULTS["rank"]})  # no option yet when the run began
    with pytest.raises(OptionError, match=r"other settings: steps \(9 there, 10 now\)"):
        run.check(SETTINGS | {"steps": 10})


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    for name in UNFINISHED:  # of a run that was killed while it began
        (tmp_path / name).touch()
    Run(tmp_path).check(SETTINGS)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OptionError, match="is not empty and holds no run"):
        Run(tmp_path).check(SETTINGS)


@pytest.mark.parametrize(("text", "message"), [("{", "is damaged"), ("[1]", "holds no settings")])
def test_damaged_settings_are_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(OptionError, match=message):
        Run(tmp_path).check(SETTINGS)


def test_a_run_is_finished_with_its_adapter(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert not run.finished
    run.adapter.mkdir()
    (run.adapter / "adapter.json").touch()
    assert run.finished and run.checkpoints.parent == run.cache.parent == tmp_path


def test_losses_are_means_of_the_last_steps(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log(step=0, held_out=3.0)
    for step in range(1, RECENT + 11):
        run.log(step=step, loss=float(step))
    run.log(step=RECENT + 10, held_out=1.0)
    losses = run.losses()
    assert losses == {"train": 10 + (RECENT + 1) / 2, "held_out_before": 3.0, "held_out": 1.0}


def test_later_steps_and_the_end_are_forgotten(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for step in (1, 2, 3):
        run.log(step=step, loss=0.5)
    run.log(step=2, kept=1)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4')
    assert len(run.entries()) == 4
    run.rewind(2)
    assert run.entries() == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.5}]
    run.rewind(0)
    assert run.entries() == []


@pytest.mark.parametrize("line", [b"3", b"null", b"{", b"[]", b"{}", b'{"step": "2"}', b"\xff"])
def test_a_damaged_line_of_the_log_is_skipped(line: bytes, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log(step=1, loss=0.5)
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(line + b"\n")
    run.log(step=2, loss=0.25)
    assert run.entries() == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]
    run.rewind(1)
    assert run.losses()["train"] == 0.5


def test_a_disk_that_is_too_small_is_said(tmp_path: Path) -> None:
    run = Run(tmp_path / "not" / "yet" / "there")
    run.need(1)
    with pytest.raises(ResourceError, match=r"this run writes about 1000000000\.00 GB"):
        run.need(10**18)


def test_a_run_of_another_process_may_appear_late(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    assert not run.is_claimed(0)
    late = threading.Timer(0.2, run.claim, [SETTINGS])
    late.start()
    assert run.is_claimed(30)
    late.join()

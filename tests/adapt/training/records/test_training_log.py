"""Log of a run: lines of log.jsonl, previews that say that they are synthetic, and silence."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentdrift.adapt.training.loop.trainer import Outcome
from latentdrift.adapt.training.optimization.early_stopping import Patience
from latentdrift.adapt.training.records.run_folder import Run
from latentdrift.adapt.training.records.training_log import Silence, TrainingLog
from latentdrift.config import FitOptions
from latentdrift.model.adapter_info import PreviewVerdict


def options(out: Path) -> FitOptions:
    return FitOptions(cohort=out, out=out, steps=4, tracker="none")


def test_steps_are_logged_and_a_later_start_forgets_them(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with TrainingLog(run, options(tmp_path), 0, quiet=True) as log:
        for done in (1, 2, 3):
            log.step(done, Outcome(loss=done / 2, norm=1.0, rate=0.1))
        log.held_out(3, 0.25)
        log.held_out(3, None)
    assert [entry["step"] for entry in run.entries()] == [1, 2, 3, 3]
    assert run.entries()[0] == {"step": 1, "loss": 0.5, "norm": 1.0, "rate": 0.1}
    assert run.entries()[-1] == {"step": 3, "held_out": 0.25}
    with TrainingLog(run, options(tmp_path), 2, quiet=True):
        assert [entry["step"] for entry in run.entries()] == [1, 2]


def test_a_preview_says_that_it_is_synthetic(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    with TrainingLog(Run(tmp_path), options(tmp_path), 0, quiet=True) as log:
        log.picture(12, pixels)
    with Image.open(tmp_path / "previews" / "step-000012.png") as image:
        assert image.info["Synthetic"].startswith("YES")
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize(("colour", "level"), [("red", "WARNING"), ("green", "INFO")])
def test_a_red_verdict_is_a_warning(
    colour: str, level: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    verdict = PreviewVerdict(colour=colour, sentence="A sentence.", pictures=4)
    with (
        caplog.at_level(logging.INFO),
        TrainingLog(Run(tmp_path), options(tmp_path), 0, quiet=True) as log,
    ):
        log.judged(7, verdict)
    (entry,) = Run(tmp_path).entries()
    assert entry == {"step": 7, "judged": colour, "sentence": "A sentence."}
    (record,) = [record for record in caplog.records if "after 7 steps" in record.message]
    assert record.levelname == level


@pytest.mark.parametrize(("loss", "written"), [(0.1234567, "0.1235"), (None, "none")])
def test_the_lowest_held_out_loss_has_four_digits(
    loss: float | None, written: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    best = Patience(2, step=3, loss=loss)
    with (
        caplog.at_level(logging.INFO),
        TrainingLog(Run(tmp_path), options(tmp_path), 0, quiet=True) as log,
    ):
        log.early_stopping(4, best)
    assert f"lowest held-out loss, {written}" in caplog.text
    assert Run(tmp_path).entries()[-1]["kept_held_out"] == loss


def test_other_processes_tell_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Silence() as log:
        log.bar("caching")(1, 2)
        log.step(1, Outcome(loss=1.0, norm=1.0, rate=0.1))
        log.held_out(1, 1.0)
        log.picture(1, np.zeros((8, 8, 3), np.uint8))
    assert capsys.readouterr() == ("", "") and not list(tmp_path.iterdir())

"""Trackers: what a run tells them, and what happens when they are not there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentdrift.adapt.training.records.trackers import TRACKERS, Accelerated, tracker
from latentdrift.errors import OptionError

PICTURE = np.zeros((8, 8, 3), np.uint8)


class OfflineError(Exception):
    """Stands for a server that does not answer."""


class Spy:
    """Stands for a tracker of accelerate's that answers so many times."""

    name = "spy"

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.told: list[Any] = []

    def _tell(self, what: Any) -> None:
        self.answers -= 1
        if self.answers < 0:
            raise OfflineError("no route to host")
        self.told.append(what)

    def start(self) -> None:
        self._tell("start")

    def log(self, values: dict[str, float], step: int) -> None:
        self._tell((values, step))

    def finish(self) -> None:
        self._tell("finish")


def test_tensorboard_keeps_numbers_and_pictures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = tracker("tensorboard").open(tmp_path, 0)
    for step in (1, 2):
        board.log({"loss/train": 0.5 / step}, step)
    board.picture(PICTURE, 2)
    board.close()
    stored = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in stored.Scalars("loss/train")] == [
        (1, 0.5),
        (2, 0.25),
    ]
    assert [event.step for event in stored.Images("preview")] == [2]


def test_none_writes_nothing(tmp_path: Path) -> None:
    board = tracker("none").open(tmp_path, 0)
    board.log({"loss/train": 1.0}, 1)
    board.picture(PICTURE, 1)
    board.close()
    assert not list(tmp_path.iterdir())


def test_trackers_of_accelerate_are_told_everything() -> None:
    spy = Spy(answers=99)
    board = Accelerated(
        spy, lambda told, pixels, step: told._tell((pixels.shape, step)), OfflineError
    )
    board.log({"loss/train": 1.0}, 1)
    board.picture(PICTURE, 2)
    board.close()
    assert spy.told == ["start", ({"loss/train": 1.0}, 1), ((8, 8, 3), 2), "finish"]


def test_a_run_does_not_start_without_its_tracker_and_goes_on_when_it_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(
        OptionError,
        match=r"`tracker=spy` cannot be reached .no route to host.; start its server, or take",
    ):
        Accelerated(Spy(answers=0), lambda *_: None, OfflineError)
    spy = Spy(answers=2)
    board = Accelerated(spy, lambda *_: None, OfflineError)
    for step in range(1, 5):
        board.log({"loss/train": 1.0}, step)
    board.close()
    assert spy.told == ["start", ({"loss/train": 1.0}, 1)]
    assert spy.answers == -1  # it was asked once more, and then no longer
    assert (
        caplog.text.count("tracker spy is lost (no route to host); the run goes on without it") == 1
    )
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("name", [name for name, row in TRACKERS.items() if row.package])
def test_trackers_write_beside_the_run_without_a_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    for variable in ("MLFLOW_TRACKING_URI", "WANDB_MODE"):
        monkeypatch.delenv(variable, raising=False)
    board = tracker(name).open(tmp_path, 0)
    board.log({"loss/train": 1.0, "gradient norm": 2.0}, 1)
    board.picture(PICTURE, 1)
    board.close()
    assert (tmp_path / name).is_dir()

"""TRACKERS: where the losses and previews of a run are shown, beside its own log.jsonl. None of
them waits for a network."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from latentdrift.errors import OptionError, unknown

PROJECT = "latentdrift"

log = logging.getLogger(__name__)


class Board(Protocol):
    """An open tracker."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name, after `step` steps."""

    def picture(self, pixels: np.ndarray, step: int) -> None:
        """Log preview images [H, W, 3] uint8, after `step` steps."""

    def close(self) -> None:
        """Write everything that is buffered, and close the tracker."""


class TensorBoard:
    """Files in `tensorboard/`, without what an earlier start of the run wrote of later steps."""

    def __init__(self, folder: Path, begin: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=begin or None)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name, after `step` steps."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def picture(self, pixels: np.ndarray, step: int) -> None:
        """Log preview images [H, W, 3] uint8, after `step` steps."""
        self.writer.add_image("preview", pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Write everything that is buffered, and close the files."""
        self.writer.close()


class Accelerated:
    """A tracker of accelerate's. A run does not start where it cannot be reached, and goes on
    without it where it is lost."""

    def __init__(
        self, tracker: Any, draw: Callable[[Any, np.ndarray, int], None], error: type[Exception]
    ) -> None:
        from accelerate import PartialState

        # accelerate's trackers read from it whether this is the first process; with several
        # processes it exists already
        PartialState(cpu=True)
        self.tracker = tracker
        self.draw = draw
        self.error = error
        self.lost = False
        try:
            tracker.start()
        except error as problem:
            raise OptionError(
                f"`tracker={tracker.name}` cannot be reached ({problem}); start its server, or "
                "take `tracker=tensorboard`"
            ) from problem

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name, after `step` steps."""
        self._tell(lambda: self.tracker.log(dict(values), step=step))

    def picture(self, pixels: np.ndarray, step: int) -> None:
        """Log preview images [H, W, 3] uint8, after `step` steps."""
        self._tell(lambda: self.draw(self.tracker, pixels, step))

    def close(self) -> None:
        """Write everything that is buffered, and close the tracker."""
        self._tell(self.tracker.finish)

    def _tell(self, what: Callable[[], object]) -> None:
        if not self.lost:
            try:
                what()
            except self.error as problem:
                self.lost = True
                log.warning(
                    "tracker %s is lost (%s); the run goes on without it",
                    self.tracker.name,
                    problem,
                )


class Nothing:
    """No tracker."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Do nothing."""

    def picture(self, pixels: np.ndarray, step: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def _mlflow(folder: Path, begin: int) -> Board:
    """Files in `mlflow/`, or the server of MLFLOW_TRACKING_URI, which is given up on after
    seconds."""
    import mlflow
    from accelerate.tracking import MLflowTracker

    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    if "MLFLOW_TRACKING_URI" not in os.environ:
        os.environ.setdefault(
            "MLFLOW_ALLOW_FILE_STORE", "true"
        )  # newer versions would rather have a database
        mlflow.set_tracking_uri((folder.absolute() / "mlflow").as_uri())
    tracker = MLflowTracker(experiment_name=PROJECT, run_name=folder.name)
    error = mlflow.exceptions.MlflowException
    return Accelerated(
        tracker,
        lambda _tracker, pixels, step: mlflow.log_image(pixels, key="preview", step=step),
        error,
    )


def _wandb(folder: Path, begin: int) -> Board:
    """Files in `wandb/`, which `wandb sync` uploads; WANDB_MODE=online uploads at once."""
    import wandb
    from accelerate.tracking import WandBTracker

    mode = os.environ.get("WANDB_MODE", "offline")
    tracker = WandBTracker(PROJECT, name=folder.name, dir=str(folder), mode=mode, group=folder.name)

    def draw(run: Any, pixels: np.ndarray, step: int) -> None:
        run.log_images({"preview": [pixels]}, step=step)

    return Accelerated(tracker, draw, wandb.errors.Error)


@dataclass(frozen=True)
class Tracker:
    """A row."""

    summary: str
    open: Callable[[Path, int], Board]
    """(run folder, steps already done) -> an open tracker."""
    package: str | None = None
    """Package that the tracker needs."""


TRACKERS: dict[str, Tracker] = {
    "tensorboard": Tracker("TensorBoard files in the run folder", TensorBoard),
    "mlflow": Tracker("MLflow files in the run folder, or a server", _mlflow, package="mlflow"),
    "wandb": Tracker(
        "Weights & Biases files in the run folder, or its server", _wandb, package="wandb"
    ),
    "none": Tracker("log.jsonl alone", lambda folder, begin: Nothing()),
}


def tracker(name: str) -> Tracker:
    """Look up a row of TRACKERS.

    Args:
        name: Name of the row.

    Raises:
        OptionError: There is no such row, or its package is not installed.
    """
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    row = TRACKERS[name]
    if row.package and find_spec(row.package) is None:
        raise OptionError(
            f"`tracker={name}` needs the package {row.package}, which is not installed: pip "
            f"install {row.package}, or take `tracker=tensorboard`"
        )
    return row

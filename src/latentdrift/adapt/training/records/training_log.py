"""Output of a running fit: log.jsonl, a tracker, a progress bar with an estimate, preview
images."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from latentdrift import progress
from latentdrift.adapt.training.optimization.early_stopping import Patience
from latentdrift.adapt.training.records.run_folder import Run
from latentdrift.adapt.training.records.trackers import tracker
from latentdrift.config import FitOptions
from latentdrift.data.images.image_writers import write_png
from latentdrift.model.adapter_info import PreviewVerdict
from latentdrift.progress import ProgressCallback, Update
from latentdrift.storage import written

if TYPE_CHECKING:
    from latentdrift.adapt.training.loop.trainer import Outcome

log = logging.getLogger(__name__)


class TrainingLog:
    """Opened for the time of a run, from step `begin` on; what the logs say of later steps is
    forgotten."""

    def __init__(self, run: Run, options: FitOptions, begin: int, *, quiet: bool) -> None:
        run.rewind(begin)
        self.run = run
        self.board = tracker(options.tracker).open(run.folder, begin)
        self.bars = progress.bars(quiet=quiet, transient=False)
        self.options = options
        self.training: Update | None = None

    def __enter__(self) -> TrainingLog:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()
        self.board.close()

    def bar(self, name: str) -> ProgressCallback:
        """Add a progress bar for work before training; it appears at its first update.

        Args:
            name: Label of the bar.
        """
        return self.bars.add(name, at_once=False)

    def step(self, done: int, outcome: Outcome) -> None:
        """Log an optimiser step.

        Args:
            done: Steps done, with this one.
            outcome: Its loss, gradient norm and learning rate.
        """
        self.run.log(step=done, loss=outcome.loss, norm=outcome.norm, rate=outcome.rate)
        self.board.log({"loss/train": outcome.loss, "gradient norm": outcome.norm}, done)
        if self.training is None:  # the first step counts for no estimate: it warms up
            self.training = self.bars.add(str(self.options.method), done=done)
        self.training(done, self.options.steps, f"loss {outcome.loss:.4f}")

    def held_out(self, done: int, loss: float | None) -> None:
        """Log the held-out loss after `done` steps; None logs nothing."""
        if loss is not None:
            self.run.log(step=done, held_out=loss)
            self.board.log({"loss/held-out": loss}, done)

    def picture(self, done: int, pixels: np.ndarray) -> None:
        """Write preview images [H, W, 3] uint8 after `done` steps; the file is labelled as
        synthetic."""
        path = self.run.folder / "previews" / f"step-{done:06d}.png"
        with written(path) as aside:
            write_png(aside, pixels, synthetic=True)
        self.board.picture(pixels, done)

    def judged(self, done: int, judgement: PreviewVerdict) -> None:
        """Log a verdict on the images after `done` steps."""
        self.run.log(step=done, judged=judgement.colour, sentence=judgement.sentence)
        level = logging.WARNING if judgement.colour == "red" else logging.INFO
        log.log(level, "after %d steps: %s", done, judgement.line)

    def early_stopping(self, done: int, best: Patience) -> None:
        """Log how many steps ran, and which checkpoint is the adapter.

        Args:
            done: Steps done.
            best: State of early stopping at the end.
        """
        self.run.log(step=done, kept=best.step, kept_held_out=best.loss, waited=best.waited)
        log.info(
            "%s after %d steps; the adapter is the checkpoint of step %d, with the lowest held-out "
            "loss, %s",
            "stopped early" if best.over else "finished",
            done,
            best.step,
            "none" if best.loss is None else f"{best.loss:.4g}",
        )


class Silence:
    """Empty training log of all processes but the first."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing was opened."""

    def bar(self, name: str) -> ProgressCallback:
        """Function that shows nothing, in place of a progress bar."""
        return lambda done, total: None

    def step(self, done: int, outcome: Outcome) -> None:
        """Log nothing."""

    def held_out(self, done: int, loss: float | None) -> None:
        """Log nothing."""

    def picture(self, done: int, pixels: np.ndarray) -> None:
        """Log nothing."""

    def judged(self, done: int, judgement: PreviewVerdict) -> None:
        """Log nothing."""

    def early_stopping(self, done: int, best: Patience) -> None:
        """Log nothing."""

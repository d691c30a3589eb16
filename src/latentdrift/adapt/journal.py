"""What a run tells while it runs: log.jsonl, TensorBoard, a progress bar with an estimate, preview pictures."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from latentdrift.adapt.run import Run
from latentdrift.adapt.trainer import Outcome
from latentdrift.data.write import write_png


class Journal:
    """Opened for the time of a run, from step `begin` on; what the logs say of later steps is forgotten."""

    def __init__(self, run: Run, name: str, begin: int, steps: int, *, quiet: bool) -> None:
        from torch.utils.tensorboard import SummaryWriter

        run.rewind(begin)
        self.run = run
        self.board = SummaryWriter(str(run.folder / "tensorboard"), purge_step=begin or None)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            disable=quiet,
        )
        self.training = self.progress.add_task(name, total=steps, completed=begin, note="", visible=False)

    def __enter__(self) -> Journal:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()
        self.board.close()

    def bar(self, name: str) -> Callable[[int, int], None]:
        """A bar for work before training, which appears when it is first told (done, total)."""
        task = self.progress.add_task(name, total=None, visible=False, note="")
        return lambda done, total: self.progress.update(task, completed=done, total=total, visible=True)

    def step(self, done: int, outcome: Outcome) -> None:
        """A step was made."""
        self.run.log(step=done, loss=outcome.loss, norm=outcome.norm, rate=outcome.rate)
        self.board.add_scalar("loss/train", outcome.loss, done)
        self.board.add_scalar("gradient norm", outcome.norm, done)
        self.progress.update(self.training, completed=done, note=f"loss {outcome.loss:.4f}", visible=True)

    def held_out(self, done: int, loss: float | None) -> None:
        """The held-out loss after `done` steps, where there are held-out images."""
        if loss is not None:
            self.run.log(step=done, held_out=loss)
            self.board.add_scalar("loss/held-out", loss, done)

    def picture(self, done: int, pixels: np.ndarray) -> None:
        """A preview [H, W, 3] uint8, labelled as synthetic in the file."""
        path = self.run.folder / "previews" / f"step-{done:06d}.png"
        path.parent.mkdir(exist_ok=True)
        write_png(path, pixels, synthetic=True)
        self.board.add_image("preview", pixels, done, dataformats="HWC")

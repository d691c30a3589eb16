"""One point of the curve per delta: a JSON and a picture, each written aside and renamed, reused
under the same settings.

Every process opens the model by itself and draws whole points, so what a point holds depends
neither on how many processes there are nor on which points are there already.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.data.images.image_writers import write_png
from latentdrift.errors import ResourceError
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling
from latentdrift.storage import Results, written
from latentdrift.study.drift.image_statistics import Numbers, compare

Draw = Callable[[float], tuple[np.ndarray, Numbers]]
"""delta -> one synthetic picture [R, R, 3] uint8 to show, and the numbers of all that were
drawn."""


@dataclass(frozen=True)
class CurvePoints:
    """A folder of points and all that a process needs to make one."""

    results: Results
    """The points that are there, under the settings that shape a point."""
    open: Callable[[], Draw]
    """Loads the model; called once per process."""
    target: Numbers
    patients: list[str] | None
    resampling: Resampling

    def read(self, delta: float) -> dict[str, Any] | None:
        """Stored point at a delta under equal settings; None where there is none."""
        return self.results.get(_name(delta))

    def picture(self, delta: float) -> np.ndarray:
        """Stored image of a point, uint8 [H, W, 3]."""
        from PIL import Image

        with Image.open(self.results.path(_name(delta), ".png")) as picture:
            return np.asarray(picture)

    def make(self, draw: Draw, delta: float) -> None:
        """Sample at a delta, compare with the target, and store the point.

        Args:
            draw: Samples images at a delta.
            delta: In standard deviations of unit noise.
        """
        picture, numbers = draw(delta)
        point = compare(self.target, numbers, self.patients, self.resampling)
        with written(self.results.path(_name(delta), ".png")) as aside:
            write_png(aside, picture, synthetic=True)
        self.results.put(_name(delta), {"delta": delta, "distances": point})

    def all(
        self, deltas: Sequence[float], workers: int, report: ProgressCallback
    ) -> list[dict[str, Any]]:
        """Points at all deltas, in rising order; missing points are made.

        Args:
            deltas: Values of delta.
            workers: Processes at a time.
            report: Called with (points done, all).

        Raises:
            ResourceError: A process was killed.
        """
        missing = [delta for delta in sorted(deltas) if self.read(delta) is None]
        count = len(deltas) - len(missing)
        report(count, len(deltas))
        for done, _ in enumerate(
            self._make_each(missing, min(workers, len(missing))), start=count + 1
        ):
            report(done, len(deltas))
        return [self.read(delta) or {} for delta in sorted(deltas)]

    def _make_each(self, deltas: Sequence[float], workers: int) -> Iterator[None]:
        if not deltas:
            return
        if workers == 1:
            draw = self.open()
            for delta in deltas:
                self.make(draw, delta)
                yield
            return
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (self,))
        try:
            for future in as_completed([pool.submit(_make, delta) for delta in deltas]):
                yield future.result()
        except BrokenProcessPool as error:
            raise ResourceError(
                f"one of {workers} processes was killed, most likely for lack of memory: each "
                "holds a model of its own; take fewer `workers`, finished points are kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _name(delta: float) -> str:
    """Name of a point's files."""
    return f"{delta:+.6f}"


_here: dict[str, Any] = {}
"""State of a worker process: `points`, and `draw` once it is open."""


def _begin(points: CurvePoints) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # an interrupted process ends without a traceback of its own
    _here["points"] = points


def _make(delta: float) -> None:
    if "draw" not in _here:
        _here["draw"] = _here["points"].open()
    _here["points"].make(_here["draw"], delta)

"""One point of the curve per delta: a JSON and a picture, each written aside and renamed, reused
under the same settings.

Every process opens the model by itself and draws whole points, so what a point holds depends
neither on how many processes there are nor on which points are there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from latentdrift.data.images.image_writers import write_png
from latentdrift.errors import ResourceError
from latentdrift.evaluate.metrics.distribution_metrics import DistanceMetric
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling
from latentdrift.storage import Results, written
from latentdrift.study.drift.image_statistics import Numbers, compare
from latentdrift.study.worker_processes import run_in_processes

Draw = Callable[[float], tuple[np.ndarray, Numbers]]
"""delta -> one synthetic picture [R, R, 3] uint8 to show, and the numbers of all that were
drawn."""


class SearchPoint(BaseModel):
    """Distances between real images and the synthetic images of one delta."""

    model_config = ConfigDict(frozen=True)

    delta: float
    """In standard deviations of unit noise."""
    distances: dict[str, DistanceMetric]
    """Row of DISTANCES -> distance."""

    def to_dict(self) -> dict[str, Any]:
        """Content of the file of a point."""
        distances = {name: metric.to_dict() for name, metric in self.distances.items()}
        return {"delta": self.delta, "distances": distances}


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

    def read(self, delta: float) -> SearchPoint | None:
        """Stored point at a delta under equal settings; None where it is missing or damaged."""
        content = self.results.get(_name(delta))
        if content is None:
            return None
        try:
            return SearchPoint.model_validate(content)
        except ValidationError:
            return None

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
        distances = compare(self.target, numbers, self.patients, self.resampling)
        point = SearchPoint(delta=delta, distances=distances)
        with written(self.results.path(_name(delta), ".png")) as aside:
            write_png(aside, picture, synthetic=True)
        self.results.put(_name(delta), point.to_dict())

    def all(
        self, deltas: Sequence[float], workers: int, report: ProgressCallback
    ) -> list[SearchPoint]:
        """Points at all deltas, in rising order; missing points are made.

        Args:
            deltas: Values of delta.
            workers: Processes at a time.
            report: Called with (points done, all).

        Raises:
            ResourceError: A process was killed, or a point was removed by another one.
        """
        missing = [delta for delta in sorted(deltas) if self.read(delta) is None]
        count = len(deltas) - len(missing)
        report(count, len(deltas))
        for done, _ in enumerate(
            self._make_each(missing, min(workers, len(missing))), start=count + 1
        ):
            report(done, len(deltas))
        return [self._stored(delta) for delta in sorted(deltas)]

    def _stored(self, delta: float) -> SearchPoint:
        """Point that was made before.

        Raises:
            ResourceError: It is missing.
        """
        point = self.read(delta)
        if point is None:
            raise ResourceError(
                f"{self.results.path(_name(delta))} was removed or changed during the search; run "
                "the search again"
            )
        return point

    def _make_each(self, deltas: Sequence[float], workers: int) -> Iterator[None]:
        if not deltas:
            return
        if workers == 1:
            draw = self.open()
            for delta in deltas:
                self.make(draw, delta)
                yield
            return
        yield from run_in_processes(_make, self, deltas, workers)


def _name(delta: float) -> str:
    """Name of a point's files."""
    return f"{delta:+.6f}"


_opened: dict[Path, Draw] = {}
"""Loaded model of a worker process, by the folder of its points."""


def _make(points: CurvePoints, delta: float) -> None:
    """Make a point in a worker process, which loads the model once."""
    folder = points.results.folder
    if folder not in _opened:
        _opened[folder] = points.open()
    points.make(_opened[folder], delta)

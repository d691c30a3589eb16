"""One point of the curve per delta: a JSON and a picture, each written aside and renamed, reused
under the same settings.

Every worker opens the model by itself and draws whole points, so what a point holds depends
neither on how many workers there are nor on which points are there already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from latentdrift.data.images.image_writers import write_png
from latentdrift.engines.schedule import Workers, run_items
from latentdrift.engines.work import Work
from latentdrift.errors import ResourceError
from latentdrift.evaluate.metrics.distribution_metrics import DistanceMetric
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling
from latentdrift.storage import Results, written
from latentdrift.study.drift.image_statistics import Numbers, compare

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
    """A folder of points and all that a worker needs to make one."""

    results: Results
    """The points that are there, under the settings that shape a point."""
    open: Callable[[], Draw]
    """Loads the model; called once per worker."""
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
        self, deltas: Sequence[float], workers: Workers, report: ProgressCallback
    ) -> list[SearchPoint]:
        """Points at all deltas, in rising order; missing points are made.

        Args:
            deltas: Values of delta.
            workers: Each loads the model.
            report: Called with (points done, all).

        Raises:
            ResourceError: Workers were killed, or a point was removed by another process.
        """
        missing = [delta for delta in sorted(deltas) if self.read(delta) is None]
        count = len(deltas) - len(missing)
        report(count, len(deltas))
        work = Work(partial(_opened, self), _make)
        for done, _ in enumerate(run_items(work, missing, workers), start=count + 1):
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


def _name(delta: float) -> str:
    """Name of a point's files."""
    return f"{delta:+.6f}"


def _opened(points: CurvePoints) -> tuple[CurvePoints, Draw]:
    """State of a worker: the points, and the model that it loads."""
    return points, points.open()


def _make(opened: tuple[CurvePoints, Draw], delta: float) -> None:
    """Make a point in a worker."""
    points, draw = opened
    points.make(draw, delta)

"""Tissue volumes of edited brains over the years: as measured in the counterfactuals, and as a
model of volumes alone predicts them. START READING AT `write_forecasts`."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.display import html_report
from latentdrift.edit.io.edit_requests import Request
from latentdrift.edit.io.edit_run import VOLUMES_TABLE, EditRun, volumes_picture
from latentdrift.evaluate.statistics.prediction_interval import prediction_factor
from latentdrift.longitudinal.tissue_volumes import VOLUMES, TissueVolumes, tissue_volumes
from latentdrift.longitudinal.visit_intervals import VisitInterval, years_between
from latentdrift.longitudinal.volume_model import VolumeModel
from latentdrift.storage import write_text, written

SHOWN = ("ventricles", "fluid")
"""Rows of VOLUMES that a picture shows."""


@dataclass(frozen=True)
class VolumeForecast:
    """A volume of one image at a later age: a line of the table. Volumes are shares of the head's
    area; an interval's ends are NaN where there is none."""

    folder: str
    """Folder of the edit."""
    years: float
    """Years from the original; below 0 for a younger age."""
    volume: str
    """Row of VOLUMES."""
    original: float
    counterfactual: float
    """Mean over the seeds."""
    counterfactual_low: float
    counterfactual_high: float
    """95 % interval of one more seed."""
    volume_model: float
    volume_model_low: float
    volume_model_high: float
    """95 % interval: errors on patients that the volume model was not fitted to."""


def forecasts(run: EditRun, request: Request, model: VolumeModel) -> list[VolumeForecast]:
    """Volumes of an edit that is on disk; empty where it changes no known age.

    Args:
        run: The edits.
        request: One of them.
        model: The volume model.
    """
    years = years_of(request)
    if not years:
        return []
    known = request.entry.attributes
    before = _measured(run, request, "original")
    samples = [_measured(run, request, name) for name in run.pictures_of_seeds(request)]
    interval = VisitInterval(years, known, {**known, **request.change.changes})
    predicted = model.predict(before, interval)
    lines = []
    for place, (name, of) in enumerate(VOLUMES.items()):
        middle, reach = _spread([of(sample) for sample in samples])
        expected, error = of(predicted), model.errors[place]
        lines.append(
            VolumeForecast(
                request.name,
                years,
                name,
                of(before),
                middle,
                middle - reach,
                middle + reach,
                expected,
                expected - error,
                expected + error,
            )
        )
    return lines


def years_of(request: Request) -> float:
    """Years by which an edit changes the age; 0 where it does not, or the age is not known."""
    return years_between(request.entry.attributes, request.change.changes)


def _measured(run: EditRun, request: Request, picture: str) -> TissueVolumes:
    return tissue_volumes(run.square_picture(request, picture).mean(-1).astype(np.float64))


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the 95 % prediction interval of one more value; NaN for a single one."""
    middle, n = float(np.mean(values)), len(values)
    if n == 1:
        return middle, float("nan")
    return middle, prediction_factor(n) * float(np.std(values, ddof=1))


def write_forecasts(run: EditRun, requests: Sequence[Request]) -> None:
    """Write VOLUMES_TABLE, and of each image a picture of its volumes over the years.

    The table keeps the lines of other edits that are still in the folder. Nothing is written where
    no adapter of the model has a volume model.

    Args:
        run: The edits.
        requests: Edits that are on disk, those of an image one after another.

    Raises:
        AdapterError: The file of the volume model is damaged.
    """
    model = run.model.volume_model
    if model is None:
        return
    lines = []
    for name, of_image in groupby(requests, key=lambda request: request.entry.name):
        own = [line for request in of_image for line in forecasts(run, request, model)]
        if own:
            _write_picture(run.options.out / volumes_picture(name), own, model)
        lines += own
    if lines:
        path = run.options.out / VOLUMES_TABLE
        others = _other_lines(path, {line.folder for line in lines})
        table = io.StringIO()
        writer = csv.DictWriter(
            table, [field.name for field in fields(VolumeForecast)], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows([*others, *_cells(lines)])
        write_text(path, table.getvalue())


def _other_lines(path: Path, folders: Collection[str]) -> list[dict[str, str]]:
    """Lines of a table that is there, but for those of some folders and of edits that are gone."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        row
        for row in rows
        if row.get("folder") not in folders and (path.parent / str(row.get("folder"))).is_dir()
    ]


def _cells(lines: Sequence[VolumeForecast]) -> Iterator[dict[str, str]]:
    for line in lines:
        yield {
            name: (f"{value:.5g}" if np.isfinite(value) else "")
            if isinstance(value, float)
            else value
            for name, value in asdict(line).items()
        }


def _write_picture(path: Path, lines: Sequence[VolumeForecast], model: VolumeModel) -> None:
    """Curves of SHOWN over the years, with bands."""
    figure, axes = html_report.figure(width=9.0, height=3.4, columns=len(SHOWN))
    for panel, name in zip(axes, SHOWN, strict=True):
        own = sorted((line for line in lines if line.volume == name), key=lambda line: line.years)
        now = own[0].original
        _curve(
            panel,
            own,
            "volume_model",
            now,
            f"volume model of {model.patients} patients, 95 %",
            "tab:gray",
        )
        _curve(
            panel,
            own,
            "counterfactual",
            now,
            "counterfactual (synthetic), 95 %",
            "tab:blue",
        )
        panel.plot(0, 100 * now, "o", color="black", label="original", zorder=3)
        panel.set_title(name)
        panel.set_xlabel("years from the original")
        panel.set_ylabel("% of the head's area")
    axes[0].legend(fontsize=8)
    with written(path) as aside:
        labels = {"Synthetic": "YES: volumes of images made by a model"}
        figure.savefig(aside, format="png", dpi=120, metadata=labels)


def _curve(
    panel: Any,
    lines: Sequence[VolumeForecast],
    what: str,
    now: float,
    label: str,
    colour: str,
) -> None:
    """A curve from the original through all ages, with its band."""
    points = [(0.0, now, now, now)]
    for line in lines:
        ends = (getattr(line, f"{what}_{end}") for end in ("low", "high"))
        points.append((line.years, getattr(line, what), *ends))
    years, middle, low, high = np.array(sorted(points)).T
    panel.plot(years, 100 * middle, ".-", color=colour, label=label)
    panel.fill_between(years, 100 * low, 100 * high, color=colour, alpha=0.2, linewidth=0)

"""Report: how synthetic images compare with real ones, as `evaluate` wrote it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from latentdrift.api.scratch import copy_result, open_result
from latentdrift.display import notebook
from latentdrift.errors import InputError
from latentdrift.storage import read_document

NAME = "report.json"
CACHE = "cache"
"""Folder of the features, which are as private as the images."""


class ReportFile(BaseModel):
    """Part of report.json that a report shows."""

    model_config = ConfigDict(extra="allow")

    metrics: dict[str, Any]
    lights: list[Any]
    warnings: list[str]


class Report:
    """The report of an evaluation."""

    def __init__(self, folder: Path | str, keeper: TemporaryDirectory[str] | None = None) -> None:
        """Open a report that `evaluate` wrote.

        Args:
            folder: The folder with `report.json` and `report.html`.
            keeper: The temporary folder that holds it, if one does.

        Raises:
            InputError: The folder is missing, or holds no report, or the report is damaged.
        """
        self.folder = open_result(folder, "report", NAME)
        self._keeper = keeper
        cure = "evaluate again"
        content = read_document(self.folder / NAME, ReportFile, InputError, "report", cure)
        self.content: dict[str, Any] = content

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per metric: its value, 95 % confidence interval, real-vs-real floor and n."""
        rows = {}
        for name, metric in self.content["metrics"].items():
            low, high = metric.get("ci") or (None, None)
            counts = metric.get("n") or {}
            rows[name] = {
                "value": metric["value"],
                "low": low,
                "high": high,
                "floor": metric.get("floor"),
                "n_real": counts.get("real"),
                "n_synthetic": counts.get("synthetic"),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    @property
    def lights(self) -> pd.DataFrame:
        """One row per question: the colour of its traffic light, and the sentence behind it."""
        return pd.DataFrame(self.content["lights"], columns=["question", "light", "sentence"])

    @property
    def warnings(self) -> list[str]:
        """Limits of the results, in sentences."""
        return list(self.content["warnings"])

    @property
    def page(self) -> Path:
        """Path of the page with plots and images."""
        return self.folder / "report.html"

    def save(self, out: Path | str) -> Path:
        """Copy the report to a new folder, without the cache of features.

        Args:
            out: The folder.

        Returns:
            The folder.

        Raises:
            InputError: It exists and is not empty, or nothing can be copied to it.
        """
        return copy_result(self.folder, out, left_out=(CACHE,))

    def show(self) -> None:
        """Show lights and numbers in the notebook; elsewhere, open the page."""
        notebook.show(self._repr_html_(), self.page)

    def __repr__(self) -> str:
        colours = self.lights["light"].value_counts().to_dict()
        counts = ", ".join(f"{count} {colour}" for colour, count in colours.items())
        return f"<Report: {len(self.metrics)} metrics; lights: {counts}; in {self.folder}>"

    def _repr_html_(self) -> str:
        lights = self.lights.to_dict("records")
        numbers = [
            {"metric": name, **{key: _number(value) for key, value in row.items()}}
            for name, row in self.metrics.to_dict("index").items()
        ]
        rows = [{str(key): value for key, value in light.items()} for light in lights]
        return notebook.table(rows) + notebook.table(numbers)


def _number(value: Any) -> str:
    return "" if value is None or value != value else f"{value:.4g}"

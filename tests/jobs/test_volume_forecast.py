"""Volumes of edits over the years, of phantoms whose ages are known."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from visit_intervals import growing

from latentdrift.data.phantom import phantom
from latentdrift.edit.io.edit_inputs import Entry
from latentdrift.edit.io.edit_requests import EditChange, Request
from latentdrift.edit.io.edit_run import VOLUMES_TABLE
from latentdrift.jobs.volume_forecast import write_forecasts, years_of
from latentdrift.longitudinal.tissue_volumes import tissue_volumes

AGE = 65.0
SIDE = 96
RATE = 0.002
"""Growth of each volume in a year, as the volume model has it."""
MODEL = growing(RATE)


def picture(age: float, subject: int = 3) -> np.ndarray:
    row = phantom.kind_of("brain")
    state = row.history(np.random.default_rng(0), 1)[0].attributes
    at = type(state)(**{**vars(state), "age": age})
    grey = row.render(subject, at, visit=1, size=SIDE).clip(0, 1)
    return np.repeat(grey[..., None], 3, -1).astype(np.float32)


def request(age: float | None, known: float | None = AGE) -> Request:
    entry = Entry("scan", {"age": known}, read=lambda: pytest.fail("not needed"))
    changes = {} if age is None else {"age": age}
    step = {} if age is None else {"age": age}
    return Request(entry, "a", "b", None, EditChange("sdedit", changes), step=step)


def run_of(out: Path, seeds: int = 1, *, predicts: bool = True) -> Any:
    """A run whose counterfactuals are phantoms of the age that was asked for; each further seed is
    two years older."""
    names = ["counterfactual", *(f"seed-{n}" for n in range(1, seeds))]

    def square_picture(asked: Request, name: str) -> np.ndarray:
        age = AGE if name == "original" else asked.change.changes["age"] + 2 * names.index(name)
        return picture(age)

    return SimpleNamespace(
        options=SimpleNamespace(out=out),
        model=SimpleNamespace(volume_model=MODEL if predicts else None),
        square_picture=square_picture,
        pictures_of_seeds=lambda _: names,
    )


def lines_of(out: Path) -> dict[tuple[str, float], dict[str, str]]:
    with (out / VOLUMES_TABLE).open() as file:
        return {(row["volume"], float(row["years"])): row for row in csv.DictReader(file)}


def test_volumes_are_those_of_the_pictures_and_of_the_model(tmp_path: Path) -> None:
    ages = [70.0, 80.0, 60.0]
    write_forecasts(run_of(tmp_path), [request(age) for age in ages])
    lines = lines_of(tmp_path)
    assert {years for _, years in lines} == {5, 15, -5}
    now = tissue_volumes(picture(AGE).mean(-1).astype(float)).ventricles
    for age in ages:
        line = lines["ventricles", age - AGE]
        drawn = tissue_volumes(picture(age).mean(-1).astype(float)).ventricles
        assert float(line["original"]) == pytest.approx(now, rel=1e-3)
        assert float(line["counterfactual"]) == pytest.approx(drawn, rel=1e-3)
        assert line["counterfactual_low"] == "" == line["counterfactual_high"]
        expected = now + RATE * (age - AGE)
        assert float(line["volume_model"]) == pytest.approx(expected, rel=1e-3)
        assert float(line["volume_model_high"]) == pytest.approx(expected + 0.01, rel=1e-3)
    grown = [float(lines["ventricles", years]["counterfactual"]) for years in (-5, 5, 15)]
    assert grown == sorted(grown)
    with Image.open(tmp_path / "scan-volumes.png") as plot:
        assert plot.width > 800 and plot.text["Synthetic"].startswith("YES")  # type: ignore[attr-defined]


def test_lines_of_edits_that_are_still_there_stay(tmp_path: Path) -> None:
    """A second call adds its edits to the table; lines of a removed edit go."""
    first, second = request(70.0), request(80.0)
    write_forecasts(run_of(tmp_path), [first])
    (tmp_path / first.name).mkdir()
    write_forecasts(run_of(tmp_path), [second])
    assert {years for _, years in lines_of(tmp_path)} == {5, 15}
    (tmp_path / first.name).rmdir()
    write_forecasts(run_of(tmp_path), [second])
    assert {years for _, years in lines_of(tmp_path)} == {15}


def test_seeds_give_a_mean_and_an_interval(tmp_path: Path) -> None:
    write_forecasts(run_of(tmp_path, seeds=2), [request(75.0)])
    line = lines_of(tmp_path)["ventricles", 10.0]
    two = [tissue_volumes(picture(age).mean(-1).astype(float)).ventricles for age in (75, 77)]
    reach = 12.706 * np.std(two, ddof=1) * np.sqrt(1.5)  # Student's t with one degree of freedom
    assert float(line["counterfactual"]) == pytest.approx(np.mean(two), rel=1e-3)
    assert float(line["counterfactual_high"]) == pytest.approx(np.mean(two) + reach, rel=1e-3)
    assert float(line["counterfactual_low"]) == pytest.approx(np.mean(two) - reach, rel=1e-3)


@pytest.mark.parametrize(
    ("asked", "years"),
    [(request(70.0), 5), (request(60.0), -5), (request(None), 0), (request(70.0, None), 0)],
)
def test_years_are_the_difference_of_known_ages(
    asked: Request, years: float, tmp_path: Path
) -> None:
    assert years_of(asked) == years
    if not years:
        write_forecasts(run_of(tmp_path), [asked])
        assert not any(tmp_path.iterdir())


def test_without_a_volume_model_nothing_is_written(tmp_path: Path) -> None:
    write_forecasts(run_of(tmp_path, predicts=False), [request(70.0)])
    assert not any(tmp_path.iterdir())

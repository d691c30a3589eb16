"""`bench editors`: cases whose answer is known, baselines of known scores, and a run that goes on
where it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import short_fit

from latentdrift import config, service
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.phantom import phantom
from latentdrift.errors import CohortError, OptionError
from latentdrift.study.editors import editor_benchmark
from latentdrift.study.editors.editor_benchmark import picture_of
from latentdrift.study.editors.reference_edits import mean_change, of_phantoms, of_visits

SPEC: dict[str, Any] = {
    "age": {"type": "number", "unit": "years"},
    "sex": {"type": "category", "vocabulary": ["F", "M"]},
    "diagnosis": {"type": "category", "vocabulary": ["dementia", "no dementia"]},
    "findings": {"type": "set", "vocabulary": ["No Finding", "effusion", "cardiomegaly", "nodule"]},
}


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)


@pytest.fixture(scope="module")
def adapter(
    tiny_base_folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return short_fit(
        tiny_base_folder, cohort, tmp_path_factory.mktemp("editors") / "run", steps=1
    ).adapter


def asked(adapter: Path, out: Path, **more: Any) -> config.BenchEditorsOptions:
    how: dict[str, Any] = {
        "steps": 4,
        "n": 2,
        "bootstrap": 20,
        "precision": "fp32",
        "editors": ("ddim", "sdedit"),
    }
    return config.BenchEditorsOptions(adapter=str(adapter), out=out, **{**how, **more})


@pytest.mark.parametrize("kind", phantom.KINDS)
def test_phantoms_differ_from_their_truth_by_the_change_alone(kind: str) -> None:
    cases = of_phantoms(kind, 6, 0, 128, SPEC)
    assert len({case.patient for case in cases}) == 6 and len({case.group for case in cases}) == 2
    for case in cases:
        change = np.abs(case.truth - picture_of(case))
        assert 0.01 < (change > 0.05).mean() < 0.6  # something changes, and not everything
    first = cases[0]
    if kind == "brain":
        assert first.changes["age"] == pytest.approx(first.subject.attributes["age"] + 15)
        assert (
            cases[1].changes == {"diagnosis": "dementia"}
            and cases[1].subject.attributes["diagnosis"] == "no dementia"
        )
    else:
        assert (
            first.add == ("effusion",)
            and first.subject.attributes["findings"] == phantom.NO_FINDING
        )
    again = of_phantoms(kind, 2, 0, 128, SPEC)
    assert np.array_equal(again[1].truth, cases[1].truth)
    with pytest.raises(OptionError, match="does not know age and sex"):
        of_phantoms(kind, 1, 0, 32, {phantom.kind_of(kind).column: {}})


def test_visits_are_the_first_and_the_last(cohort: Cohort) -> None:
    cases = of_visits(cohort, "train", 32, cohort.attributes)
    table = cohort.rows("train")
    assert len(cases) == table["patient"].nunique()
    for case in cases:
        own = table[table["patient"] == case.patient]
        assert case.changes["age"] == own["age"].astype(float).max()
        last = cohort.batch(own.iloc[[own["age"].astype(float).argmax()]], 32)[0].mean(0)
        assert np.allclose(case.truth, (last + 1) / 2)
    expected = np.mean([case.truth - picture_of(case) for case in cases], axis=0)
    assert np.allclose(mean_change(cohort, 32), expected, atol=1e-6)
    alone = Cohort(cohort.folder, cohort.table.drop_duplicates("patient"), cohort.info)
    with pytest.raises(CohortError, match="no patient of the train split"):
        of_visits(alone, "train", 32, cohort.attributes)


def test_the_bench_runs_on_phantoms_and_goes_on(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = asked(adapter, tmp_path / "bench", phantom="brain")
    tried = []
    real = editor_benchmark.edited
    monkeypatch.setattr(
        editor_benchmark,
        "edited",
        lambda asked, row, *rest, **how: tried.append(row) or real(asked, row, *rest, **how),
    )
    cost = dry_run.run("bench editors", options)
    assert (cost["edits"], cost["cases"]) == (4, 2) and not (tmp_path / "bench").exists()
    assert tried == ["ddim", "sdedit"] and cost["seconds"] > 0  # the time of each editor's own edit
    service.run("bench editors", options, quiet=True)
    rows = json.loads((tmp_path / "bench" / "editors.json").read_text())["rows"]
    assert [row["editor"] for row in rows[:5]] == [
        "no change",
        "autoencoder",
        "ddim",
        "ddim, as drawn",
        "sdedit",
    ]
    for row in rows:
        if row["editor"] == "no change":
            assert row["metrics"]["effect"]["value"] == 0 == row["metrics"]["outside"]["value"]
            assert row["metrics"]["tissue"]["value"] == 0 != row["metrics"]["true_tissue"]["value"]
            assert (
                row["metrics"]["ventricle"]["value"]
                == 0
                < row["metrics"]["true_ventricle"]["value"]
            )
            assert row["metrics"]["identity"]["value"] == 1
        assert row["n"] == 1
    page = (tmp_path / "bench" / "editors.html").read_text()
    assert page.count("<figcaption>synthetic; ") == 5 and "scanned alike" in page
    assert (
        (tmp_path / "bench" / "editors.md")
        .read_text()
        .startswith("| change | editor | error where the truth changes |")
    )
    monkeypatch.setattr(
        editor_benchmark, "edited", lambda *_: pytest.fail("an edit that is there was made again")
    )
    service.run("bench editors", options, quiet=True)
    assert dry_run.run("bench editors", options)["edits"] == 0
    moved = shutil.copytree(adapter, tmp_path / "moved")  # results belong to content, not to places
    there = asked(moved, tmp_path / "bench", phantom="brain")
    assert dry_run.run("bench editors", there)["edits"] == 0


def test_the_bench_follows_visits_beside_both_baselines(
    adapter: Path, cohort: Cohort, tmp_path: Path
) -> None:
    options = asked(
        adapter, tmp_path / "bench", cohort=cohort.folder, split="train", editors=("ddim",), n=3
    )
    service.run("bench editors", options, quiet=True)
    rows = {
        row["editor"]: row
        for row in json.loads((tmp_path / "bench" / "editors.json").read_text())["rows"]
    }
    assert list(rows) == ["no change", "autoencoder", "mean change", "ddim", "ddim, as drawn"]
    assert rows["no change"]["metrics"]["effect"]["value"] == 0
    assert (
        rows["mean change"]["metrics"]["effect"]["value"] > 0
    )  # it was learned on these very patients
    assert (
        "inside" not in rows["ddim"]["metrics"] and rows["ddim"]["metrics"]["difference_ssim"]["ci"]
    )


def test_round_trips_of_editors_that_invert_beside_the_autoencoder(
    adapter: Path, tmp_path: Path
) -> None:
    options = asked(adapter, tmp_path / "bench", phantom="brain", round_trip=(1, 4))
    assert (
        dry_run.run("bench editors", options)["round_trips"] == 2 * 2
    )  # ddim inverts, sdedit does not
    service.run("bench editors", options, quiet=True)
    trips = json.loads((tmp_path / "bench" / "editors.json").read_text())["round_trips"]
    assert [(row["editor"], row["steps"]) for row in trips] == [
        ("autoencoder", 0),
        ("ddim", 1),
        ("ddim", 4),
    ]
    errors = [row["error"]["value"] for row in trips]
    assert (
        all(row["error"]["n"] == 2 for row in trips) and errors[1] != errors[2] and min(errors) > 0
    )
    assert "Round trips" in (tmp_path / "bench" / "editors.html").read_text()
    assert dry_run.run("bench editors", options)["round_trips"] == 0


def test_what_cannot_be_run_is_said_before_any_work(
    adapter: Path, cohort: Cohort, tmp_path: Path
) -> None:
    for wrong, message in [
        ({}, "give a cohort whose patients came twice, or `phantom=brain` or chest"),
        ({"cohort": cohort.folder, "phantom": "brain"}, "one of them"),
        (
            {"phantom": "brain", "editors": ("inpaint",)},
            "'inpaint' needs a mask, a ControlNet or another network",
        ),
        ({"phantom": "brain", "editors": ("magic",)}, "unknown editor 'magic'"),
    ]:
        with pytest.raises(OptionError, match=message):
            service.run("bench editors", asked(adapter, tmp_path / "bench", **wrong), quiet=True)
    assert not (tmp_path / "bench").exists()

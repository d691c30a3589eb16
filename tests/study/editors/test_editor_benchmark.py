"""`bench editors`: cases whose answer is known, baselines of known scores, and a run that goes on
where it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fits import short_fit

from latentdrift import config, service
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.phantom import phantom
from latentdrift.edit.io.counterfactual import Counterfactual
from latentdrift.errors import OptionError
from latentdrift.longitudinal.tissue_volumes import tissue_volumes
from latentdrift.study.editors import editor_benchmark


@pytest.fixture(scope="module")
def adapter(
    tiny_base_folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return short_fit(
        tiny_base_folder, cohort, tmp_path_factory.mktemp("editors") / "run", steps=1
    ).adapter


def phantom_at(age: float) -> np.ndarray:
    """A phantom brain of one person [96, 96] in [0, 1]."""
    row = phantom.kind_of("brain")
    state = row.history(np.random.default_rng(0), 1)[0].attributes
    at = type(state)(**{**vars(state), "age": age})
    return row.render(3, at, visit=1, size=96).clip(0, 1).astype(np.float64)


def asked(adapter: Path, out: Path, **more: Any) -> config.BenchEditorsOptions:
    how: dict[str, Any] = {
        "steps": 4,
        "n": 2,
        "bootstrap": 20,
        "precision": "fp32",
        "editors": ("ddim", "sdedit"),
    }
    return config.BenchEditorsOptions(adapter=str(adapter), out=out, **{**how, **more})


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
    assert page.count("<figcaption>synthetic; ") == 5 and "scanned in the same way" in page
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


def test_the_bench_follows_visits_beside_all_baselines(
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
    baselines = ["no change", "autoencoder", "mean change", "ridge regression"]
    baselines += ["the later visit", "volume model"]
    assert list(rows) == [*baselines, "ddim", "ddim, as drawn"]
    assert rows["no change"]["metrics"]["error_reduction_4"]["value"] == 0
    assert rows["mean change"]["metrics"]["error_reduction_1"]["value"] > 0
    assert set(rows["volume model"]["metrics"]) >= {"ventricles_r2", "fluid_slope"}
    assert "ssim" not in rows["volume model"]["metrics"]  # it draws no image
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
    """Direct inversion loses nothing beyond the autoencoder; the other depends on the steps."""
    options = asked(
        adapter,
        tmp_path / "bench",
        phantom="brain",
        round_trip=(1, 4),
        editors=("ddim", "pix2pix-zero", "sdedit"),
    )
    trips_of_each = 2 * 2  # steps x cases; sdedit does not invert
    assert dry_run.run("bench editors", options)["round_trips"] == 2 * trips_of_each
    service.run("bench editors", options, quiet=True)
    trips = json.loads((tmp_path / "bench" / "editors.json").read_text())["round_trips"]
    assert all(row["error"]["n"] == 2 for row in trips)
    errors = {(row["editor"], row["steps"]): row["error"]["value"] for row in trips}
    assert list(errors) == [
        ("autoencoder", 0),
        ("ddim", 1),
        ("ddim", 4),
        ("pix2pix-zero", 1),
        ("pix2pix-zero", 4),
    ]
    floor = errors["autoencoder", 0]
    assert floor > 0
    assert errors["ddim", 1] == pytest.approx(floor) == errors["ddim", 4]
    assert errors["pix2pix-zero", 1] != errors["pix2pix-zero", 4]
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


def test_volumes_of_several_seeds_are_the_mean_of_their_volumes() -> None:
    """Of brains alone: phantoms of three ages stand in for the results of three seeds."""
    original, *samples, truth = (phantom_at(age) for age in (65.0, 68.0, 74.0, 80.0, 75.0))
    bench: Any = SimpleNamespace(cohort="visits", has_brains=True)
    case: Any = SimpleNamespace(truth=truth)
    found = editor_benchmark.score_of_samples(bench, case, original, np.stack(samples))
    before = tissue_volumes(original).ventricles
    changes = [tissue_volumes(sample).ventricles - before for sample in samples]
    assert found["ventricles_change"] == pytest.approx(np.mean(changes)) and min(changes) > 0
    assert found["true_ventricles_change"] == tissue_volumes(truth).ventricles - before
    chests: Any = SimpleNamespace(cohort="visits", has_brains=False)
    only = editor_benchmark.score_of_samples(chests, case, original, np.stack(samples))
    assert set(only) == {"coverage", "coverage_4"}


def test_the_mean_of_seeds_is_that_of_their_results() -> None:
    """Each seed's change stands on the original; drawn images are off by 0.2."""
    original = torch.zeros(1, 3, 4, 4)
    pairs = [(original + 0.2, original + 0.2 + change) for change in (0.1, 0.3, 0.5)]
    result = Counterfactual(original, *pairs[0], others=tuple(pairs[1:]))
    names = ("instruct-pix2pix", "instruct-pix2pix, as drawn", "instruct-pix2pix, mean of 3 seeds")
    base = SimpleNamespace(reads_numbers=True)
    options = SimpleNamespace(seeds=3)
    bench: Any = SimpleNamespace(
        model=SimpleNamespace(base=base), options=options, rows_of=lambda _: names
    )
    found = editor_benchmark.outcomes(bench, "instruct-pix2pix", result)
    assert [float(made.picture.mean()) for made in found.values()] == pytest.approx(
        [(1 + shift) / 2 for shift in (0.1, 0.3, 0.3)]
    )
    assert found[names[2]].samples.shape == (3, 4, 4) and not len(found[names[0]].samples)

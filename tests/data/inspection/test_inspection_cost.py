"""The cost of an inspection is counted from the table, and timed on a few images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latentdrift import config
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort, write_cohort
from latentdrift.data.inspection import inspection_cost as module
from latentdrift.data.inspection.inspection_cost import TRIED, InspectionCost, inspection_cost

SPLITS = {"train": 12, "validation": 3, "test": 5}


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Twenty images, each of a patient of its own."""
    noise = np.random.default_rng(0).integers(0, 255, (20, 16, 16), dtype=np.uint8)
    splits = [name for name, number in SPLITS.items() for _ in range(number)]
    rows = [{"patient": f"p{i}", "split": split} for i, split in enumerate(splits)]
    return write_cohort(
        tmp_path / "cohort", zip(noise, rows, strict=True), {"describe": "brain MRI"}
    )


def test_only_pairs_of_two_splits_are_counted(cohort: Cohort) -> None:
    cost = inspection_cost(cohort)
    assert cost.images == 20 and cost.pairs_at_most == 12 * 3 + 12 * 5 + 3 * 5
    assert cost.seconds_per_image > 0 and cost.seconds_per_pair >= 0


def test_no_more_pairs_than_are_ever_compared(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", 7)
    assert inspection_cost(cohort).pairs_at_most == 7


def test_few_images_are_measured(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    measure = module.measure_pixels
    monkeypatch.setattr(
        module,
        "measure_pixels",
        lambda cohort, table: measured.append(len(table)) or measure(cohort, table),
    )
    inspection_cost(cohort)
    assert measured == [TRIED]


def test_images_and_pairs_add_up() -> None:
    assert InspectionCost(10, 100, 0.5, 0.01).seconds_at_most == pytest.approx(6.0)


def test_a_cohort_of_one_image_has_no_pairs(tmp_path: Path) -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    row = {"patient": "p", "split": "train"}
    one = write_cohort(tmp_path / "one", [(image, row)], {"describe": "brain MRI"})
    cost = inspection_cost(one)
    assert (cost.images, cost.pairs_at_most, cost.seconds_per_pair) == (1, 0, 0.0)


def test_the_dry_run_writes_nothing(cohort: Cohort) -> None:
    planned = dry_run.run("inspect", config.InspectOptions(cohort=cohort.folder))
    assert planned["images"] == 20 and planned["seconds_at_most"] >= 0
    assert [path.name for path in cohort.folder.parent.iterdir()] == ["cohort"]

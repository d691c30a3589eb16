"""`import --register`: later visits lie on the first one, and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from moved_brains import GAIN, SHIFT, SIDE, imported
from PIL import Image

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.images.thumbnails import pixel_hash
from latentdrift.data.importing import visit_registration
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.registration.transforms import from_text


def test_later_visits_lie_on_the_first_one(registered: Cohort) -> None:
    table = registered.table
    assert table["registration"].fillna("").tolist() == ["reference", "registered"] * 3 + [""]
    for first, later in zip(range(0, 6, 2), range(1, 6, 2), strict=True):
        transform = from_text(table.loc[later, "transform"])
        assert transform.shift == pytest.approx(SHIFT, abs=0.3)
        assert transform.rotation == pytest.approx(0, abs=0.3)
        assert table.loc[later, "gain"] == pytest.approx(1 / GAIN, rel=0.02)
        images = [
            registered.stored(table.loc[row].to_dict()).astype(float) for row in (first, later)
        ]
        inner = np.s_[8:-8, 8:-8]
        assert np.abs(images[1] - images[0])[inner].mean() < 3  # of 200; 22 before


def test_the_unregistered_image_stays_reachable(plain: Cohort, registered: Cohort) -> None:
    for before, after in zip(
        plain.table.to_dict("records"), registered.table.to_dict("records"), strict=True
    ):
        name = after["unregistered"] if isinstance(after["unregistered"], str) else None
        original = registered.stored({"file_name": name or after["file_name"]})
        assert np.array_equal(original, plain.stored(before))
        assert after["sha256"] == pixel_hash(registered.stored(after))
        assert (name is None) == (after["sha256"] == before["sha256"])
    kept = json.loads((registered.folder / "cohort.json").read_text())["kept"]
    assert {"registration", "transform", "gain", "correlation", "unregistered"} <= set(kept)
    assert "registration" not in registered.attributes  # not a word of any prompt


def test_an_interrupted_registration_goes_on(scans: Path, registered: Cohort, tmp_path) -> None:
    """What was registered is not registered again, and the cohort is the same."""
    out = tmp_path / "cohort"
    done = []

    def stop(count: int, total: int) -> None:
        done.append((count, total))
        if done.count((2, 3)) == 1:
            raise KeyboardInterrupt

    options = ImportOptions(
        source=scans, table=scans / "table.csv", describe="brain MRI", out=out, register="rigid"
    )
    with pytest.raises(KeyboardInterrupt):
        import_cohort(options, stop)
    staged = sorted((tmp_path / ".cohort.partial" / "pixels").glob("registered-*.json"))
    assert len(staged) >= 2
    times = [path.stat().st_mtime_ns for path in staged]
    cohort = import_cohort(options)
    assert cohort.table.drop(columns="patient").equals(registered.table.drop(columns="patient"))
    assert len(times) >= 2


def test_a_visit_that_does_not_fit_stays_as_it_is(scans: Path, plain: Cohort, tmp_path) -> None:
    """Noise in place of a brain: the reason stands in the table."""
    source = tmp_path / "scans"
    source.mkdir()
    for path in scans.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(noise).save(source / "0_1.png")
    cohort = imported(source, tmp_path / "cohort", register="rigid")
    row = cohort.table.loc[1]
    assert row["registration"] == "failed: correlation below 0.5"
    assert np.array_equal(cohort.stored(row.to_dict()), noise)


def test_ct_keeps_its_intensities(registered: Cohort) -> None:
    """Hounsfield units mean the same in all images."""
    later = registered.table.loc[1].to_dict()
    assert visit_registration.is_calibrated({**later, "modality": "CT"})
    assert not visit_registration.is_calibrated({**later, "modality": "MR"})


def test_single_visits_are_left_as_they_are(scans: Path, tmp_path, caplog) -> None:
    """One visit a patient: a warning, and no empty columns or folders."""
    lines = (scans / "table.csv").read_text().splitlines()
    table = tmp_path / "first.csv"
    table.write_text("\n".join([lines[0], *(line for line in lines if "_0.png" in line)]))
    cohort = imported(scans, tmp_path / "cohort", register="rigid", table=table)
    assert len(cohort.table) == 4 and "registration" not in cohort.table
    assert "no patient has two visits" in caplog.text
    assert not (cohort.folder / "unregistered").exists()


def test_hugging_face_datasets_loads_a_registered_cohort(registered: Cohort, tmp_path) -> None:
    from datasets import load_dataset

    loaded = load_dataset(
        "imagefolder", data_dir=str(registered.folder), cache_dir=str(tmp_path), split="train"
    )
    assert len(loaded) == len(registered.table)
    assert np.array_equal(
        np.asarray(loaded[1]["image"]), registered.stored(registered.table.loc[1].to_dict())
    )

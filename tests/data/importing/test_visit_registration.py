"""`import --register`: later visits lie on the first one, and nothing is lost."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.images.thumbnails import pixel_hash
from latentdrift.data.importing import visit_registration
from latentdrift.data.importing.cohort_registration import register_cohort
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.importing.registration_cost import registration_cost
from latentdrift.data.phantom import phantom
from latentdrift.data.registration.transforms import from_text
from latentdrift.errors import OptionError

SIDE = 96
SHIFT = (3.0, -2.0)
"""Rows and columns by which the second visit's brain lies elsewhere; its gain is GAIN."""
GAIN = 0.8


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two visits of three patients, the second one moved and darker, and one visit of a fourth."""
    folder = tmp_path_factory.mktemp("scans")
    row = phantom.kind_of("brain")
    lines = ["patient,file,days,age"]
    for patient in range(4):
        attributes = row.history(np.random.default_rng(patient), 1)[0].attributes
        image = np.asarray(row.render(patient, attributes, visit=1, size=SIDE), dtype=float)
        moved = GAIN * ndimage.shift(image, SHIFT, order=3, mode="nearest")
        for visit, picture in enumerate([image, moved][: 1 if patient == 3 else 2]):
            name = f"{patient}_{visit}.png"
            stored = np.rint(picture.clip(0, 1) * 200).astype(np.uint8)
            Image.fromarray(stored).save(folder / name)
            lines.append(f"P{patient},{name},{400 * visit},70")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder


def imported(scans: Path, out: Path, **options: object) -> Cohort:
    given = {"source": scans, "table": scans / "table.csv", "describe": "brain MRI"}
    return import_cohort(ImportOptions.model_validate({**given, "out": out, **options}))


@pytest.fixture(scope="module")
def plain(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return imported(scans, tmp_path_factory.mktemp("plain") / "cohort")


@pytest.fixture(scope="module")
def registered(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return imported(scans, tmp_path_factory.mktemp("registered") / "cohort", register="rigid")


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


def test_an_existing_cohort_gives_the_same(plain: Cohort, registered: Cohort, tmp_path) -> None:
    again = import_cohort(
        ImportOptions(source=plain.folder, out=tmp_path / "again", register="rigid")
    )
    same = [name for name in again.table if name != "patient"]  # pseudonyms have another salt
    assert again.table[same].equals(registered.table[same])
    assert again.attributes == registered.attributes == plain.attributes
    assert again.table["patient"].equals(plain.table["patient"])
    assert again.table["split"].equals(plain.table["split"])


def test_masks_move_with_their_images(plain: Cohort, tmp_path) -> None:
    """The mask of the later visit, its bright tissue, lies on that of the first one."""
    folder = tmp_path / "masked"
    folder.mkdir()
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    lines = (plain.folder / "metadata.csv").read_text().splitlines()
    rows = plain.table.to_dict("records")
    for position, row in enumerate(rows):
        pixels = plain.stored(row)
        Image.fromarray(pixels).save(folder / row["file_name"])
        mask = ((pixels > 0.5 * pixels.max()) * 7).astype(np.uint8)
        Image.fromarray(mask).save(folder / f"masks/{position}.png")
        lines[position + 1] += f",masks/{position}.png"
    lines[0] += ",roi"
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    info = json.loads((plain.folder / "cohort.json").read_text())
    info["kept"]["roi"] = {"type": "category", "vocabulary": []}
    (folder / "cohort.json").write_text(json.dumps(info))
    moved = import_cohort(ImportOptions(source=folder, out=tmp_path / "out", register="rigid"))
    for position in (0, 2, 4):
        one, other = (
            np.asarray(Image.open(moved.folder / moved.table.loc[place, "roi"]))
            for place in (position, position + 1)
        )
        assert set(np.unique(other)) == {0, 7}
        overlap = 2 * ((one > 0) & (other > 0)).sum() / ((one > 0).sum() + (other > 0).sum())
        assert overlap > 0.97


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
    assert row["registration"].startswith("failed: correlation 0.")
    assert np.array_equal(cohort.stored(row.to_dict()), noise)


def test_ct_keeps_its_intensities(registered: Cohort) -> None:
    """Hounsfield units mean the same in all images."""
    later = registered.table.loc[1].to_dict()
    assert visit_registration.is_calibrated({**later, "modality": "CT"})
    assert not visit_registration.is_calibrated({**later, "modality": "MR"})


def test_options_without_a_part_are_refused(plain: Cohort, registered: Cohort, tmp_path) -> None:
    with pytest.raises(OptionError, match="leave out `seed`"):
        import_cohort(
            ImportOptions(source=plain.folder, out=tmp_path / "a", register="rigid", seed=1)
        )
    with pytest.raises(OptionError, match="registered already"):
        import_cohort(ImportOptions(source=registered.folder, out=tmp_path / "b", register="rigid"))


def test_a_dry_run_says_visits_and_time_and_writes_nothing(plain: Cohort, tmp_path) -> None:
    options = ImportOptions(source=plain.folder, out=tmp_path / "out", register="rigid", workers=1)
    cost = registration_cost(options)
    assert (cost.images, cost.visits) == (7, 3)
    assert not options.out.exists()
    began = time.perf_counter()
    register_cohort(options)
    assert cost.seconds < 20 * (time.perf_counter() - began)

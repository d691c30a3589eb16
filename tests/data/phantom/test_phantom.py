"""The phantom: the same subject twice, truths that move as anatomy does, and counterfactuals that
touch nothing else."""

import csv
import time
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from phantoms import adult, old

from latentdrift.data.phantom.phantom import (
    DIAGNOSES,
    FINDINGS,
    KINDS,
    NO_FINDING,
    BrainAttributes,
    ChestAttributes,
    brain,
    chest,
    cohort_table,
    labels,
    table_cells,
    truth,
    write_phantom,
)
from latentdrift.errors import InputError, OptionError

WELL, ILL = DIAGNOSES


@pytest.mark.parametrize(("render", "attributes"), [(brain, old()), (chest, adult("nodule"))])
def test_a_seed_is_a_picture(render, attributes):
    first = render(5, attributes, visit=1)
    assert first.shape == (128, 128) and first.dtype == np.float32
    assert first.min() >= 0.0 and first.max() <= 1.0 and first.std() > 0.15
    for module in (
        "latentdrift.data.phantom.phantom_cortex",
        "latentdrift.data.phantom.phantom_chest",
    ):
        import_module(module).anatomy.cache_clear()
    np.testing.assert_array_equal(first, render(5, attributes, visit=1))
    other_visit = render(5, attributes, visit=2)
    other_subject = render(6, attributes, visit=1)
    assert 0 < np.abs(first - other_visit).mean() < 0.05 < np.abs(first - other_subject).mean()
    assert (
        np.corrcoef(first.ravel(), other_visit.ravel())[0, 1]
        > np.corrcoef(first.ravel(), other_subject.ravel())[0, 1]
    )


@pytest.mark.parametrize(("render", "attributes"), [(brain, old()), (chest, adult())])
def test_size_changes_the_sampling_and_not_the_anatomy(render, attributes):
    kind = "brain" if render is brain else "chest"
    small, large = (
        np.bincount(labels(3, attributes, kind, size=size).ravel(), minlength=7) / size**2
        for size in (96, 192)
    )
    np.testing.assert_allclose(small, large, atol=0.015)


def test_left_is_on_the_right_of_the_image():
    ventricle = np.mean(
        [
            labels(s, old(80.0), "brain") == KINDS["brain"].tissues["ventricle"]
            for s in range(200, 230)
        ],
        0,
    )
    assert (
        ventricle[:, 64:].sum() > 1.03 * ventricle[:, :64].sum()
    )  # the left lateral ventricle is the larger one
    heart = labels(100, adult(), "chest") == KINDS["chest"].tissues["heart"]
    assert heart[:, 64:].sum() > 1.3 * heart[:, :64].sum()


def test_the_front_of_the_head_is_up():
    """The atria of the ventricles, behind, lie further apart than the frontal horns."""
    ventricle = labels(100, old(80.0), "brain") == KINDS["brain"].tissues["ventricle"]
    rows = np.flatnonzero(ventricle.any(1))
    spread = [np.ptp(np.flatnonzero(ventricle[row])) for row in (rows[3], rows[-4])]
    assert spread[1] > 1.5 * spread[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: BrainAttributes(70, "F", "demntia"),
        lambda: BrainAttributes(7, "F"),
        lambda: ChestAttributes(50, "X"),
        lambda: ChestAttributes(50, "F", ("effusoin",)),
        lambda: truth(1, adult(), "knee"),
        lambda: cohort_table("brain", 0, 1, 0),
    ],
)
def test_what_the_phantom_does_not_know_is_a_sentence(make):
    with pytest.raises(OptionError, match=r"known|allowed|at least"):
        make()


def test_cohorts_are_plausible():
    for kind, spec in KINDS.items():
        rows = cohort_table(kind, 200, 3, seed=4)
        assert rows == cohort_table(kind, 200, 3, seed=4) != cohort_table(kind, 200, 3, seed=5)
        assert (
            len(rows) == 600
            and rows[0].patient == "P0001"
            and len({row.subject for row in rows}) == 200
        )
        for first, second in pairwise(rows):
            earlier, later = first.attributes, second.attributes
            if first.patient == second.patient:
                assert second.visit == first.visit + 1 and later.sex == earlier.sex
                years = (second.days - first.days) / 365.25
                assert years > 0 and later.age - earlier.age == pytest.approx(years, abs=0.11)
            else:
                assert second.days == 0
        own = [table_cells(row.attributes)[spec.column] for row in rows]
        assert 0.4 < np.mean([cell not in (NO_FINDING, WELL) for cell in own]) < 0.6
        assert 0.4 < np.mean([row.attributes.sex == "M" for row in rows]) < 0.6
    assert {name for row in rows for name in row.attributes.findings} == set(FINDINGS)


def test_cells_are_as_a_table_has_them():
    assert table_cells(BrainAttributes(70, "F")) == {"age": 70, "sex": "F", "diagnosis": WELL}
    assert table_cells(adult("effusion", "nodule"))["findings"] == "effusion|nodule"
    assert table_cells(adult())["findings"] == NO_FINDING


def test_brain_folder_reads_back_with_its_orientation(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    folder = write_phantom(tmp_path / "raw", kind="brain", patients=2, visits=2, size=96, seed=1)
    table = list(csv.DictReader((folder / "table.csv").open()))
    assert (
        list(table[0]) == ["Patient", "Visit", "Days", "Age", "Sex", "Diagnosis", "File"]
        and len(table) == 4
    )
    rows = cohort_table("brain", 2, 2, seed=1)
    for cells, row in zip(table, rows, strict=True):
        stored = nibabel.load(folder / cells["File"])
        assert stored.shape == (96, 96, 1) and stored.header.get_zooms()[:2] == (2.0, 2.0)
        assert nibabel.aff2axcodes(stored.affine) == (
            "P",
            "L",
            "S",
        )  # rows run backwards, columns to the patient's left
        attributes = BrainAttributes(float(cells["Age"]), cells["Sex"], cells["Diagnosis"])
        expected = brain(row.subject, attributes, visit=int(cells["Visit"]), size=96)
        np.testing.assert_allclose(
            np.asarray(stored.dataobj)[..., 0] / 4095, expected, atol=0.5 / 4095 + 1e-6
        )
        upright = nibabel.as_closest_canonical(stored).get_fdata()[
            ..., 0
        ]  # RAS+: first axis to the right, second to the front
        np.testing.assert_allclose(upright[::-1, ::-1].T / 4095, expected, atol=0.5 / 4095 + 1e-6)


def test_chest_folder_reads_back(tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder = write_phantom(tmp_path / "raw", kind="chest", patients=3, visits=2, size=64, seed=2)
    table = list(csv.DictReader((folder / "table.csv").open()))
    for written, row in zip(table, cohort_table("chest", 3, 2, seed=2), strict=True):
        assert written["Findings"] == ("|".join(row.attributes.findings) or "No Finding")
        with image.open(folder / written["File"]) as stored:
            assert "phantom" in stored.text["Synthetic"]
            pixels = np.asarray(stored)
        expected = chest(row.subject, row.attributes, visit=row.visit, size=64)
        np.testing.assert_allclose(pixels / 65535, expected, atol=0.5 / 65535 + 1e-6)


@pytest.mark.parametrize("other", [{"patients": 1}, {"seed": 1}, {"kind": "brain"}])
def test_a_folder_of_others_is_left_as_it_is(tmp_path, other):
    asked = {"kind": "chest", "patients": 2, "visits": 1, "size": 64, "seed": 0}
    folder = write_phantom(tmp_path / "raw", **asked)
    (folder / "scans" / "P0002_1.png").unlink()  # as a stop leaves it

    def held():
        return {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    before = held()
    with pytest.raises(InputError, match="is not empty and holds no phantom of these options"):
        write_phantom(folder, **asked | other)
    assert held() == before
    write_phantom(folder, **asked)
    assert held().keys() - before.keys() == {Path("scans/P0002_1.png")}


def test_a_table_of_others_is_not_written_over(tmp_path):
    (tmp_path / "table.csv").write_text("Patient,Age\nmine,70\n")
    with pytest.raises(InputError, match="is not empty"):
        write_phantom(tmp_path, kind="chest", patients=1, visits=1, size=64)
    assert (tmp_path / "table.csv").read_text() == "Patient,Age\nmine,70\n"


@pytest.mark.parametrize(("render", "attributes"), [(brain, old()), (chest, adult())])
def test_a_picture_takes_milliseconds(render, attributes):
    render(1, attributes)
    start = time.process_time()
    for visit in range(10):
        render(1, attributes, visit=visit)
    assert (
        time.process_time() - start
    ) / 10 < 0.05  # seconds; about 0.006 on a laptop core, with room for a busy machine

"""What is edited: read one by one, and where it may change."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from infos import info_of
from PIL import Image

from latentdrift.config import EditOptions
from latentdrift.data.cohort.cohort import quantise, write_cohort
from latentdrift.data.images import image_readers
from latentdrift.edit.io import edit_inputs
from latentdrift.edit.io.edit_inputs import entries
from latentdrift.errors import InputError

SHAPE = (24, 20)
VALUES = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def listed(source: Path, **options: Any) -> list[edit_inputs.Entry]:
    return entries(
        EditOptions(adapter="pocket", source=source, out=source / "out", **options), info_of(), 32
    )


def square(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def test_a_cohort_is_read_one_image_at_a_time(
    tiny_cohort_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any number of images, no more than the one that is worked on is in memory."""
    alive: list[weakref.ref[Any]] = []
    most = []
    read = image_readers.read

    def counted(*args: Any, **more: Any) -> Any:
        found = read(*args, **more)
        alive.extend(weakref.ref(image) for image in found)
        most.append(sum(one() is not None for one in alive))
        return found

    monkeypatch.setattr(edit_inputs.image_readers, "read", counted)
    found = listed(tiny_cohort_folder)
    assert len(found) == 12 and not most and all(entry.attributes is not None for entry in found)
    for entry in found:
        subject = entry.open()
        assert subject.name == entry.name and subject.tensor().shape == (1, 3, 32, 32)
    assert (
        len(most) == 12 and max(most) <= 2
    )  # the next is read before the name lets go of the last


def test_facts_tell_images_and_windows_apart(tmp_path: Path, tiny_cohort_folder: Path) -> None:
    one = saved(tmp_path / "a.png", VALUES)
    other = saved(tmp_path / "b.png", 255 - VALUES)
    entries = [listed(one)[0], listed(other)[0], listed(one, window="10,200")[0]]
    hashes = [entry.sha256 for entry in [*entries, *listed(tiny_cohort_folder)]]
    assert len(set(hashes)) == len(hashes) and listed(one)[0].sha256 == hashes[0]


def weight(tmp_path: Path, **masks: np.ndarray) -> np.ndarray:
    files = {name: saved(tmp_path / f"{name}.png", mask) for name, mask in masks.items()}
    (entry,) = listed(saved(tmp_path / "a.png", VALUES), mask_edge=0.0, **files)
    found = entry.open().weight
    assert found is not None
    return found


def test_a_mask_confines_and_protects(tmp_path: Path) -> None:
    mask = square(4, 4, 20, 16)
    protect = square(0, 10, 24, 20)
    np.testing.assert_array_equal(weight(tmp_path, mask=mask), mask > 0)
    np.testing.assert_array_equal(weight(tmp_path, protect=protect), protect == 0)
    np.testing.assert_array_equal(
        weight(tmp_path, mask=mask, protect=protect), (mask > 0) & (protect == 0)
    )


def test_what_is_protected_keeps_its_values(tmp_path: Path) -> None:
    import torch

    protect = square(0, 10, 24, 20)
    (entry,) = listed(
        saved(tmp_path / "a.png", VALUES), protect=saved(tmp_path / "p.png", protect), window="full"
    )
    subject = entry.open()
    made = subject.intensities(subject.back(torch.full((1, 3, 32, 32), 0.3)))
    np.testing.assert_array_equal(made[protect > 0], VALUES[protect > 0])
    np.testing.assert_allclose(
        made[:, :8], 1.3 * 127.5
    )  # further from the edge than the change takes to set in


def test_the_change_sets_in_at_either_edge(tmp_path: Path) -> None:
    files = {
        "mask": saved(tmp_path / "m.png", square(4, 2, 24, 18)),
        "protect": saved(tmp_path / "p.png", square(14, 0, 24, 20)),
    }
    (entry,) = listed(saved(tmp_path / "a.png", VALUES), mask_edge=2.0, **files)
    found = entry.open().weight
    assert found is not None
    np.testing.assert_allclose(
        found[3:15, 10], [0, 1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 2 / 3, 1 / 3, 0], atol=1e-6
    )


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"mask": np.zeros(SHAPE)}, "nothing lies inside the mask"),
        ({"protect": np.ones(SHAPE)}, "protects all that may change"),
        (
            {"mask": square(0, 0, 5, 5), "protect": square(0, 0, 9, 9)},
            "protects all that may change",
        ),
        (
            {"mask": square(0, 0, 5, 5), "protect": np.zeros((5, 5))},
            r"have the shape \(24, 20\) and \(5, 5\)",
        ),
        (
            {"protect": np.zeros((5, 5))},
            r"the mask has the shape \(5, 5\) and image 000000 \(24, 20\)",
        ),
        (
            {"mask": np.dstack([square(0, 0, 5, 5), square(1, 0, 5, 5), square(0, 0, 6, 5)])},
            r"masks are grey pictures",
        ),
    ],
)
def test_masks_that_do_not_fit_are_sentences(
    tmp_path: Path, masks: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        weight(tmp_path, **masks)


def test_one_mask_for_many_is_held_once(tiny_cohort_folder: Path, tmp_path: Path) -> None:
    mask = np.zeros((32, 32))
    mask[8:20, 8:20] = 1
    found = listed(tiny_cohort_folder, mask=saved(tmp_path / "m.png", mask))
    assert (
        len({id(entry.inside) for entry in found}) == 1
        and len({entry.mask_sha256 for entry in found}) == 1
    )


def test_a_row_of_a_cohort_stands_for_its_intensities(tmp_path: Path) -> None:
    """A PNG of -160 to 240 HU is edited, and recorded, in HU."""
    stored = np.random.default_rng(0).integers(-160, 241, SHAPE).astype(np.float32)
    pixels, (low, high) = quantise(stored, (-160.0, 240.0))
    row = {"window_low": low, "window_high": high}
    write_cohort(
        tmp_path / "cohort",
        [(pixels, row)],
        {"describe": "CT scan", "source": {"units": {"HU": 1}}},
    )
    (entry,) = listed(tmp_path / "cohort")
    image = entry.open().image
    assert image.range == (-160.0, 240.0) and image.unit == "HU"
    np.testing.assert_allclose(image.pixels, stored, atol=400 / 65535)


def test_what_cannot_be_written_back_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4, 5, 1, 3)).astype(np.uint8)
    voxels = colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(
        InputError, match="NIfTI is written in grey only: save a coloured source as PNG first"
    ):
        listed(tmp_path / "a.nii")


def test_whatever_a_writer_raises_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        raise ZeroDivisionError("of its own")

    nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), tmp_path / "a.nii")
    monkeypatch.setattr("latentdrift.data.images.image_writers.write_nifti", broken)
    with pytest.raises(
        InputError,
        match=r"can be read, but nothing can be written back into its format \(of its own\)",
    ):
        listed(tmp_path / "a.nii")

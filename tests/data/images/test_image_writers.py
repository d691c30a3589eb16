"""Writers of synthetic pixels: the bits come back, and the file says that it is synthetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from latentdrift.data.images.formats.raster import read_raster
from latentdrift.data.images.image_readers import kind_of, read
from latentdrift.data.images.image_writers import write_like, write_png
from latentdrift.data.images.intensity import to_unit
from latentdrift.errors import InputError

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "name", ["raster.png", "nifti.nii.gz", "dicom-CT_small.dcm", "dicom-examples_palette.dcm"]
)
def test_a_changed_picture_goes_into_the_format_it_came_from(folder: Path, name: str) -> None:
    (image,) = read(
        folder / name, plane="axial", position="3", window=None if "nifti" not in name else "0,999"
    )
    written = write_like(folder / "edited", image, image.pixels, description="nothing")
    assert kind_of(written) == kind_of(folder / name) and written.stem.startswith("edited")
    (back,) = read(written, window=None if "nifti" not in name else "0,999")
    np.testing.assert_allclose(
        to_unit(back.pixels, back.range), to_unit(image.pixels, image.range), atol=1 / 255
    )
    if image.affine is not None:
        np.testing.assert_allclose(back.affine, image.affine, atol=1e-4)  # type: ignore[arg-type]


def test_a_sixteen_bit_picture_is_written_at_sixteen_bits(tmp_path: Path) -> None:
    deep = RANDOM.integers(0, 65536, (5, 6)).astype(np.uint16)
    Pillow.fromarray(deep).save(tmp_path / "a.png")
    (image,) = read(tmp_path / "a.png")
    written = write_like(
        tmp_path / "b", image, image.pixels.astype(np.float32), description="nothing"
    )
    assert np.array_equal(read(written)[0].pixels, deep) and read(written)[0].notes == (
        "synthetic",
    )


RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (11, 17)).astype(np.uint8)
DEEP = RANDOM.integers(0, 65536, (11, 17)).astype(np.uint16)
COLOUR = RANDOM.integers(0, 256, (11, 17, 3)).astype(np.uint8)
DEEP_COLOUR = RANDOM.integers(0, 65536, (11, 17, 3)).astype(np.uint16)


@pytest.mark.parametrize("pixels", [GREY, DEEP, COLOUR], ids=["8 bit", "16 bit", "colour"])
def test_written_png_comes_back_and_says_synthetic(tmp_path: Path, pixels: np.ndarray) -> None:
    write_png(tmp_path / "a.png", pixels, synthetic=True)
    (image,) = read_raster(tmp_path / "a.png")
    assert np.array_equal(image.pixels, pixels) and image.notes == ("synthetic",)
    assert Pillow.open(tmp_path / "a.png").text["Synthetic"].startswith("YES")  # type: ignore[attr-defined]
    write_png(tmp_path / "b.png", pixels, synthetic=False)
    assert "Synthetic" not in Pillow.open(tmp_path / "b.png").info


@pytest.mark.parametrize(
    "pixels", [GREY.astype(np.float32), DEEP_COLOUR, np.dstack([COLOUR, GREY])]
)
def test_pixels_that_png_cannot_hold_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match="write uint8 or uint16"):
        write_png(tmp_path / "a.png", pixels, synthetic=True)

"""The plan of an import: what stands there, before any pixel is read."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from latentdrift.config import ImportOptions
from latentdrift.data.importing.import_plan import prepare, survey
from latentdrift.errors import OptionError


def scan(seed: int, size: int = 48, dtype: type = np.uint8) -> np.ndarray:
    """A picture that is like no other."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((6, 6))
    return (np.kron(coarse, np.ones((size // 6, size // 6))) * np.iinfo(dtype).max).astype(dtype)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("option", "value"), [("plane", "axial"), ("position", "40%"), ("slab", 3.0)]
)
def test_options_about_slices_are_refused_for_pictures(tmp_path, option, value):
    save(tmp_path / "in" / "a.png", scan(0))
    asked = ImportOptions(source=tmp_path / "in", out=tmp_path / "out", **{option: value})
    with pytest.raises(
        OptionError, match=f"`{option}` is about slices, and no file of .* is DICOM or NIfTI"
    ):
        prepare(asked)
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4)), tmp_path / "in" / "b.nii"
    )
    assert survey(prepare(asked), asked)["files_to_read"] == 2

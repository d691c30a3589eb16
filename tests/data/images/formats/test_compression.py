"""Compressed files: the first bytes tell the compression, whatever the name."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from volumes import VOLUME, assert_lies_in, expected, saved

from latentdrift.data.images.formats.compression import archive_name, is_compressed, open_unpacked
from latentdrift.data.images.formats.nifti import write_nifti
from latentdrift.data.images.image_readers import read


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a", "A.NII.GZ", "a.img", "a.png"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_the_content_decides_how_a_volume_is_unpacked(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    content = saved(tmp_path / "source.nii").read_bytes()
    (tmp_path / name).write_bytes(pack(content))
    (image,) = read(tmp_path / name, plane="sagittal", position="4")
    np.testing.assert_array_equal(image.pixels, expected("sagittal", 4))
    write_nifti(tmp_path / "w.nii.gz", image, image.pixels)
    assert_lies_in(
        nib.load(tmp_path / "w.nii.gz"), VOLUME, nib.load(tmp_path / "source.nii").affine
    )


def test_archives_are_named_by_their_first_bytes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("a", "b")
    with tarfile.open(tmp_path / "tar", "w") as tar:
        tar.add(__file__)
    (tmp_path / "xz").write_bytes(lzma.compress(b"a"))
    (tmp_path / "gz").write_bytes(gzip.compress(b"a"))
    (tmp_path / "txt").write_bytes(b"ustar is a word here")
    names = {path.name: archive_name(path.read_bytes()[:262]) for path in tmp_path.iterdir()}
    assert names == {
        "zip": "a ZIP archive",
        "tar": "a tar archive",
        "xz": "an XZ-compressed file",
        "gz": None,
        "txt": None,
    }


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_a_stream_is_unpacked_on_the_way(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    content = b"voxels" * 100
    packed = pack(content)
    (tmp_path / "a").write_bytes(packed)
    assert is_compressed(packed[:4]) == (packed != content)
    with open_unpacked(tmp_path / "a") as file:
        assert file.read() == content

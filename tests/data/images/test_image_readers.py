"""Any file: the content decides, and whatever is wrong with it, one kind of error says what."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicoms import dicom
from one_of_each import VOLUME

from latentdrift.data.images.image import REASONS, ImageError
from latentdrift.data.images.image_readers import READERS, kind_of, read
from latentdrift.data.images.intensity import to_unit

RANDOM = np.random.default_rng(0)


def test_the_content_decides_whatever_the_name(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".img":
            continue
        renamed = path.with_name("scan.xyz")
        shutil.copy(path, renamed)
        assert kind_of(renamed) == path.name.split("-")[0].split(".")[0].rstrip("2"), path.name
    assert set(READERS) == {"dicom", "nifti", "raster"}


def test_dicom_without_preamble_and_behind_a_tiff_preamble(tmp_path: Path) -> None:
    whole = dicom("CT_small.dcm").read_bytes()
    (tmp_path / "bare").write_bytes(whole[132:])
    (tmp_path / "dual").write_bytes(b"II*\0" + whole[4:])
    original = read(dicom("CT_small.dcm"))[0]
    for name in ("bare", "dual"):
        (image,) = read(tmp_path / name)
        assert np.array_equal(image.pixels, original.pixels) and image.range == original.range


def test_a_pair_is_read_through_its_header(folder: Path) -> None:
    (image,) = read(folder / "nifti.hdr", plane="axial", position="3")
    np.testing.assert_array_equal(image.pixels, VOLUME[::-1, ::-1, 3].T)
    with pytest.raises(ImageError, match=r"the pixels of nifti\.hdr") as error:
        read(folder / "nifti.img")
    assert error.value.reason == "pixel half"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "empty"),
        ("notes.txt", b"patient 7 was late", "not an image"),
        ("table.csv", b"a,b\n1,2\n", "not an image"),
        ("table.dcm", b"a,b\n1,2\n", "not an image"),
        ("sheet.xlsx", b"PK\x03\x04" + bytes(200), "not an image"),
        ("zeros.nii", bytes(1000), "not an image"),
        ("text.nii.gz", gzip.compress(b"not a volume" * 100, mtime=0), "not an image"),
        ("cut.nii.gz", gzip.compress(RANDOM.bytes(3000), mtime=0)[:40], "truncated"),
        ("cut.png", b"\x89PNG\r\n\x1a\n", "damaged"),
        ("scans.zip", b"PK\x03\x04" + bytes(400), "compressed"),
        ("scans.7z", b"7z\xbc\xaf\x27\x1c" + bytes(400), "compressed"),
        ("scans.tar", bytes(257) + b"ustar\x0000" + bytes(400), "compressed"),
        (
            "scans.tgz",
            gzip.compress(bytes(257) + b"ustar\x0000" + bytes(400), mtime=0),
            "compressed",
        ),
        ("scan.dcm.xz", b"\xfd7zXZ\x00" + bytes(400), "compressed"),
        ("scan.dcm.gz", gzip.compress(bytes(128) + b"DICM" + bytes(400), mtime=0), "compressed"),
        ("scan.png.gz", gzip.compress(b"\x89PNG\r\n\x1a\n" + bytes(400), mtime=0), "compressed"),
        ("._scan.dcm", b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(400), "system file"),
        (".DS_Store", b"\x00\x00\x00\x01Bud1" + bytes(400), "system file"),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(400), "system file"),
    ],
)
def test_other_files_are_refused_with_a_reason(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=name) as error:
        read(tmp_path / name)
    assert error.value.reason == reason
    assert str(error.value).endswith(f"({reason})")


@pytest.mark.parametrize("order", ["<", ">"])
def test_analyze_is_told_apart_from_nifti_and_what_to_do_is_said(
    tmp_path: Path, order: str
) -> None:
    header = nib.AnalyzeHeader(endianness=order)
    header.set_data_shape((4, 5, 6))
    header.set_data_dtype(np.int16)
    (tmp_path / "brain.hdr").write_bytes(header.binaryblock)
    (tmp_path / "brain.img").write_bytes(bytes(240))
    with pytest.raises(
        ImageError, match=r"ANALYZE 7\.5 header, .* convert the pair to NIfTI"
    ) as error:
        read(tmp_path / "brain.hdr", plane="axial")
    assert error.value.reason == "unsupported"
    with pytest.raises(ImageError, match=r"the pixels of brain\.hdr") as error:
        read(tmp_path / "brain.img")
    assert error.value.reason == "pixel half"


def test_what_is_not_there_and_what_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="a folder, not a file"):
        read(tmp_path)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8, 0.99])
def test_files_that_end_anywhere_are_read_or_refused_and_nothing_else(
    folder: Path, share: float
) -> None:
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        assert_read_or_refused(path)


@pytest.mark.parametrize("seed", range(8))
def test_files_with_wrong_bytes_are_read_or_refused_and_nothing_else(
    folder: Path, seed: int
) -> None:
    random = np.random.default_rng(seed)
    for path in sorted(folder.iterdir()):
        data = bytearray(path.read_bytes())
        for at in random.integers(0, min(len(data), 2000), random.integers(1, 12)):
            data[at] = random.integers(0, 256)
        path.write_bytes(data)
        assert_read_or_refused(path)


def assert_read_or_refused(path: Path) -> None:
    try:
        images = read(path, plane="axial")
    except ImageError as error:
        assert error.reason in REASONS
        return
    for image in images:
        x = to_unit(image.pixels, image.range)
        assert np.isfinite(x).all() and np.abs(x).max() <= 1

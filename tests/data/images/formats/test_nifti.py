"""NIfTI: a volume whose voxels say where they are, stored in all 48 ways, looks the same and goes
back where it was."""

from __future__ import annotations

import gzip
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import places
import pytest
from volumes import ORIGIN, SHAPE, VOLUME, ZOOMS, assert_lies_in, expected, saved

from latentdrift.data.images.formats.nifti import open_volume, read_nifti, write_nifti
from latentdrift.data.images.image import Image, ImageError, Plane
from latentdrift.data.images.intensity import from_unit, to_unit
from latentdrift.data.images.volume import PLANES
from latentdrift.errors import InputError

SHARED = places.SHARED / "data"
ORDERS = ["".join(axes) for order in permutations(("RL", "AP", "SI")) for axes in product(*order)]


@pytest.mark.parametrize("order", ORDERS)
def test_every_storage_order_looks_the_same_and_goes_back(tmp_path: Path, order: str) -> None:
    source = saved(tmp_path / "a.nii", order)
    for plane, index in (("axial", 1), ("coronal", 6), ("sagittal", 4)):
        (image,) = read_nifti(source, plane, str(index))  # type: ignore[arg-type]
        np.testing.assert_array_equal(image.pixels, expected(plane, index))  # type: ignore[arg-type]
        assert image.pixels.dtype == np.int16
        assert_affine_is_true(image)
        write_nifti(tmp_path / "w.nii.gz", image, image.pixels)
        (back,) = read_nifti(tmp_path / "w.nii.gz")
        np.testing.assert_array_equal(back.pixels, image.pixels)
        assert (
            image.affine is not None
            and back.affine is not None
            and image.source is not None
            and back.source is not None
        )
        np.testing.assert_allclose(back.affine, image.affine, atol=1e-5)
        assert (back.source.plane, back.spacing) == (plane, image.spacing)
        voxels = np.asarray(nib.load(source).dataobj), nib.load(source).affine
        assert_lies_in(nib.load(tmp_path / "w.nii.gz"), *voxels)


def assert_affine_is_true(image: Image) -> None:
    """Each pixel's value says where it is; the affine must say the same."""
    assert image.affine is not None
    for row, column in ((0, 0), (1, 3), (image.pixels.shape[0] - 1, image.pixels.shape[1] - 1)):
        x, rest = divmod(int(image.pixels[row, column]), 100)
        voxel = np.array([x, *divmod(rest, 10)])
        np.testing.assert_allclose(
            (image.affine @ [row, column, 0, 1])[:3], voxel * ZOOMS + ORIGIN, atol=1e-6
        )


def test_an_oblique_volume_keeps_its_place(tmp_path: Path) -> None:
    angle = np.deg2rad(20)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    affine = np.vstack([np.column_stack([turn @ np.diag(ZOOMS), ORIGIN]), [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(VOLUME, affine), tmp_path / "a.nii")
    (image,) = read_nifti(tmp_path / "a.nii", "axial", "2")
    np.testing.assert_array_equal(image.pixels, expected("axial", 2))
    assert image.affine is not None and image.spacing == pytest.approx((2, 1))
    np.testing.assert_allclose((image.affine @ [0, 0, 0, 1]), affine @ [6, 8, 2, 1])
    write_nifti(tmp_path / "w.nii", image, image.pixels)
    assert_lies_in(nib.load(tmp_path / "w.nii"), VOLUME, affine)


@pytest.mark.parametrize("shape", [(1, 9, 5), (7, 1, 5), (7, 9, 1), (7, 9, 1, 1)])
def test_one_slice_needs_no_plane(tmp_path: Path, shape: tuple[int, ...]) -> None:
    volume = np.random.default_rng(0).integers(0, 99, shape).astype(np.uint8)
    nib.save(nib.Nifti1Image(volume, np.diag([*ZOOMS, 1])), tmp_path / "a.nii")
    (image,) = read_nifti(tmp_path / "a.nii", position="90%")
    np.testing.assert_array_equal(image.pixels, volume.squeeze()[::-1, ::-1].T)
    assert image.source is not None and image.source.plane == next(
        p for p, (axis, *_) in PLANES.items() if shape[axis] == 1
    )
    write_nifti(tmp_path / "w.nii", image, image.pixels)
    again = nib.load(tmp_path / "w.nii")
    assert again.shape == shape and np.array_equal(again.dataobj, volume)
    np.testing.assert_allclose(again.affine, nib.load(tmp_path / "a.nii").affine)
    other: Plane = "axial" if image.source.plane != "axial" else "coronal"
    with pytest.raises(ImageError, match=f"{other} was asked for") as error:
        read_nifti(tmp_path / "a.nii", other)
    assert error.value.reason == "other plane"


def test_without_orientation_it_is_shown_as_stored_and_says_so(tmp_path: Path) -> None:
    """First axis to the right, second axis up: how OASIS-2's slices are upright."""
    picture = np.random.default_rng(0).integers(17, 140, (6, 8)).astype(np.uint8)
    nib.save(nib.Nifti1Image(picture, None), tmp_path / "a.nii.gz")
    (image,) = read_nifti(tmp_path / "a.nii.gz", "coronal")  # nothing says that it is not
    np.testing.assert_array_equal(image.pixels, picture.T[::-1])
    assert image.affine is None and image.source is not None and image.source.plane is None
    assert image.notes == ("no orientation in the header: left and right are not known",)
    write_nifti(tmp_path / "w.nii.gz", image, image.pixels)
    again = nib.load(tmp_path / "w.nii.gz")
    assert (
        again.shape == (6, 8)
        and again.get_data_dtype() == np.uint8
        and np.array_equal(again.dataobj, picture)
    )
    assert int(again.header["qform_code"]) == int(again.header["sform_code"]) == 0


def test_a_volume_without_orientation_goes_back_too(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOLUME, None)
    image.header.set_zooms(ZOOMS)
    nib.save(image, tmp_path / "a.nii")
    (shown,) = read_nifti(tmp_path / "a.nii", "coronal", "2")
    np.testing.assert_array_equal(shown.pixels, VOLUME[:, 2, ::-1].T)
    assert shown.affine is None and shown.spacing == (3.0, 1.0)
    write_nifti(tmp_path / "w.nii", shown, shown.pixels)
    (back,) = read_nifti(tmp_path / "w.nii")
    assert np.array_equal(back.pixels, shown.pixels) and back.spacing == shown.spacing
    with pytest.raises(ImageError, match="no orientation") as error:
        read_nifti(tmp_path / "a.nii", "coronal", "5mm")
    assert error.value.reason == "no orientation"


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("scaling", [(1.0, 0.0), (0.25, -1024.0)])
@pytest.mark.parametrize("version", [nib.Nifti1Image, nib.Nifti2Image])
def test_types_byte_orders_and_scaling_survive(
    tmp_path: Path, kind: str, order: str, scaling: tuple, version: type
) -> None:
    raw = np.random.default_rng(0).integers(0, 200, SHAPE).astype(order + kind)
    header = version.header_class(endianness=order)
    header.set_data_dtype(kind)
    image = version(raw, np.diag([*ZOOMS, 1]), header)
    image.header.set_slope_inter(*scaling)
    nib.save(image, tmp_path / "a.nii")
    (shown,) = read_nifti(tmp_path / "a.nii", "axial", "1")
    np.testing.assert_allclose(
        shown.pixels, (raw[::-1, ::-1, 1].T.astype(float)) * scaling[0] + scaling[1]
    )
    write_nifti(
        tmp_path / "w.nii", shown, from_unit(to_unit(shown.pixels, shown.range), shown.range)
    )
    written = nib.load(tmp_path / "w.nii")
    assert isinstance(written, version) and written.get_data_dtype() == np.dtype(kind)
    assert (written.dataobj.slope, written.dataobj.inter) == scaling
    tolerance = 1e-4 if kind[0] == "f" else 0
    np.testing.assert_allclose(
        np.asarray(written.dataobj.get_unscaled())[..., 0],
        raw[..., 1].astype(float),
        atol=tolerance,
    )


def test_the_display_range_of_the_header_is_the_window(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", cal_min=20, cal_max=500)
    assert read_nifti(path, "axial")[0].range == (20.0, 500.0)
    assert read_nifti(path, "axial", window="voi")[0].range == (20.0, 500.0)
    assert read_nifti(path, "axial", window="full")[0].range == (2.0, 682.0)
    assert read_nifti(path, "axial", window="0,99")[0].range == (0.0, 99.0)


def test_the_writing_says_synthetic_and_copies_no_text(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.nii", descrip=b"DOE^JANE", db_name=b"12345", aux_file=b"jane.txt")
    (image,) = read_nifti(source, "axial")
    write_nifti(tmp_path / "w.nii", image, image.pixels)
    assert b"synthetic" in bytes(nib.load(tmp_path / "w.nii").header["descrip"])
    assert not any(
        word in (tmp_path / "w.nii").read_bytes() for word in (b"DOE", b"12345", b"jane")
    )


def test_gaps_take_the_smallest_value(tmp_path: Path) -> None:
    volume = np.ones((4, 4, 2), np.float32)
    volume[0, 0], volume[1, 1] = np.nan, -5
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii")
    pixels = read_nifti(tmp_path / "a.nii", "axial", "0")[0].pixels
    assert np.isfinite(pixels).all() and pixels[3, 3] == -5


def test_coloured_voxels(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4, 5, 1, 3)).astype(np.uint8)
    voxels = colours.copy().view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    np.testing.assert_array_equal(
        read_nifti(tmp_path / "a.nii")[0].pixels, colours[::-1, ::-1, 0].swapaxes(0, 1)
    )


@pytest.mark.parametrize(
    ("volume", "reason", "message"),
    [
        (
            np.zeros((4, 5, 6, 3), np.int16),
            "4-D",
            r"4 x 5 x 6 x 3 voxels\) came where one is wanted",
        ),
        (np.zeros((4, 5, 6), np.complex64), "unsupported", "save their magnitude"),
        (np.zeros((4, 1, 1), np.int16), "not an image", "no rows and columns"),
        (np.full((4, 5, 6), np.nan, np.float32), "damaged", "no finite|cannot be read"),
    ],
)
def test_what_is_no_picture_is_refused(
    tmp_path: Path, volume: np.ndarray, reason: str, message: str
) -> None:
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ImageError, match=message) as error:
        read_nifti(tmp_path / "a.nii", "axial")
    assert error.value.reason == reason


def test_a_volume_needs_a_plane(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="say which plane: axial, coronal or sagittal") as error:
        read_nifti(saved(tmp_path / "a.nii"))
    assert error.value.reason == "no plane"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_volume_that_ends_too_early_is_refused_wherever_the_slice_lies(
    tmp_path: Path, suffix: str, share: float
) -> None:
    path = saved(
        tmp_path / f"a{suffix}",
        volume=np.random.default_rng(0).integers(0, 999, (20, 20, 20)).astype(np.int16),
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ImageError) as error:
        read_nifti(path, "axial", "0")
    assert error.value.reason == "truncated"


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((30000, 30000, 30000))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    with gzip.open(tmp_path / "a.nii.gz", "wb") as file:
        file.write(header.binaryblock + bytes(1000))
    with pytest.raises(ImageError, match="cannot hold the voxel grid"):
        read_nifti(tmp_path / "a.nii.gz", "axial")


def test_other_images_are_written_with_their_own_affine(tmp_path: Path) -> None:
    affine = np.array(
        [[0, -0.5, 0, 30], [-0.7, 0, 0, 40], [0, 0, 2, -5], [0, 0, 0, 1.0]]
    )  # an axial DICOM slice in RAS
    pixels = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    write_nifti(
        tmp_path / "a.nii", Image(pixels, (-1, 1), affine=affine, spacing=(0.7, 0.5)), pixels
    )
    (back,) = read_nifti(tmp_path / "a.nii")
    np.testing.assert_array_equal(back.pixels, pixels)
    np.testing.assert_allclose(back.affine, affine, atol=1e-6)  # type: ignore[arg-type]
    write_nifti(tmp_path / "b.nii", Image(pixels, (-1, 1), spacing=(0.7, 0.5)), pixels)
    (back,) = read_nifti(tmp_path / "b.nii")
    assert np.array_equal(back.pixels, pixels) and back.spacing == pytest.approx((0.7, 0.5))
    with pytest.raises(InputError, match="do not fit the picture"):
        write_nifti(tmp_path / "c.nii", Image(pixels, (-1, 1)), pixels[:3])


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("slab", [0.0, 9.0])
@pytest.mark.parametrize("name", ["chris_PD", "fmri_pitch"])
def test_real_volumes_go_and_return(tmp_path: Path, name: str, slab: float, plane: Plane) -> None:
    path = SHARED / "nifti3d" / f"{name}.nii.gz"
    if not path.exists():
        pytest.skip(f"the real volumes are not here: {path}")
    (image,) = read_nifti(path, plane, "45%", slab)
    write_nifti(tmp_path / "w.nii.gz", image, image.pixels)
    (back,) = read_nifti(tmp_path / "w.nii.gz")
    np.testing.assert_array_equal(back.pixels, image.pixels)
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-3)  # type: ignore[arg-type]
    canonical = nib.as_closest_canonical(nib.load(path))
    normal, rows, columns = PLANES[plane]
    if slab == 0 and image.source is not None:
        there = np.moveaxis(np.asarray(canonical.dataobj), (normal, rows, columns), (0, 1, 2))[
            image.source.frame
        ]
        np.testing.assert_allclose(image.pixels, there[::-1, ::-1], rtol=1e-6)


def test_real_slices_stand_upright_and_go_back(tmp_path: Path) -> None:
    files = sorted((SHARED / "oasis2").glob("*/*.nii.gz"))[::50]
    if not files:
        pytest.skip(f"the real slices are not here: {SHARED / 'oasis2'}")
    for path in files:
        (image,) = read_nifti(path)
        assert (
            image.pixels.shape in ((256, 207), (215, 207))
            and image.pixels.dtype == np.uint8
            and image.affine is None
        )
        write_nifti(tmp_path / "w.nii.gz", image, image.pixels)
        assert np.array_equal(
            np.asarray(nib.load(tmp_path / "w.nii.gz").dataobj), np.asarray(nib.load(path).dataobj)
        )


def test_a_real_series_of_volumes_is_refused() -> None:
    path = SHARED / "nifti3d" / "pcasl.nii.gz"
    if not path.exists():
        pytest.skip(f"the real volumes are not here: {path}")
    with pytest.raises(ImageError, match="52 x 68 x 20 x 10"):
        read_nifti(path, "axial")


# --------------------------------------------------------------------------------


def with_header(path: Path, **fields: object) -> Path:
    """A volume whose header fields are overwritten on disk, past every check of nibabel."""
    saved(path, volume=VOLUME)
    header = nib.load(path).header.copy()
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + path.read_bytes()[len(header.binaryblock) :])
    return path


def test_a_sform_of_zeros_leaves_the_qform(tmp_path: Path) -> None:
    """Left stays left: the picture and its affine are those of the qform."""
    zeros = {f"srow_{axis}": np.zeros(4) for axis in "xyz"}
    path = with_header(tmp_path / "a.nii", sform_code=1, qform_code=1, **zeros)
    (image,) = read_nifti(path, "coronal", "6")
    np.testing.assert_array_equal(image.pixels, expected("coronal", 6))
    assert_affine_is_true(image)
    assert image.notes == ("its header's sform is no orientation and is left out",)
    write_nifti(tmp_path / "w.nii", image, image.pixels)
    assert_lies_in(nib.load(tmp_path / "w.nii"), VOLUME, nib.load(saved(tmp_path / "b.nii")).affine)


@pytest.mark.parametrize("qform_code", [0, 1])
def test_a_sform_counts_whatever_the_quaternion_beside_it(tmp_path: Path, qform_code: int) -> None:
    quaternion = {"quatern_b": 0.9, "quatern_c": 0.9, "quatern_d": 0.9}
    path = with_header(tmp_path / "a.nii", sform_code=2, qform_code=qform_code, **quaternion)
    (image,) = read_nifti(path, "axial", "1")
    assert_affine_is_true(image)
    write_nifti(tmp_path / "w.nii", image, image.pixels)
    written = nib.load(tmp_path / "w.nii")
    assert int(written.header["sform_code"]) == 2 and int(written.header["qform_code"]) == 0
    assert_lies_in(written, VOLUME, nib.load(saved(tmp_path / "b.nii")).affine)


@pytest.mark.parametrize("longer", [1e-7, 1e-5, 1e-4])
def test_a_quaternion_too_long_by_rounding_is_a_half_turn(tmp_path: Path, longer: float) -> None:
    """b = 1 turns by 180 degrees about the first axis: the second and third run backwards, to
    single precision."""
    path = with_header(
        tmp_path / "a.nii",
        sform_code=0,
        qform_code=1,
        quatern_b=1 + longer,
        quatern_c=0,
        quatern_d=0,
    )
    (image,) = read_nifti(path, "axial", "1")
    assert image.notes == () and image.affine is not None
    shown = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    np.testing.assert_allclose(shown[:, :2], [[0, -1], [-1, 0], [0, 0]], atol=1e-6)
    np.testing.assert_array_equal(image.pixels, VOLUME[::-1, :, SHAPE[2] - 2].T)


@pytest.mark.parametrize("axis", np.random.default_rng(0).normal(size=(8, 3)))
def test_a_half_turn_about_any_axis_stays_one(tmp_path: Path, axis: np.ndarray) -> None:
    """A rotation by 180 degrees is 2 n n' - 1."""
    n = axis / np.linalg.norm(axis)
    b, c, d = n * (1 + 1e-6)
    path = with_header(
        tmp_path / "a.nii", sform_code=0, qform_code=1, quatern_b=b, quatern_c=c, quatern_d=d
    )
    np.testing.assert_allclose(
        open_volume(path).grid.affine[:3, :3] / ZOOMS, 2 * np.outer(n, n) - np.eye(3), atol=1e-6
    )


def test_a_quaternion_that_is_none_is_no_orientation(tmp_path: Path) -> None:
    quaternion = {"quatern_b": 3.0, "quatern_c": -2.0, "quatern_d": np.nan}
    path = with_header(tmp_path / "a.nii", sform_code=0, qform_code=1, **quaternion)
    (image,) = read_nifti(path, "axial", "1")
    assert image.affine is None
    assert image.notes[0] == "no orientation in the header: left and right are not known"


@pytest.mark.parametrize(
    ("slope", "inter", "scale"),
    [
        (0, 0, (1, 0)),
        (0, 5, (1, 0)),
        (np.nan, np.nan, (1, 0)),
        (np.inf, 3, (1, 0)),
        (2, np.nan, (2, 0)),
        (0.5, -1000, (0.5, -1000)),
    ],
)
def test_a_slope_that_scales_nothing_leaves_the_stored_values(
    tmp_path: Path, slope: float, inter: float, scale: tuple
) -> None:
    """NIfTI-1, `scl_slope`: where it is 0, the stored values count."""
    path = with_header(tmp_path / "a.nii", scl_slope=slope, scl_inter=inter)
    (image,) = read_nifti(path, "axial", "2")
    np.testing.assert_allclose(image.pixels, expected("axial", 2) * scale[0] + scale[1])
    write_nifti(tmp_path / "w.nii", image, image.pixels)
    np.testing.assert_allclose(
        nib.load(tmp_path / "w.nii").get_fdata()[..., 0], VOLUME[..., 2] * scale[0] + scale[1]
    )


def test_odd_headers_are_mended_with_one_sentence_and_nothing_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    path = with_header(tmp_path / "a.nii", pixdim=[0, -1, 2, 0, 0, 0, 0, 0], xyzt_units=7)
    (image,) = read_nifti(path, "axial", "1")
    (note,) = image.notes
    assert note.startswith("its NIfTI header was mended (pixdim")
    assert capfd.readouterr() == ("", "")

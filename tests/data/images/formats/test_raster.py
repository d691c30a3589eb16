"""PNG, JPEG and TIFF: every mode gives the pixels that were written, with all their bits."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import places
import pytest
from PIL import Image as Pillow

from latentdrift.data.images.formats.raster import read_raster
from latentdrift.data.images.image import ImageError

SHARED = places.SHARED / "data"
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (11, 17)).astype(np.uint8)
DEEP = RANDOM.integers(0, 65536, (11, 17)).astype(np.uint16)
COLOUR = RANDOM.integers(0, 256, (11, 17, 3)).astype(np.uint8)
DEEP_COLOUR = RANDOM.integers(0, 65536, (11, 17, 3)).astype(np.uint16)


def one(path: Path, **options: str) -> np.ndarray:
    (image,) = read_raster(path, **options)
    return image.pixels


def png16(path: Path, samples: np.ndarray, colour_type: int) -> Path:
    """A 16-bit PNG of any colour type, rows filtered by Sub and Up in turn (PNG 1.2, sections 4.1
    and 6)."""
    height, width = samples.shape[:2]
    raw = samples.astype(">u2").reshape(height, -1).view(np.uint8).astype(int)
    pixel = raw.shape[1] // width
    lines = []
    for row in range(height):
        before = np.zeros_like(raw[row])
        if row % 2:
            before = raw[row - 1]
        else:
            before[pixel:] = raw[row, :-pixel]
        lines.append(bytes([1 + row % 2]) + ((raw[row] - before) % 256).astype(np.uint8).tobytes())
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(lines))),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("pixels", [GREY, DEEP, COLOUR], ids=["L", "I;16", "RGB"])
def test_lossless_formats_return_the_pixels(
    tmp_path: Path, pixels: np.ndarray, suffix: str
) -> None:
    Pillow.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    (image,) = read_raster(tmp_path / f"a.{suffix}")
    assert image.pixels.dtype == pixels.dtype and np.array_equal(image.pixels, pixels)
    assert image.range == (0.0, float(np.iinfo(pixels.dtype).max))
    assert image.source is not None and image.source.kind == "raster" and image.source.frame is None


@pytest.mark.parametrize(
    ("samples", "colour_type"),
    [(DEEP_COLOUR, 2), (np.dstack([DEEP_COLOUR, np.full_like(DEEP, 65535)]), 6)],
)
def test_all_sixteen_bits_of_colour_png(
    tmp_path: Path, samples: np.ndarray, colour_type: int
) -> None:
    assert np.array_equal(one(png16(tmp_path / "a.png", samples, colour_type)), DEEP_COLOUR)


def test_grey_stored_as_sixteen_bit_colour_is_grey_at_sixteen_bits(tmp_path: Path) -> None:
    assert np.array_equal(one(png16(tmp_path / "a.png", np.dstack([DEEP] * 3), 2)), DEEP)


def test_lost_bits_are_said(tmp_path: Path) -> None:
    (image,) = read_raster(
        png16(tmp_path / "a.png", np.dstack([DEEP, np.full_like(DEEP, 65535)]), 4)
    )
    assert image.notes == ("16-bit samples were read at 8 bits",)
    assert np.array_equal(image.pixels, DEEP >> 8)


def test_colour_whose_channels_are_equal_is_grey(tmp_path: Path) -> None:
    Pillow.fromarray(np.dstack([GREY] * 3)).save(tmp_path / "a.png")
    assert np.array_equal(one(tmp_path / "a.png"), GREY)


@pytest.mark.parametrize("colour", [GREY[..., None], COLOUR], ids=["LA", "RGBA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_opaque_alpha_is_dropped_and_real_transparency_lies_over_black(
    tmp_path: Path, colour: np.ndarray, suffix: str
) -> None:
    alpha = np.full((11, 17, 1), 255, dtype=np.uint8)
    Pillow.fromarray(np.dstack([colour, alpha])).save(tmp_path / f"a.{suffix}")
    assert np.array_equal(one(tmp_path / f"a.{suffix}"), colour.squeeze())
    alpha[:5], alpha[5:8] = 0, 102
    Pillow.fromarray(np.dstack([colour, alpha])).save(tmp_path / f"b.{suffix}")
    expected = np.rint(colour * (alpha / 255)).squeeze()
    np.testing.assert_array_equal(one(tmp_path / f"b.{suffix}"), expected)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_palette_and_one_bit(tmp_path: Path, suffix: str) -> None:
    palette = Pillow.fromarray(COLOUR).quantize(16)
    palette.save(tmp_path / f"p.{suffix}")
    assert np.array_equal(one(tmp_path / f"p.{suffix}"), np.asarray(palette.convert("RGB")))
    Pillow.fromarray(GREY > 128).save(tmp_path / f"b.{suffix}")
    assert np.array_equal(one(tmp_path / f"b.{suffix}"), (GREY > 128) * np.uint8(255))


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_of_png_becomes_black(tmp_path: Path, mode: str) -> None:
    picture = Pillow.new("RGB", (6, 4), (200, 200, 200)).convert(mode)
    key = picture.getpixel((0, 0))
    picture.save(tmp_path / "a.png", transparency=key)
    assert not one(tmp_path / "a.png").any()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_orientation_tags_are_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    """The upright picture has its brightest quarter at the top left and its second at the top
    right."""
    upright = np.kron(
        np.array([[250, 170, 170], [90, 10, 10]], dtype=np.uint8), np.ones((16, 16), dtype=np.uint8)
    )
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright[::-1, ::-1].T,
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Pillow.Exif()
    exif[274] = orientation
    Pillow.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a.{suffix}", exif=exif)
    pixels = one(tmp_path / f"a.{suffix}")
    assert pixels.shape == upright.shape
    np.testing.assert_allclose(
        pixels.astype(int)[4::8, 4::8], upright.astype(int)[4::8, 4::8], atol=8
    )


@pytest.mark.parametrize(
    ("window", "expected"),
    [("10,20", (10.0, 20.0)), ("full", (0.0, 255.0)), ("p0,p100", (3.0, 11.0))],
)
def test_a_given_window_is_the_range(tmp_path: Path, window: str, expected: tuple) -> None:
    Pillow.fromarray(np.array([[3, 5], [7, 11]], dtype=np.uint8)).save(tmp_path / "a.png")
    assert read_raster(tmp_path / "a.png", window=window)[0].range == expected


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_ends_too_early_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    Pillow.fromarray(RANDOM.integers(0, 256, (64, 64)).astype(np.uint8)).save(
        tmp_path / f"a.{suffix}"
    )
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ImageError, match=f"a.{suffix}: .+") as error:
        read_raster(tmp_path / f"a.{suffix}")
    assert error.value.reason == "truncated"


@pytest.mark.parametrize(("folder", "count"), [("nih1000/images", 708), ("brain-tumour", 600)])
def test_real_pictures_are_grey_eight_bit(folder: str, count: int) -> None:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"the real images are not here: {SHARED / folder}")
    files = [path for path in (SHARED / folder).rglob("*") if path.is_file()]
    found = Counter(
        (image.pixels.ndim, str(image.pixels.dtype))
        for path in files
        for image in read_raster(path)
    )
    assert found == {(2, "uint8"): count}

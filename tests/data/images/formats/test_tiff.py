"""TIFF: every type, byte order, layout and number of bits gives the pixels that were written."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from latentdrift.data.images.formats.raster import read_raster
from latentdrift.data.images.image import ImageError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (11, 17)).astype(np.uint8)
DEEP = RANDOM.integers(0, 65536, (11, 17)).astype(np.uint16)
COLOUR = RANDOM.integers(0, 256, (11, 17, 3)).astype(np.uint8)
DEEP_COLOUR = RANDOM.integers(0, 65536, (11, 17, 3)).astype(np.uint16)


def one(path: Path, **options: str) -> np.ndarray:
    (image,) = read_raster(path, **options)
    return image.pixels


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_tiff_of_every_type_and_byte_order(tmp_path: Path, kind: str, order: str) -> None:
    pixels = RANDOM.integers(0, 100, (9, 8)).astype(kind) - (50 if kind[0] in "if" else 0)
    pixels = pixels.astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=order, compression="zlib")
    (image,) = read_raster(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.range == {"u1": (0.0, 255.0), "u2": (0.0, 65535.0)}.get(
        kind, (float(pixels.min()), float(pixels.max()))
    )


@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_sixteen_bit_colour_tiff(tmp_path: Path, layout: str, compression: str | None) -> None:
    stored = DEEP_COLOUR if layout == "contig" else np.moveaxis(DEEP_COLOUR, -1, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="rgb", planarconfig=layout, compression=compression
    )
    assert np.array_equal(one(tmp_path / "a.tif"), DEEP_COLOUR)


@pytest.mark.parametrize("pixels", [GREY, DEEP])
@pytest.mark.parametrize("compression", ["zlib", "tiff_lzw"])
def test_white_is_zero_tiff_is_turned_so_that_larger_is_brighter(
    tmp_path: Path, pixels: np.ndarray, compression: str
) -> None:
    if compression == "zlib":
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite", compression="zlib")
    else:  # Pillow writes the tag and inverts 8 bits only
        stored = pixels if pixels.dtype == np.uint16 else np.iinfo(pixels.dtype).max - pixels
        Pillow.fromarray(stored).save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={262: 0})
    assert np.array_equal(one(tmp_path / "a.tif"), np.iinfo(pixels.dtype).max - pixels)


def test_gaps_of_a_float_tiff_take_its_smallest_value(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[np.nan, 1.5], [0.5, np.inf]], dtype=np.float32))
    np.testing.assert_array_equal(one(tmp_path / "a.tif"), [[0.5, 1.5], [0.5, 0.5]])


def packed(
    path: Path,
    values: np.ndarray,
    bits: int,
    photometric: int,
    colours: Sequence[int] = (),
    order: str = "<",
) -> Path:
    """A TIFF whose samples lie bit by bit behind one another, rows from a new byte on (TIFF 6.0,
    sections 3 to 5)."""
    lines = ["".join(f"{value:0{bits}b}" for value in row) for row in values]
    lines = [line + "0" * (-len(line) % 8) for line in lines]
    data = b"".join(int(line, 2).to_bytes(len(line) // 8, "big") for line in lines)
    height, width = values.shape
    longs = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: photometric,
        273: 8 + 2 * len(colours),
        277: 1,
        278: height,
        279: len(data),
    }
    tags = [struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in longs.items()]
    if colours:
        tags.append(struct.pack(f"{order}HHII", 320, 3, len(colours), 8))
    table = struct.pack(f"{order}H", len(tags)) + b"".join(tags) + bytes(4)
    colour_map = struct.pack(f"{order}{len(colours)}H", *colours)
    start = 8 + len(colour_map) + len(data)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    path.write_bytes(head + colour_map + data + table)
    return path


@pytest.mark.parametrize(("bits", "photometric"), [(2, 1), (2, 0), (4, 1), (4, 0), (12, 1)])
def test_samples_of_few_bits_keep_their_share_of_white(
    tmp_path: Path, bits: int, photometric: int
) -> None:
    values = RANDOM.integers(0, 2**bits, (5, 7))
    (image,) = read_raster(packed(tmp_path / "a.tif", values, bits, photometric))
    white = np.iinfo(image.pixels.dtype).max
    share = values / (2**bits - 1)
    np.testing.assert_allclose(
        image.pixels / white, share if photometric else 1 - share, atol=0.5 / 2**bits
    )
    assert image.range == (0.0, float(white))


@pytest.mark.parametrize(("order", "photometric"), [(">", 1), (">", 0), ("<", 0)])
def test_twelve_bits_that_nothing_reads_are_a_sentence(
    tmp_path: Path, order: str, photometric: int
) -> None:
    path = packed(tmp_path / "a.tif", np.ones((5, 7), int), 12, photometric, order=order)
    with pytest.raises(ImageError, match=r"12 bits .* big-endian or has white as 0") as error:
        read_raster(path)
    assert error.value.reason == "unsupported"


def test_a_palette_of_sixteen_colours(tmp_path: Path) -> None:
    values = RANDOM.integers(0, 16, (5, 7))
    colours = RANDOM.integers(0, 256, (3, 16))
    path = packed(tmp_path / "a.tif", values, 4, 3, [int(part) * 257 for part in colours.ravel()])
    assert np.array_equal(one(path), colours.T[values])


@pytest.mark.parametrize("bits", [6, 10, 14, 18, 24])
def test_an_odd_number_of_bits_is_a_sentence(tmp_path: Path, bits: int) -> None:
    path = packed(tmp_path / "a.tif", np.ones((5, 7), int), bits, 1)
    with pytest.raises(
        ImageError, match=f"a TIFF of {bits} bits a sample; 1, 2, 4, 8, 12, 16, 32, 64 are read"
    ) as error:
        read_raster(path)
    assert error.value.reason == "unsupported"


def test_each_page_of_a_tiff_is_an_image(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in (GREY, DEEP[:5], COLOUR):
            file.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    images = read_raster(tmp_path / "a.tif")
    assert [image.source.frame for image in images if image.source] == [0, 1, 2]
    for image, page in zip(images, (GREY, DEEP[:5], COLOUR), strict=True):
        assert np.array_equal(image.pixels, page)
    second = Pillow.fromarray(GREY[::-1])
    Pillow.fromarray(GREY).save(
        tmp_path / "b.tif", save_all=True, append_images=[second], compression="tiff_lzw"
    )
    for image, page in zip(read_raster(tmp_path / "b.tif"), (GREY, GREY[::-1]), strict=True):
        assert np.array_equal(image.pixels, page)


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((10, 10), np.uint8))
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = [file.pages[0].tags[name] for name in ("ImageWidth", "ImageLength")]  # type: ignore[union-attr]
    for tag in tags:
        data[tag.valueoffset : tag.valueoffset + 4] = struct.pack("<I", 60000)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ImageError, match="cut it into tiles") as error:
        read_raster(tmp_path / "a.tif")
    assert error.value.reason == "unsupported"


def test_pages_without_rows_and_endless_chains_of_pages_are_refused(tmp_path: Path) -> None:
    """The last page's link (TIFF 6.0, section 2) leads back to the first: without a bound, there is
    no end."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((3, 8, 8), np.uint8), photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        first = file.pages[0].offset
        last = file.pages[-1].offset
    content = bytearray(path.read_bytes())
    n_tags = int.from_bytes(content[last : last + 2], "little")
    link = last + 2 + 12 * n_tags
    assert content[link : link + 4] == bytes(4)
    content[link : link + 4] = first.to_bytes(4, "little")
    path.write_bytes(content)
    started = time.monotonic()
    try:
        read_raster(path)  # tifffile may find the circle by itself
    except ImageError as error:
        assert error.reason in ("damaged", "unsupported")
    assert time.monotonic() - started < 10
    width = content.index(
        bytes([0, 1, 4, 0, 1, 0, 0, 0])
    )  # tag 256, LONG, one value: of the first page
    content[width + 8 : width + 12] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(ImageError) as error:
        read_raster(path)
    assert error.value.reason in ("damaged", "unsupported")


def test_a_file_of_more_pages_than_anybody_writes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentdrift.data.images.formats.tiff.MAX_PAGES", 2)
    tifffile.imwrite(tmp_path / "a.tif", np.ones((3, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(ImageError, match="a TIFF of more than 2 pages; split it first"):
        read_raster(tmp_path / "a.tif")

"""PNG, JPEG and TIFF: every mode gives the pixels that were written, with all their bits."""

from __future__ import annotations

import struct
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import places
import pytest
import tifffile
from PIL import Image as Pillow

from latentdrift.data.images.image import ImageError
from latentdrift.data.images.image_writers import write_png
from latentdrift.data.images.raster import read_raster
from latentdrift.errors import InputError

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


def packed(
    path: Path, values: np.ndarray, bits: int, photometric: int, colours: Sequence[int] = ()
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
    tags = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in longs.items()]
    if colours:
        tags.append(struct.pack("<HHII", 320, 3, len(colours), 8))
    table = struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4)
    colour_map = struct.pack(f"<{len(colours)}H", *colours)
    start = 8 + len(colour_map) + len(data)
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + colour_map + data + table)
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
    monkeypatch.setattr("latentdrift.data.images.tiff.MAX_PAGES", 2)
    tifffile.imwrite(tmp_path / "a.tif", np.ones((3, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(ImageError, match="a TIFF of more than 2 pages; split it first"):
        read_raster(tmp_path / "a.tif")

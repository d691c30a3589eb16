"""Strips and films of a grid: what a frame holds, and that it says what it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentdrift.edit.io.attribute_sweep import (
    COLUMNS,
    MARGIN,
    SIDE,
    even_columns,
    frame,
    strip,
    write_gif,
    write_mp4,
)

GREY = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


@pytest.mark.parametrize("picture", [GREY, np.dstack([GREY, GREY // 2, GREY // 3])])
def test_labels_lie_outside_of_the_picture(picture: np.ndarray) -> None:
    made = frame(picture, "age 85", "synthetic")
    assert np.array_equal(made[MARGIN:-MARGIN], picture)
    assert made[:MARGIN].max() == 255 and made[-MARGIN:].max() == 255
    assert not np.array_equal(made[-MARGIN:], frame(picture, "age 85", "original")[-MARGIN:])
    assert frame(picture, "", "synthetic")[:MARGIN].max() == 0


@pytest.mark.parametrize("shape", [(64, 48), (33, 31), (1000, 300), (20, 700)])
def test_frames_are_even_and_of_one_scale(shape: tuple[int, int]) -> None:
    made = frame(
        np.full(shape, 200, np.uint8),
        "a title that is much too long for one line of a small picture",
        "synthetic",
    )
    height, width = made.shape
    assert height % 2 == width % 2 == 0 and width <= max(SIDE, SIDE // 2)
    middle = made[height // 2]
    assert abs((middle == 200).sum() - SIDE * shape[1] / max(shape)) <= 2


def tiles(n: int) -> list[np.ndarray]:
    return [np.full((4, 6), 10 * i + 10, np.uint8) for i in range(n)]


def test_one_attribute_is_a_row_and_two_are_a_table() -> None:
    before = tiles(2)
    made = tiles(5)[2:]
    row = strip(
        before,
        {(60.0,): made[0], (70.0,): made[1], (80.0,): made[2]},
        (("age", (60.0, 70.0, 80.0)),),
    )
    assert row.shape == (4, 30, 3) and [row[0, 6 * i, 0] for i in range(5)] == [10, 20, 30, 40, 50]
    table = strip(
        before,
        {(60.0, "a"): made[0], (70.0, "c"): made[2]},
        (("age", (60.0, 70.0)), ("group", ("a", "b", "c"))),
    )
    assert [[table[4 * r, 6 * c, 0] for c in range(3)] for r in range(3)] == [
        [10, 20, 0],
        [30, 0, 0],
        [0, 0, 50],
    ]


def test_no_frame_of_a_strip_stands_alone_in_a_row() -> None:
    for number in range(1, 200):
        columns = even_columns(number)
        assert columns <= COLUMNS and (number <= columns or number % columns != 1), number


def test_nine_frames_are_two_rows_of_nearly_one_length() -> None:
    tile = np.full((4, 6), 200, np.uint8)
    shown = strip([tile, tile], {(float(i),): tile for i in range(7)}, [("age", tuple(range(7)))])
    assert shown.shape == (8, 30, 3) and (shown[:4] == 200).all() and (shown[4:, :24] == 200).all()


def test_a_gif_holds_every_frame_and_says_that_it_is_synthetic(tmp_path: Path) -> None:
    frames = [frame(np.roll(GREY, i, 0), f"age {60 + i}", "synthetic") for i in range(3)]
    write_gif(tmp_path / "a.gif", frames)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 3
        for i, one in enumerate(frames):
            film.seek(i)
            assert (
                b"made by a generative model" in film.info["comment"]
                and film.info["duration"] == 500
            )
            np.testing.assert_array_equal(np.asarray(film.convert("L")), one)
    write_gif(tmp_path / "b.gif", frames)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_an_mp4_holds_every_frame_and_says_that_it_is_synthetic(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    flat = [
        frame(np.full((64, 48), level, np.uint8), "age", "synthetic") for level in (40, 120, 200)
    ]
    write_mp4(tmp_path / "a.mp4", flat)
    reader = ffmpeg.read_frames(tmp_path / "a.mp4")
    size = next(reader)["size"]
    shown = [np.frombuffer(one, np.uint8).reshape(size[1], size[0], 3) for one in reader]
    assert size == flat[0].shape[::-1] and len(shown) == 3
    for one, other in zip(shown, flat, strict=True):
        centre = tuple(n // 2 for n in other.shape)
        assert abs(int(one[centre][0]) - int(other[centre])) <= 4  # H.264 loses a little
    command = [
        ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        tmp_path / "a.mp4",
        "-f",
        "ffmetadata",
        "-",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.count("made by a generative model") == 2

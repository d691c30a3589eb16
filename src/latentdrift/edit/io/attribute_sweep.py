"""A grid's counterfactuals of one image: side by side, and in motion; every frame says in its
margin what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from itertools import groupby, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from latentdrift.data.images.image_writers import SYNTHETIC, write_png
from latentdrift.errors import OptionError
from latentdrift.sample.synthetic_cohort import contact_sheet
from latentdrift.storage import written

if TYPE_CHECKING:
    from latentdrift.edit.io.edit_requests import Request

Grid = Sequence[tuple[str, Sequence[Any]]]

SIDE = 256  # pixels of a picture's longer side in a frame; ours
MARGIN = 20  # rows above and below it
COLUMNS = 8  # of the strip at most, where one attribute varies
SECONDS = 0.5  # that a frame is shown


def frame(picture: np.ndarray, title: str, kind: str) -> np.ndarray:
    """A picture between two margins: what it is of above, and what kind of picture it is below.

    Args:
        picture: uint8 [H, W] or [H, W, 3].
        title: One line; what does not fit is cut.
        kind: "synthetic", or "original".

    Returns:
        uint8 [., .] or [., ., 3] with an even number of rows and columns, as films have.
    """
    scale = SIDE / max(picture.shape[:2])
    height, width = (2 * max(1, round(n * scale / 2)) for n in picture.shape[:2])
    resized = Pillow.fromarray(picture).resize((width, height), Pillow.Resampling.BICUBIC)
    whole = Pillow.new(resized.mode, (max(width, SIDE // 2), height + 2 * MARGIN))
    whole.paste(resized, ((whole.width - width) // 2, MARGIN))
    draw = ImageDraw.Draw(whole)
    font = ImageFont.load_default(12)
    white = 255 if resized.mode == "L" else (255, 255, 255)
    for text, top in ((title, 0), (kind, MARGIN + height)):
        while text and font.getlength(text) > whole.width - 4:
            text = f"{text.rstrip('…')[:-1]}…" if len(text) > 1 else ""
        draw.text((whole.width / 2, top + MARGIN / 2), text, fill=white, font=font, anchor="mm")
    return np.asarray(whole)


def write_gif(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Write frames as an endless GIF, whose comment says that they are synthetic.

    Args:
        path: File to write.
        frames: uint8 [H, W, 3] of one size, at least one.
    """
    first, *rest = (Pillow.fromarray(one) for one in frames)
    animation = {
        "duration": round(1000 * SECONDS),
        "loop": 0,
        "comment": SYNTHETIC.encode(),
        "optimize": False,
    }
    first.save(path, format="GIF", save_all=True, append_images=rest, **animation)


def write_mp4(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Write frames as H.264, with the ffmpeg of imageio-ffmpeg.

    Args:
        path: File to write.
        frames: uint8 [H, W, 3] of one size, at least one.
    """
    from imageio_ffmpeg import write_frames

    height, width = frames[0].shape[:2]
    labels = [
        part for name in ("title", "comment") for part in ("-metadata", f"{name}={SYNTHETIC}")
    ]
    film = write_frames(
        path,
        (width, height),
        fps=1 / SECONDS,
        codec="libx264",
        macro_block_size=2,
        output_params=labels,
    )
    film.send(None)
    for one in frames:
        film.send(np.ascontiguousarray(one if one.ndim == 3 else np.repeat(one[..., None], 3, -1)))
    film.close()


ANIMATIONS: dict[str, Callable[..., None]] = {"gif": write_gif, "mp4": write_mp4}
"""Writers of `animate`, from `path` and `frames`."""


def check_animation(name: str, grid: Sequence[str]) -> None:
    """Check the options of an animation before anything is sampled.

    Args:
        name: Option `animate`.
        grid: Option `grid`.

    Raises:
        OptionError: There is no grid, or the writer's package is not installed.
    """
    if name != "none" and not grid:
        raise OptionError(
            f"`animate={name}` shows the values of a grid in turn, and there is none; say "
            "`grid=age=60:90:5`"
        )
    if name == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise OptionError(
            "`animate=mp4` needs imageio-ffmpeg, which is not installed: pip install "
            "imageio-ffmpeg, or take gif"
        )


def write_series(out: Path, requests: Iterable[Request], grid: Grid, animate: str) -> None:
    """`out/<name>-strip.png`, and by choice `out/<name>.gif` or `.mp4`, of each image, from the
    pictures in its folders.

    Args:
        out: Folder with the folders of `write_counterfactual`.
        requests: Every step of an image after the other.
        grid: The attributes that vary, with their values.
        animate: A row of ANIMATIONS, or "none".
    """
    for name, edits_of_image in groupby(requests, key=lambda request: request.entry.name):
        steps = list(edits_of_image)
        frames = [
            frame(_picture(out / step.name / "counterfactual.png"), step.title, "synthetic")
            for step in steps
        ]
        before = [
            frame(_picture(out / steps[0].name / "original.png"), "", "original"),
            frame(
                _picture(out / steps[0].name / "reconstruction.png"), "reconstruction", "synthetic"
            ),
        ]
        at = {tuple(step.step.values()): tile for step, tile in zip(steps, frames, strict=True)}
        with written(out / f"{name}-strip.png") as aside:
            write_png(aside, strip(before, at, grid), synthetic=True)
        if animate != "none":
            with written(out / f"{name}.{animate}") as aside:
                ANIMATIONS[animate](aside, frames)


def strip(
    before: Sequence[np.ndarray], at: Mapping[tuple[Any, ...], np.ndarray], grid: Grid
) -> np.ndarray:
    """Arrange all frames in one picture, uint8 [., ., 3]: the originals, then the values in turn.

    Several attributes give a row for each combination of all but the last one. A gap marks a change
    that does not apply to the image.

    Args:
        before: Frames of the original.
        at: Values of the grid -> frame.
        grid: Attributes and their values.
    """
    if len(grid) == 1:
        return contact_sheet([*before, *at.values()], even_columns(len(before) + len(at)))
    gap = np.zeros_like(before[0])
    columns = len(grid[-1][1])
    tiles = [*before, *[gap] * (-len(before) % columns)]
    tiles += [at.get(values, gap) for values in product(*(values for _, values in grid))]
    return contact_sheet(tiles, columns)


def even_columns(number: int) -> int:
    """Columns of a strip: more than half of COLUMNS, with no single frame in the last row and few
    gaps.

    Args:
        number: Number of frames.
    """
    if number <= COLUMNS:
        return number
    return min(
        range(COLUMNS, COLUMNS // 2, -1),
        key=lambda columns: (number % columns == 1, -number % columns),
    )


def _picture(path: Path) -> np.ndarray:
    with Pillow.open(path) as file:
        return np.asarray(file)

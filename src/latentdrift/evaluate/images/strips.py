"""Pictures side by side on a page: at one height, with a gap between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentdrift.evaluate.images.recorded_edits import RecordedEdit

MIN_HEIGHT = 256  # pixels: smaller pictures of a strip are enlarged to this height
GAP = 4  # white pixels between two pictures
FULL = 0.5  # share of the intensity range at which the colours of a change map end at the latest


def pixels(picture: np.ndarray) -> np.ndarray:
    """Convert an image in [0, 1] to uint8 of the same shape; values outside are clipped."""
    result: np.ndarray = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return result


def side_by_side(pictures: Sequence[np.ndarray], axis: int = 1, min_side: int = 0) -> np.ndarray:
    """Pictures in one row (axis 1) at one height, or in one column (axis 0) at one width.

    Args:
        pictures: float [H, W, 3] in [0, 1] or uint8 [H, W, 3], of any size. Each keeps its shape.
        axis: The axis along which they are joined.
        min_side: Pixels of the common side; it is larger where one of the pictures is.

    Returns:
        uint8 [., ., 3], with GAP white pixels between two pictures.
    """
    common = 1 - axis
    side = max(min_side, *(picture.shape[common] for picture in pictures))
    parts = []
    for picture in pictures:
        as_pixels = picture if picture.dtype == np.uint8 else pixels(picture)
        resized = _resized(as_pixels, common, side)
        shape = list(resized.shape)
        shape[axis] = GAP
        parts += [np.full(shape, 255, np.uint8), resized]
    return np.concatenate(parts[1:], axis=axis)


def _resized(picture: np.ndarray, common: int, side: int) -> np.ndarray:
    """A picture whose axis `common` has so many pixels; the other follows."""
    from PIL import Image

    if picture.shape[common] == side:
        return picture
    scale = side / picture.shape[common]
    height, width = (max(1, round(n * scale)) for n in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def edit_strip(edit: RecordedEdit) -> tuple[np.ndarray, str]:
    """Original, reconstruction, counterfactual and change of an edit, uint8 [., ., 3]; and what
    they are, as a caption.

    Args:
        edit: The edit. The change is the counterfactual minus the state that it was added to.
    """
    pictures = edit.pictures
    before = edit.record.before
    change = np.asarray(edit.counterfactual, np.float64).mean(-1) - np.asarray(
        pictures[before], np.float64
    ).mean(-1)
    limit = min(FULL, max(float(np.abs(change).max()), 1e-3))
    caption = (
        "Original | synthetic reconstruction | synthetic counterfactual | change (counterfactual "
        f"minus {before}; red is brighter, blue is darker, full colour is {100 * limit:.2g} % of "
        "the intensity range)"
    )
    panels = [*pictures.values(), change_map(change, limit)]
    return side_by_side(panels, min_side=MIN_HEIGHT), caption


def change_map(change: np.ndarray, limit: float) -> np.ndarray:
    """A signed change [H, W] in colours, uint8 [H, W, 3]: white is none, red brighter, blue darker.

    Args:
        change: Share of the intensity range.
        limit: The change at which the colours end.
    """
    from matplotlib import colormaps

    pixels_of_change = np.clip((change / limit + 1) / 2, 0, 1)
    return pixels(colormaps["RdBu_r"](pixels_of_change)[..., :3])

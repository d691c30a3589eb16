"""Two pictures of the same thing -> how alike they are."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from latentdrift.errors import InputError

EDIT_PICTURES = ("original", "reconstruction", "counterfactual", "difference")


def ssim(a: np.ndarray, b: np.ndarray, data_range: float) -> float:
    """Structural similarity with the Gaussian window of 11 pixels, sigma 1.5 (Wang et al. 2004, sec. III.C)."""
    from skimage.metrics import structural_similarity

    if min(a.shape[:2]) < 11:
        raise InputError(f"SSIM looks through a window of 11 pixels; these pictures are {a.shape[0]} x {a.shape[1]}")
    return float(
        structural_similarity(
            a, b, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=-1
        )
    )


def psnr(a: np.ndarray, b: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB; infinite for two identical pictures."""
    from skimage.metrics import peak_signal_noise_ratio

    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(peak_signal_noise_ratio(a, b, data_range=data_range))


SIMILARITIES: dict[str, Callable[[np.ndarray, np.ndarray, float], float]] = {"ssim": ssim, "psnr": psnr}


def compare(reference: np.ndarray, other: np.ndarray, *, data_range: float = 1.0) -> dict[str, np.ndarray]:
    """Every row of SIMILARITIES for N pairs of pictures.

    Args:
        reference, other: [N, H, W] or [N, H, W, 3], pair i against pair i.
        data_range: largest minus smallest possible intensity, never guessed from the pictures; 1 for [0, 1], 2 for [-1, 1].

    Returns:
        name -> float64 [N].
    """
    reference, other = np.asarray(reference, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if reference.shape != other.shape:
        raise InputError(f"pairs of pictures must have one size; these are {list(reference.shape)} and {list(other.shape)}")
    if reference.ndim == 3:
        reference, other = reference[..., None], other[..., None]
    pairs = list(zip(reference, other, strict=True))
    return {name: np.array([row(a, b, data_range) for a, b in pairs]) for name, row in SIMILARITIES.items()}


def read_picture(path: Path) -> np.ndarray:
    """A PNG or JPEG as float32 [H, W, 3] in [0, 1]; one that cannot be read is an error, never a black picture."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            deep = file.mode.startswith("I")
            pixels = np.asarray(file if deep else file.convert("RGB"), dtype=np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"the picture {path} cannot be read ({error}); remove it or make it again") from error
    return np.repeat(pixels[..., None], 3, -1) / 65535.0 if deep else pixels / 255.0


def read_edits(folder: Path) -> list[dict]:
    """What `edit` wrote: for each sub-folder its name, its record, and its pictures as [H, W, 3] in [0, 1]."""
    found = sorted(path.parent for path in Path(folder).glob("*/counterfactual.png"))
    if not found and (Path(folder) / "counterfactual.png").is_file():
        found = [Path(folder)]
    if not found:
        raise InputError(
            f"{folder} holds no counterfactual.png, neither itself nor in its sub-folders; give a folder that `edit` made"
        )
    edits = []
    for place in found:
        absent = [name for name in EDIT_PICTURES if not (place / f"{name}.png").is_file()]
        if absent:
            raise InputError(
                f"{place} lacks {', '.join(f'{name}.png' for name in absent)}; was the edit interrupted? run it again"
            )
        record = place / "record.json"
        edits.append(
            {"name": place.name, "record": json.loads(record.read_text()) if record.is_file() else {}}
            | {name: read_picture(place / f"{name}.png") for name in EDIT_PICTURES}
        )
    return edits

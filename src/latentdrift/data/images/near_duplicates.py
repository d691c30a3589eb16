"""Near-duplicates: pairs of pictures that share fine structure, though the one is turned, shifted,
scaled, mirrored or brighter.

Thumbnails name the candidates: they correlate at 0.97 where strangers share an outline, and at 0.73
for a copy that is turned and shifted. What makes a picture one patient's is finer. Each place is
measured against its own surroundings (local contrast normalisation, Jarrett et al. 2009, section
3.1), and what all pictures have in common is taken off. Then one picture is turned, scaled,
mirrored, and laid over the other at every shift (cross-correlation by the Fourier transform). The
best correlation is the similarity.

Measured without mirroring: strangers reach 0.56 on OASIS-2, 0.81 on ChestX-ray14 and 0.58 on
phantom brains. 280 disguised brain images (turned by 5 or 10 degrees, shifted by 3 %, scaled by 5
%, noise, gamma, all together) have 0.92 and more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import groupby, product

import numpy as np
from PIL import Image

from latentdrift.data.images.thumbnails import SIDE, blocks

SAME = 0.85
"""Similarity from which two pictures are near-duplicates."""
LOOSE = 0.85
"""Correlation of thumbnails, one of them mirrored or not, from which a pair is looked at."""
MAX_PAIRS = 50_000
"""Pairs that are looked at; of more, those whose thumbnails correlate most. They take about two
minutes."""
PIXELS = 48
"""Pixels of a side at which pictures are laid over each other."""
FINE = 1.0
WIDE = 2.5
"""Pixels: structure between these scales is compared (Gaussian sd)."""
ANGLES = range(-12, 13, 3)
"""Degrees by which a picture is turned."""
SCALES = (0.88, 0.94, 1.0, 1.06)
"""Factors by which a picture is scaled."""
FARTHEST = 8
"""Pixels of PIXELS by which a picture is shifted at most."""
SAMPLE = 64
"""Pictures behind what all have in common."""
SHRINK = 10
"""Pictures' worth of doubt about the common part: a handful of pictures has none."""
TAPER = 0.25
"""Power of the Hann window that takes off the border."""

Pair = tuple[int, int, float]
"""Positions of two pictures, the first one lower, and how alike they are, at most 1."""
Read = Callable[[int], np.ndarray]
"""Position of a picture -> its pixels [H, W] or [H, W, 3]; their scale does not matter."""
MayPair = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Positions of pictures, twice [P] -> bool [P]: whether the pair is of interest."""


def near_duplicates(
    thumbnails: np.ndarray, read: Read, may_pair: MayPair | None = None
) -> list[Pair]:
    """Pairs of pictures whose fine structure is the same.

    Args:
        thumbnails: Thumbnails [N, SIDE * SIDE], one per picture.
        read: Gives the pixels of a picture; called for the pictures of candidates and for SAMPLE
            others.
        may_pair: Pairs of interest; default: all.
    """
    pairs = candidates(thumbnails, may_pair)
    return [pair for pair in similarities(len(thumbnails), pairs, read) if pair[2] >= SAME]


def candidates(
    thumbnails: np.ndarray, may_pair: MayPair | None = None, max_pairs: int = MAX_PAIRS
) -> list[tuple[int, int]]:
    """Pairs whose thumbnails correlate most, directly or mirrored, from LOOSE on.

    Args:
        thumbnails: [N, SIDE * SIDE], from `thumbnail`.
        may_pair: (i [P], j [P]) -> bool [P], the pairs to consider; None: all.
        max_pairs: Number of pairs at most.

    Returns:
        Sorted positions (i, j), i < j.
    """
    side = (len(thumbnails), SIDE, SIDE)
    mirrored = thumbnails.reshape(side)[:, :, ::-1].reshape(len(thumbnails), -1)
    pairs = np.empty((0, 3))
    for others in (thumbnails, mirrored):
        for first, second, alike in blocks(thumbnails, LOOSE, others):
            of_interest = np.ones(len(first), bool) if may_pair is None else may_pair(first, second)
            pairs = np.concatenate([pairs, np.stack([first, second, alike], 1)[of_interest]])
            if len(pairs) > 2 * max_pairs:
                pairs = pairs[
                    np.argpartition(-pairs[:, 2], 2 * max_pairs)[: 2 * max_pairs]
                ]  # a pair may be there twice
    best = pairs[np.argsort(-pairs[:, 2], kind="stable")]
    unique = dict.fromkeys((int(first), int(second)) for first, second, _ in best)
    return sorted(list(unique)[:max_pairs])


def similarities(number: int, pairs: Iterable[tuple[int, int]], read: Read) -> list[Pair]:
    """Measure the similarity of the fine structure of pairs.

    Args:
        number: Number of pictures.
        pairs: Sorted positions (i, j) of the pairs.
        read: Position -> picture.

    Returns:
        (i, j, similarity) of each pair.
    """
    paired = list(pairs)
    if not paired:
        return []
    common = _common(number, read)
    spectra = {
        position: np.stack([_spectrum(detail), _spectrum(detail[:, ::-1])]).conj()
        for position in sorted({second for _, second in paired})
        for detail in [_detail(read(position)) - common]
    }
    measured = []
    for first, group in groupby(paired, key=lambda pair: pair[0]):
        views = _views(_detail(read(first)) - common)
        measured += [(first, second, _similarity(views, spectra[second])) for _, second in group]
    return measured


def _common(number: int, read: Read) -> np.ndarray:
    """Mean of evenly spaced pictures [PIXELS, PIXELS], shrunk where they are few."""
    chosen = np.unique(np.linspace(0, number - 1, min(number, SAMPLE)).astype(int))
    total = sum(_detail(read(int(position))) for position in chosen)
    return np.asarray(total / (len(chosen) + SHRINK), dtype=np.float32)


def _detail(pixels: np.ndarray) -> np.ndarray:
    """Fine structure without brightness and contrast, float32 [PIXELS, PIXELS]; zeros for an even
    picture."""
    from scipy.ndimage import gaussian_filter

    grey = np.asarray(pixels, dtype=np.float32)
    grey = grey.mean(axis=-1) if grey.ndim == 3 else grey
    small = np.asarray(Image.fromarray(grey).resize((PIXELS, PIXELS), Image.Resampling.BOX))
    detail = gaussian_filter(small, FINE) - gaussian_filter(small, WIDE)
    contrast = np.sqrt(gaussian_filter(detail**2, WIDE))
    scale = contrast + contrast.mean()
    flat = 1e-6 * max(1.0, float(np.abs(small).max()))
    return np.where(scale > flat, detail / np.maximum(scale, flat), 0).astype(np.float32)


def _views(detail: np.ndarray) -> np.ndarray:
    """Spectra of a picture, turned by ANGLES and scaled by SCALES, [V, PIXELS, PIXELS // 2 + 1]."""
    picture = Image.fromarray(detail)
    turned = [
        picture.transform(
            picture.size, Image.Transform.AFFINE, _matrix(angle, scale), Image.Resampling.BICUBIC
        )
        for angle, scale in product(ANGLES, SCALES)
    ]
    return np.stack([_spectrum(np.asarray(view)) for view in turned])


def _matrix(angle: float, scale: float) -> tuple[float, ...]:
    """Affine matrix from places of the view to places of the picture, about the centre, as Pillow
    takes it."""
    along = math.cos(math.radians(angle)) / scale
    across = math.sin(math.radians(angle)) / scale
    centre = PIXELS / 2
    right = centre - along * centre - across * centre
    down = centre + across * centre - along * centre
    return along, across, right, -across, along, down


def _spectrum(detail: np.ndarray) -> np.ndarray:
    """Fourier transform of a picture of mean 0 and norm 1 whose border is faded."""
    from scipy import fft

    hann = np.hanning(PIXELS + 2)[1:-1] ** TAPER
    faded = detail * np.outer(hann, hann)
    centred = faded - faded.mean()
    unit = centred / max(float(np.linalg.norm(centred)), 1e-6)
    return np.asarray(fft.rfft2(unit.astype(np.float32)))


def _similarity(views: np.ndarray, spectra: np.ndarray) -> float:
    """Best correlation over views, mirrored or not, and over shifts."""
    from scipy import fft

    # An inverse transform of both axes, of which only rows and columns of near shifts are computed.
    near = np.r_[:FARTHEST, -FARTHEST:0]
    rows = fft.ifft(views[:, None] * spectra[None], axis=-2, norm="forward")[..., near, :]
    correlation = fft.irfft(rows, n=PIXELS, axis=-1, norm="forward")[..., near]
    return float(correlation.max() * np.float32(1 / PIXELS**2))

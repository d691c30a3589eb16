"""Against what a counterfactual should have been: a phantom's, which is known, or the patient's own
later visit.

Pictures are [N, H, W] or [N, H, W, 3] in [0, 1], picture i of one set against picture i of the
other; values are float64 [N].
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from latentdrift.errors import InputError
from latentdrift.evaluate.metrics.image_similarity import compare, ssim

# of the intensity range: what truly differs by more has changed; two sds of the phantom's noise,
# ours
CHANGED = 0.05


def against_truth(
    original: np.ndarray, edited: np.ndarray, true: np.ndarray
) -> dict[str, np.ndarray]:
    """Difference of an edit from the true counterfactual.

    Returns:
        inside: mean absolute difference of edited from true where the true change is.
        outside: mean absolute difference of edited from original everywhere else: what changed and
            should not have.
        effect: see `effect`.
        untouched: inside, had nothing been changed; an edit that helps is below it.
    """
    original = _grey(original)
    edited = _grey(edited)
    true = _grey(true)
    changed = np.abs(true - original) > CHANGED
    return {
        "inside": _mean(np.abs(edited - true), changed),
        "outside": _mean(np.abs(edited - original), ~changed),
        "effect": effect(original, edited, true),
        "untouched": _mean(np.abs(original - true), changed),
    }


def effect(original: np.ndarray, edited: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Share of the true change that was made: regression of the change on the true one through 0,
    over the pixels of an image.

    1 is the right size, 0 none of it, below 0 the wrong way. NaN where nothing truly changed.
    """
    original = _grey(original)
    edited = _grey(edited)
    true = _grey(true)
    change = (edited - original).reshape(len(original), -1)
    wanted = (true - original).reshape(len(original), -1)
    size = np.square(wanted).sum(1)
    result: np.ndarray = np.divide(
        (change * wanted).sum(1), size, out=np.full(len(size), np.nan), where=size > 0
    )
    return result


def against_visit(first: np.ndarray, edited: np.ndarray, last: np.ndarray) -> dict[str, np.ndarray]:
    """Similarity of an edit of the first visit to the real last visit.

    Two visits of a patient are so alike that SSIM hides a failure: an edit that does nothing scores
    high. So the differences from the first visit are compared, too.

    Returns:
        ssim, ms-ssim, psnr: of edited and last.
        difference_ssim: of edited - first and last - first, whose range is [-1, 1].
        effect: see `effect`; the true change holds noise and a slightly different position, so that
            1 is not to be had.
    """
    first = _grey(first)
    edited = _grey(edited)
    last = _grey(last)
    return {
        **compare(last, edited),
        "difference_ssim": ssim((edited - first)[..., None], (last - first)[..., None], 2.0),
        "effect": effect(first, edited, last),
    }


def baselines(
    first: np.ndarray, train_first: np.ndarray, train_last: np.ndarray
) -> Mapping[str, np.ndarray]:
    """Baselines of every editor: no change, and the mean change of the training patients added to
    each image."""
    first = _grey(first)
    mean = (_grey(train_last) - _grey(train_first)).mean(0)
    return {"no change": first, "mean change": (first + mean).clip(0, 1)}


def tissue_fraction(pictures: np.ndarray) -> np.ndarray:
    """Share of the head that is brain tissue and not fluid, in skull-stripped T1 slices: a
    normalised brain volume in a plane.

    The head is the convex hull of what Otsu's threshold (1979) parts from the background, so that
    fluid in the furrows counts as inside; within it, the darkest of three classes by Otsu's
    criterion is fluid (Liao et al. 2001). NaN where there is no head.
    """
    return np.array([_tissue(picture) for picture in _grey(pictures)])


def _tissue(picture: np.ndarray) -> float:
    from scipy import ndimage
    from skimage.filters import threshold_multiotsu, threshold_otsu
    from skimage.morphology import convex_hull_image

    if picture.max() - picture.min() < CHANGED:
        return float("nan")
    labels, _ = ndimage.label(picture > threshold_otsu(picture))
    head = convex_hull_image(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))
    values = picture[head]
    return (
        float((values > threshold_multiotsu(values, 3)[0]).mean())
        if len(np.unique(values)) > 2
        else 1.0
    )


def _grey(pictures: np.ndarray) -> np.ndarray:
    pictures = np.asarray(pictures, dtype=np.float64)
    if pictures.ndim not in (3, 4):
        raise InputError(
            f"pictures have the shape [N, H, W] or [N, H, W, 3]; these have {list(pictures.shape)}"
        )
    return pictures.mean(-1) if pictures.ndim == 4 else pictures


def _mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Over a picture's pixels; NaN where there are none."""
    count = where.sum((1, 2))
    result: np.ndarray = np.divide(
        (values * where).sum((1, 2)), count, out=np.full(len(count), np.nan), where=count > 0
    )
    return result

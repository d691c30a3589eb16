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
    """Compare edits with the true counterfactuals.

    Args:
        original: Originals [N, H, W] or [N, H, W, 3] in [0, 1].
        edited: Edits, in the shape of `original`.
        true: True counterfactuals, in the shape of `original`.

    Returns:
        [N] each. inside: mean absolute difference of edited from true, where the true change is.
        outside: mean absolute difference of edited from original everywhere else.
        effect: see `effect`.
        untouched: `inside` of the unchanged original; a useful edit is below it.
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
    """Share of the true change that an edit made, by regression through 0 over the pixels of an
    image.

    Args:
        original: Originals [N, H, W] or [N, H, W, 3] in [0, 1].
        edited: Edits, in the shape of `original`.
        true: True counterfactuals, in the shape of `original`.

    Returns:
        [N]: 1 for the right size, 0 for none, below 0 for the wrong direction. NaN where the true
        change is 0.
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
    """Compare edits of the first visit with the real last visit.

    Two visits of a patient are so similar that SSIM hides a failure: an edit that does nothing
    scores high. So the differences from the first visit are compared, too.

    Args:
        first: First visits [N, H, W] or [N, H, W, 3] in [0, 1].
        edited: Edits, in the shape of `first`.
        last: Last visits, in the shape of `first`.

    Returns:
        [N] each. ssim, ms-ssim, psnr: edited against last.
        difference_ssim: edited - first against last - first, in [-1, 1].
        effect: see `effect`; noise and position also change, so 1 cannot be reached.
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
    """Baselines of every editor: no change, and the mean change of training patients.

    Args:
        first: First visits [N, H, W] or [N, H, W, 3] in [0, 1].
        train_first: First visits of M training patients.
        train_last: Their last visits.

    Returns:
        Name -> images [N, H, W] in [0, 1].
    """
    first = _grey(first)
    mean = (_grey(train_last) - _grey(train_first)).mean(0)
    return {"no change": first, "mean change": (first + mean).clip(0, 1)}


def tissue_fraction(pictures: np.ndarray) -> np.ndarray:
    """Share of the head that is brain tissue and not fluid, in skull-stripped T1 slices.

    It is a normalised brain volume in a plane. The head is the convex hull of the pixels above
    Otsu's threshold (1979), so fluid in the sulci counts as inside. Fluid is the darkest of three
    classes in it, by Otsu's criterion (Liao et al. 2001).

    Args:
        pictures: [N, H, W] or [N, H, W, 3] in [0, 1].

    Returns:
        [N] in [0, 1]; NaN where there is no head.
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

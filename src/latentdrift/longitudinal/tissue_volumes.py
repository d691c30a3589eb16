"""Tissue volumes of skull-stripped T1 slices: fluid, grey and white matter, and the ventricles.

In a plane a volume is an area. All are shares of the head, so they do not depend on its size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentdrift.errors import InputError
from latentdrift.prompts import VolumeChange

CENTRE = 0.6
"""Extent of the box about the centre of the head in which fluid counts as ventricle, in each
direction, as a share of the head's extent. Chosen on 20 phantoms of 60 to 89 years: the mean error
is 0.0001 of the head, the largest 0.010 (0.5: -0.02, cut off; 0.7: +0.03, with sulci)."""
QUANTILES = (0.05, 0.45, 0.85)
"""Quantiles of the head's grey levels from which the three classes start."""
LEAST_PIXELS = 64
"""Pixels of a head, at least."""
EVERY = 2
"""Every pixel of so many is used to fit the mixture; all are classified."""


@dataclass(frozen=True)
class TissueVolumes:
    """Shares of the head's area, 0 to 1; NaN where there is no head."""

    fluid: float
    """Cerebrospinal fluid, in the ventricles and the sulci."""
    ventricles: float
    """Fluid within the box about the centre."""
    grey: float
    white: float


VOLUMES: dict[str, Callable[[TissueVolumes], float]] = {
    "fluid": lambda volumes: volumes.fluid,
    "ventricles": lambda volumes: volumes.ventricles,
    "grey": lambda volumes: volumes.grey,
    "white": lambda volumes: volumes.white,
}
"""Name of a volume -> the volume."""


def change_in_percent(before: TissueVolumes, after: TissueVolumes) -> VolumeChange | None:
    """Change of the volumes in percent of the head's area; None where there is no head."""
    ventricles = 100 * (after.ventricles - before.ventricles)
    fluid = 100 * (after.fluid - before.fluid)
    return VolumeChange(ventricles, fluid) if np.isfinite([ventricles, fluid]).all() else None


def shows_brains(describe: str) -> bool:
    """Whether images are slices of brains.

    Args:
        describe: Noun of the images, as "brain MRI".
    """
    return "brain" in describe.lower()


def tissue_volumes(picture: np.ndarray, head: np.ndarray | None = None) -> TissueVolumes:
    """Measure the tissues of a slice by a mixture of three normal distributions.

    A pixel counts for each class by its probability (partial volumes).

    Args:
        picture: Grey image [H, W] of a skull-stripped T1 slice.
        head: Mask of the head [H, W]; None: that of `head_mask`. Registered visits share that of
            the first one.
    """
    from sklearn.mixture import GaussianMixture

    head = head_mask(picture) if head is None else head
    values = picture[head].astype(np.float64)[:, None]
    if len(values) < LEAST_PIXELS or len(np.unique(values)) <= len(QUANTILES):
        return TissueVolumes(*[float("nan")] * 4)
    mixture = GaussianMixture(
        len(QUANTILES),
        means_init=np.quantile(values, QUANTILES)[:, None],
        reg_covar=1e-6 * float(values.var()),
        random_state=0,
    ).fit(values[::EVERY])
    shares = mixture.predict_proba(values)[:, mixture.means_[:, 0].argsort()]
    fluid, grey, white = shares.mean(0)
    return TissueVolumes(
        float(fluid), float(shares[_central(head)[head], 0].sum() / len(values)), grey, white
    )


def head_mask(picture: np.ndarray) -> np.ndarray:
    """Mask of the head: the convex hull of the largest part above Otsu's threshold (1979).

    Fluid in the sulci counts as inside.

    Args:
        picture: Grey image [H, W].

    Returns:
        bool [H, W]; empty for a constant image.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu
    from skimage.morphology import convex_hull_image

    if picture.ndim != 2:
        raise InputError(f"a slice has the shape [H, W]; this one has {list(picture.shape)}")
    if np.ptp(picture) == 0:
        return np.zeros(picture.shape, dtype=bool)
    labels, _ = ndimage.label(picture > threshold_otsu(picture))
    largest = 1 + np.argmax(np.bincount(labels.ravel())[1:])
    result: np.ndarray = convex_hull_image(labels == largest)
    return result


def _central(head: np.ndarray) -> np.ndarray:
    """Box about the centre of a mask, bool [H, W]."""
    box = np.zeros(head.shape, dtype=bool)
    box[tuple(_middle(np.flatnonzero(head.any(axis))) for axis in (1, 0))] = True
    return box


def _middle(places: np.ndarray) -> slice:
    """Middle part of an extent."""
    first, extent = int(places[0]), int(places[-1] - places[0] + 1)
    margin = round((1 - CENTRE) / 2 * extent)
    return slice(first + margin, first + extent - margin)

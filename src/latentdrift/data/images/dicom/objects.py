"""DICOM objects with pixels that are no scans: told by SOP class and Image Type, never by a free
text."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from pathlib import Path

from pydicom import Dataset

from latentdrift.data.images.dicom import header
from latentdrift.data.images.image import ImageError

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation and Label Map Segmentation Storage (PS3.4 B.5)."""

SECONDARY_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
"""Secondary Capture Image Storage; its multi-frame classes begin alike (PS3.4 B.5)."""

SCANNERS = ("CT", "MR", "PT", "NM")
"""Modalities whose own scans are never secondary captures. Radiographs often are: of film, or by a
converter."""

SCREEN_WORDS = ("SCREEN", "SCREENSAVE", "SCREENSHOT", "DOSE", "PROT")
"""Words in the Image Type of what scanners save of their screen: `SCREEN SAVE`, `DOSE_INFO`,
`CT_SOM5 PROT`."""

LOCALIZER_WORDS = ("LOCALIZER", "SCOUT", "TOPOGRAM", "SURVEY")
"""Words in the Image Type of a scout (PS3.3 C.8.2.1.1.1, C.8.3.1.1.1: LOCALIZER); the others are
vendors'."""


def _words(dataset: Dataset) -> set[str]:
    """Words of the Image Type (PS3.3 C.7.6.1.1.2) from the third value on, which say what the
    picture is."""
    values = header.find(dataset, "ImageType") or ()
    further = [str(value).upper() for value in values[2:]] if not isinstance(values, str) else []
    return {word for value in further for word in re.split(r"[^A-Z0-9]+", value)}


def _is_segmentation(dataset: Dataset) -> bool:
    return (
        header.text(dataset, "SOPClassUID") in SEGMENTATIONS
        or header.text(dataset, "Modality") == "SEG"
    )


def _is_screen_save(dataset: Dataset) -> bool:
    if (
        header.text(dataset, "SyntheticData") or ""
    ).upper() == "YES":  # our own pictures are secondary captures, too
        return False
    capture = (header.text(dataset, "SOPClassUID") or "").startswith(SECONDARY_CAPTURES)
    return (capture and header.text(dataset, "Modality") in SCANNERS) or bool(
        _words(dataset) & set(SCREEN_WORDS)
    )


def _is_localizer(dataset: Dataset) -> bool:
    return bool(_words(dataset) & set(LOCALIZER_WORDS))


OBJECTS: dict[str, tuple[Callable[[Dataset], bool], str]] = {
    "segmentation": (_is_segmentation, "labels that were drawn on scans"),
    "screen-save": (_is_screen_save, "a saved screen, such as a dose report"),
    "localizer": (_is_localizer, "a localizer (scout), by which an examination was planned"),
}
"""Kind, which is also the reason why it is refused -> how it is told, and what it is."""


def check_object(path: Path, dataset: Dataset, leave_out: Container[str]) -> None:
    """Refuse a DICOM object of an excluded kind.

    Args:
        path: Its file, for messages.
        dataset: Its header.
        leave_out: Excluded kinds, rows of OBJECTS.

    Raises:
        ImageError: It is of such a kind; the reason is the kind.
    """
    for kind, (is_one, what) in OBJECTS.items():
        if kind in leave_out and is_one(dataset):
            raise ImageError(kind, path, f"{what}, and no scan; `include={kind}` takes it")

"""Allow-list of a DICOM header: some attributes, the geometry, the raw identity, and nothing else.

De-identification works by allow-list: an attribute leaves the header only if it is named here or
asked for by name. Ages over 89 are identifiers under HIPAA's safe harbour (45 CFR
164.514(b)(2)(i)(C)), which groups them as "90 or older"; they are passed on as they are, because
ageing is what many studies are about. Group them before publishing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from datetime import date
from difflib import get_close_matches
from functools import cache
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_keyword, keyword_dict, tag_for_keyword
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from latentdrift.attributes.ages import OLDEST, AgeError, parse_age
from latentdrift.data.images.dicom.terms import BODY_PARTS, MODALITIES, VIEWS
from latentdrift.errors import OptionError

CODE_STRINGS = {
    "view": ("ViewPosition", VIEWS),
    "modality": ("Modality", MODALITIES),
    "body_part": ("BodyPartExamined", BODY_PARTS),
}
"""Our attribute -> DICOM keyword, and the terms that pass: free text may name someone."""

NUMBERS = {
    "WindowCenter": 1,
    "WindowWidth": 1,
    "PixelSpacing": 2,
    "ImagerPixelSpacing": 2,
    "NominalScannedPixelSpacing": 2,
    "SliceThickness": 1,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelPaddingValue": 1,
    "PixelPaddingRangeLimit": 1,
}
"""Keyword -> how many numbers it holds. A value that cannot be read is left out, with a note."""

_TAG = re.compile(r"\(?\s*([0-9A-Fa-f]{4})\s*,?\s*([0-9A-Fa-f]{4})\s*\)?")
_DATES = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")
_SPACINGS = (
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
)  # PS3.3 10.7.1.3: patient, detector, film

BAD_VALUE = (
    BytesLengthException,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    OverflowError,
    NotImplementedError,
)
"""Errors of pydicom on a malformed value."""

logging.getLogger("pydicom").setLevel(
    logging.CRITICAL
)  # what it logs quotes odd values, which may be a patient's


def find(dataset: Dataset, keyword: str, frame: int = 0) -> Any:
    """Value of an attribute: of the frame's functional groups (PS3.3 C.7.6.16), else of the top
    level.

    Args:
        dataset: Header.
        keyword: DICOM keyword of the attribute.
        frame: Index of the frame, from 0.

    Returns:
        The value as pydicom gives it; None if absent.
    """
    for item in _groups(dataset, frame):
        value = _value(item, keyword)
        if value is not None:
            return value
    return _value(dataset, keyword)


def _groups(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    for name, index in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        sequence = _value(dataset, name) or ()
        if index < len(sequence):
            for element in sequence[index]:
                if element.VR == "SQ" and element.value:
                    yield element.value[0]


@cache
def _tag(keyword: str) -> BaseTag:
    """Tag of a keyword; pydicom builds it anew at each look-up by keyword."""
    return Tag(tag_for_keyword(keyword) or 0)


def _value(dataset: Dataset, keyword: str) -> Any:
    tag = _tag(keyword)
    try:
        value = dataset[tag].value if tag in dataset else None
    except BAD_VALUE:
        return None
    return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value


def _float(value: Any) -> float:
    """A number; one written with a comma, too (`0,75`): DICOM knows no other meaning of it (PS3.5
    table 6.2-1, DS)."""
    decimal_comma = isinstance(value, str) and "," in value and "." not in value
    return float(value.replace(",", ".") if decimal_comma else value)


def is_there(dataset: Dataset, keyword: str, frame: int = 0) -> bool:
    """Whether an attribute has a value for a frame, readable or not.

    Args:
        dataset: Header.
        keyword: DICOM keyword of the attribute.
        frame: Index of the frame, from 0.
    """
    tag = _tag(keyword)
    elements = [item.get_item(tag) for item in (*_groups(dataset, frame), dataset) if tag in item]
    values = [element.value for element in elements if element is not None]
    return any(
        str(value, "latin-1").strip(" \0") if isinstance(value, bytes) else value not in (None, "")
        for value in values
    )


def is_unreadable(dataset: Dataset, keyword: str, count: int = 1, frame: int = 0) -> bool:
    """Whether an attribute has a value that is not `count` finite numbers.

    Args:
        dataset: Header.
        keyword: DICOM keyword of the attribute.
        count: Numbers that the attribute should have.
        frame: Index of the frame, from 0.
    """
    return is_there(dataset, keyword, frame) and numbers(dataset, keyword, count, frame) is None


def remarks(dataset: Dataset, frame: int = 0) -> tuple[str, ...]:
    """Notes on header values that are unreadable or not allowed, and so left out.

    Values are never quoted, because they may identify a patient.

    Args:
        dataset: Header.
        frame: Index of the frame, from 0.
    """
    notes = [
        f"its {keyword} cannot be read and is left out"
        for keyword, count in NUMBERS.items()
        if is_unreadable(dataset, keyword, count, frame)
    ]
    for keyword in _SPACINGS:
        mm = numbers(dataset, keyword, 2, frame)
        if mm is not None and not (mm > 0).all():
            notes.append(f"its {keyword} is not above 0 mm and is left out")
    for keyword, terms in CODE_STRINGS.values():
        code = (text(dataset, keyword) or "").upper()
        if code and code not in terms:
            notes.append(f"its {keyword} is no defined term and is left out")
    try:
        _stated_age(dataset)
    except AgeError as error:
        notes.append(f"its PatientAge is left out ({error.reason})")
    return tuple(notes)


def numbers(dataset: Dataset, keyword: str, count: int, frame: int = 0) -> np.ndarray | None:
    """Numbers of an attribute.

    Args:
        dataset: Header.
        keyword: DICOM keyword of the attribute.
        count: Numbers to read; further ones are ignored.
        frame: Index of the frame, from 0.

    Returns:
        Finite float64 [count]; None where there are fewer, or one is malformed.
    """
    value = find(dataset, keyword, frame)
    values: list[Any] = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    try:
        array = np.array([_float(v) for v in values[:count]])
    except BAD_VALUE:
        return None
    return array if len(array) == count and np.isfinite(array).all() else None


def number(dataset: Dataset, keyword: str, frame: int = 0) -> float | None:
    """First number of an attribute; None where it is absent or malformed.

    Args:
        dataset: Header.
        keyword: DICOM keyword of the attribute.
        frame: Index of the frame, from 0.
    """
    values = numbers(dataset, keyword, 1, frame)
    return None if values is None else float(values[0])


def text(dataset: Dataset, keyword: str) -> str | None:
    """First value of an attribute as stripped text; None where it is absent or empty."""
    value = find(dataset, keyword)
    if isinstance(value, MultiValue | list | tuple):
        value = value[0]
    stripped = "" if value is None else str(value).strip(" \0\t\r\n")
    return stripped or None


def attributes(dataset: Dataset, keep: Iterable[str] = ()) -> dict[str, str | float]:
    """Allowed attributes of a header: age in years, sex, view, modality, body part, and named
    fields.

    Args:
        dataset: Header.
        keep: Further fields, as in `field_tag`; each enters under its name here.

    Returns:
        Name -> value; sex is "M" or "F". Absent and unreadable attributes have no entry.

    Raises:
        OptionError: A name of `keep` is no DICOM field.
    """
    result: dict[str, str | float] = {}
    years = age(dataset)
    if years is not None:
        result["age"] = years
    sex = (text(dataset, "PatientSex") or "").upper()
    if sex in ("M", "F"):
        result["sex"] = sex
    for name, (keyword, terms) in CODE_STRINGS.items():
        code = (text(dataset, keyword) or "").upper()
        if code in terms:
            result[name] = code
    for name in keep:
        tag = field_tag(name)
        value = _allowed_value(dataset, tag)
        if value is not None:
            result[dictionary_keyword(tag) if dictionary_has_tag(tag) else str(tag)] = value
    return result


def age(dataset: Dataset) -> float | None:
    """Age in years: PatientAge (`065Y`, `018M`, ...), else the time between birth and study.

    That time counts in completed years, and under two years in months. The rule is that of
    `ages.py`. None where the header gives no valid age.
    """
    try:
        stated = _stated_age(dataset)
    except AgeError:
        stated = None
    if stated is not None:
        return stated
    born = _day(text(dataset, "PatientBirthDate"))
    seen = _day(study_date(dataset))
    if born is None or seen is None or seen < born:
        return None
    months = (seen.year - born.year) * 12 + seen.month - born.month - (seen.day < born.day)
    years = float(months // 12) if months >= 24 else round(months / 12, 3)
    return years if years <= OLDEST else None


def _stated_age(dataset: Dataset) -> float | None:
    """Years of PatientAge; None where it is empty.

    Raises:
        AgeError: No age.
    """
    stated = text(dataset, "PatientAge")
    return None if stated is None else parse_age(stated, unit=None)


def study_date(dataset: Dataset) -> str | None:
    """Date of the study, else of the acquisition, series or content, as YYYYMMDD; None if
    unknown."""
    for keyword in _DATES:
        day = (
            (text(dataset, keyword) or "").replace(".", "").replace("-", "")[:8]
        )  # PS3.5 DA: YYYY.MM.DD in old objects
        if _day(day):
            return day
    return None


def _day(value: str | None) -> date | None:
    try:
        return (
            date(int(value[:4]), int(value[4:6]), int(value[6:8]))
            if value and len(value) >= 8
            else None
        )
    except ValueError:
        return None


def field_tag(name: str) -> BaseTag:
    """Tag of a DICOM field.

    Args:
        name: Keyword (`StudyDescription`) or tag (`0008,1030`, `(0008,1030)`, `00081030`).

    Raises:
        OptionError: Neither a keyword of the DICOM dictionary nor a tag.
    """
    match = _TAG.fullmatch(name.strip())
    if match:
        return Tag(int(match[1], 16), int(match[2], 16))
    tag = tag_for_keyword(name.strip())
    if tag is None:
        near = get_close_matches(name, [keyword for keyword in keyword_dict if keyword], n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise OptionError(
            f"'{name}' is no DICOM field: write its keyword (as StudyDescription) or its tag (as "
            f"0008,1030){hint}"
        )
    return Tag(tag)


def _allowed_value(dataset: Dataset, tag: BaseTag) -> str | float | None:
    try:
        element = dataset.get(tag)
        if (
            element is None
            or element.VR in ("SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN")
            or element.is_empty
        ):
            return None
        if element.VM == 1 and element.VR in (
            "DS",
            "IS",
            "FL",
            "FD",
            "US",
            "SS",
            "UL",
            "SL",
            "UV",
            "SV",
        ):
            return _float(element.value)
        values = element.value if element.VM > 1 else [element.value]
        return "\\".join(str(value).strip() for value in values)
    except BAD_VALUE:
        return None


def spacing(dataset: Dataset, frame: int = 0) -> tuple[float, float] | None:
    """Distances in mm between rows and between columns (PS3.3 10.7.1.3).

    Args:
        dataset: Header.
        frame: Index of the frame, from 0.

    Returns:
        (rows, columns), in the patient where known, else at the detector; None if unknown.
    """
    for keyword in _SPACINGS:
        values = numbers(dataset, keyword, 2, frame)
        if values is not None and (values > 0).all():
            return float(values[0]), float(values[1])
    return None


def affine(dataset: Dataset, frame: int = 0) -> np.ndarray | None:
    """Affine [4, 4] from (row, column, slice) to RAS mm (PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1).

    The third column is the slice's normal times the slice thickness.

    Args:
        dataset: Header.
        frame: Index of the frame, from 0.

    Returns:
        The affine; None where the geometry is unknown or invalid.
    """
    position = numbers(dataset, "ImagePositionPatient", 3, frame)
    orientation = numbers(dataset, "ImageOrientationPatient", 6, frame)
    step = numbers(dataset, "PixelSpacing", 2, frame)
    if position is None or orientation is None or step is None or not (step > 0).all():
        return None
    along_row = orientation[:3]
    along_column = orientation[3:]  # unit vectors: columns count along a row, rows along a column
    normal = np.cross(along_row, along_column)
    if not np.isclose(np.linalg.norm(normal), 1.0, atol=0.05):
        return None
    offsets = (
        numbers(dataset, "GridFrameOffsetVector", frame + 1) if frame else None
    )  # PS3.3 C.8.8.3.2, dose grids
    if frame and offsets is None and "PerFrameFunctionalGroupsSequence" not in dataset:
        return None  # one position for many frames says where the first lies, and not the others
    if offsets is not None and offsets[0] == 0:
        position = position + normal * offsets[frame]
    thickness = number(dataset, "SliceThickness", frame) or 1.0
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2], lps[:3, 3] = (
        along_column * step[0],
        along_row * step[1],
        normal * thickness,
        position,
    )
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps  # DICOM's L and P axes are RAS reversed

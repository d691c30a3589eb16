"""Pixels -> a DICOM object that says what it is: derived, synthetic, of nobody.

The object is a Secondary Capture Image (PS3.3 A.8.1), which no viewer takes for an acquisition:
Conversion Type SYN ("Synthetic Image", C.8.6.1), Synthetic Data YES (C.12.1.1), Image Type
DERIVED\\SECONDARY (C.7.6.1.1.2). All its UIDs are new. Those of its study, series and frame of
reference, and of the source in the Source Image Sequence (C.7.6.1.1.4), are the source's under a
secret (`uids.py`): pictures of one source stay together and lie over each other, and lead nobody
else to the patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from latentdrift.data.images.dicom import header
from latentdrift.data.images.dicom.decode import load
from latentdrift.data.images.dicom.uids import Uids
from latentdrift.data.images.intensity import Range, as_dtype, data_range
from latentdrift.data.images.quiet import quiet
from latentdrift.errors import InputError

SESSION = Uids()
"""UIDs of images that are written without a private folder; they are consistent as long as the
process lives."""

LEVELS = 65535
"""Steps of a 16-bit pixel."""

TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientOrientation",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "SeriesNumber",
    "InstanceNumber",
)
"""Attributes that must be there and may be empty (PS3.5 7.4.3): here they are."""

GEOMETRY = ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness")
NEVER_WITH_TEXT = ("CT", "MR", "PT")
"""Modalities whose scanners write no text into the pixels: a source that is silent on it counts as
free of it."""


def write_dicom(
    path: Path | str,
    source: Path | str | None,
    pixels: np.ndarray,
    *,
    description: str,
    range: Range | None = None,
    unit: str | None = None,
    frame: int = 0,
    spacing: tuple[float, float] | None = None,
    attributes: Mapping[str, str | float] | None = None,
    uids: Uids = SESSION,
) -> None:
    """Write synthetic pixels as a derived DICOM object.

    Grey pixels are stored in 16 bits with a rescale to their own unit: exactly where they are whole
    numbers, else in 65,535 steps between their smallest and largest value. `read_dicom` then
    returns them within half a step.

    Args:
        path: File to write.
        source: The DICOM file that the pixels were made from; None where there is none.
        pixels: [H, W] in the unit of `Image.pixels`, or uint8 [H, W, 3].
        description: Derivation Description in words.
        range: The display window; default: all of the pixels' values.
        unit: Unit of the pixels; default: HU for CT, else none.
        frame: The source's frame, where it has several.
        spacing: Distance in mm from row to row and column to column, where there is no source.
        attributes: Age, sex, view, modality, body_part of what the picture shows; default: the
            source's.
        uids: Map of the source's UIDs; default: under a secret that is forgotten when the
            process ends.

    Raises:
        InputError: Pixels of another shape or type, values that are not finite, or a description of
            more than 1024 characters.
    """
    _check(pixels, description)
    with quiet():
        origin = None if source is None else load(Path(source))
        dataset = _object(origin, uids)
        _describe(dataset, origin, _object_attributes(origin, attributes), description)
        _reference(dataset, origin, frame, uids)
        _place(dataset, origin, frame, spacing, uids)
        if pixels.ndim == 3:
            _colour_pixels(dataset, pixels)
        else:
            _grey_pixels(
                dataset, pixels, range, unit or ("HU" if dataset.Modality == "CT" else "intensity")
            )
        dataset.save_as(path, enforce_file_format=True)


def _check(pixels: np.ndarray, description: str) -> None:
    grey = pixels.ndim == 2
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3 and pixels.dtype == np.uint8
    if not (grey or colour) or not pixels.size:
        actual = f"pixels of shape {pixels.shape} and type {pixels.dtype}"
        raise InputError(f"{actual} do not fit into DICOM; write [H, W], or uint8 [H, W, 3]")
    if max(pixels.shape) > LEVELS or not np.isfinite(pixels).all():
        raise InputError(
            "DICOM holds at most 65535 rows and columns, of finite values only; crop the picture "
            "or fill its gaps"
        )
    if not 0 < len(description) <= 1024:  # PS3.5 table 6.2-1, ST
        raise InputError(
            f"the description has {len(description)} characters; DICOM allows 1 to 1024: use fewer "
            "words"
        )


def _object(origin: Dataset | None, uids: Uids) -> FileDataset:
    """An empty object whose identifiers lead to no patient."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)  # type: ignore[arg-type]
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    # The same for every picture made from one study under one secret, so that they stay together
    dataset.StudyInstanceUID = _related(origin, "StudyInstanceUID", uids)
    dataset.SeriesInstanceUID = _related(origin, "SeriesInstanceUID", uids)
    for keyword in TYPE_2:
        setattr(dataset, keyword, "")
    return dataset


def _related(origin: Dataset | None, keyword: str, uids: Uids) -> str:
    known = None if origin is None else header.text(origin, keyword)
    return uids.map(keyword, known) if known else generate_uid()


def _object_attributes(
    origin: Dataset | None, given: Mapping[str, str | float] | None
) -> dict[str, str | float]:
    """Attributes of the written object: the given ones, else those of the source. The modality is
    always the source's."""
    known = {} if origin is None else header.attributes(origin)
    return (
        known
        if given is None
        else {name: known[name] for name in known if name == "modality"} | dict(given)
    )


def _describe(
    dataset: Dataset,
    origin: Dataset | None,
    attributes: Mapping[str, str | float],
    description: str,
) -> None:
    now = datetime.now()
    dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = now.strftime("%H%M%S")
    dataset.Modality = attributes.get("modality", "OT")
    dataset.Manufacturer = dataset.SecondaryCaptureDeviceManufacturer = "latentdrift"
    dataset.ConversionType = "SYN"  # PS3.3 C.8.6.1
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.SyntheticData = "YES"
    dataset.SeriesDescription = "Synthetic image (latentdrift)"
    dataset.DerivationDescription = description
    dataset.ImageComments = (
        "SYNTHETIC: made by a generative model, not acquired from a patient. Research use only."
    )
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = (
        "latentdrift: new object; only allow-listed attributes are copied"
    )
    dataset.LongitudinalTemporalInformationModified = "REMOVED"  # PS3.3 C.12.1.1.7
    burned = None if origin is None else header.text(origin, "BurnedInAnnotation")
    if burned in ("YES", "NO") or origin is None or dataset.Modality in NEVER_WITH_TEXT:
        dataset.BurnedInAnnotation = burned or "NO"
    side = (
        None
        if origin is None
        else header.text(origin, "ImageLaterality") or header.text(origin, "Laterality")
    )
    if (
        side in ("R", "L") or "body_part" not in attributes
    ):  # type 2C: for one of a pair, as far as is known (PS3.3 C.7.3.1)
        dataset.Laterality = side if side in ("R", "L") else ""
    if (
        origin is not None and header.text(origin, "LossyImageCompression") == "01"
    ):  # once lossy, always said (PS3.3 C.7.6.1.1.5)
        dataset.LossyImageCompression = "01"
    if "sex" in attributes:
        dataset.PatientSex = attributes["sex"]
    if "age" in attributes:
        dataset.PatientAge = age_string(float(attributes["age"]))
    if "body_part" in attributes:
        dataset.BodyPartExamined = attributes["body_part"]
    if "view" in attributes:
        dataset.ViewPosition = attributes["view"]


def age_string(years: float) -> str:
    """Years as a DICOM Age String (PS3.5 table 6.2-1, AS).

    Ages below two years count in months, others in completed years up to 999.
    """
    return f"{round(years * 12):03d}M" if years < 2 else f"{min(int(years), 999):03d}Y"


def _reference(dataset: Dataset, origin: Dataset | None, frame: int, uids: Uids) -> None:
    """Name the source under the secret, where it has a name."""
    kind = UID("" if origin is None else header.text(origin, "SOPClassUID") or "")
    if origin is None or not kind.is_valid or not header.text(origin, "SOPInstanceUID"):
        return
    item = Dataset()
    item.ReferencedSOPClassUID = kind
    item.ReferencedSOPInstanceUID = _related(origin, "SOPInstanceUID", uids)
    if (header.number(origin, "NumberOfFrames") or 1) > 1:
        item.ReferencedFrameNumber = frame + 1
    purpose = Dataset()  # PS3.16 CID 7202
    purpose.CodeValue = "121322"
    purpose.CodingSchemeDesignator = "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item.PurposeOfReferenceCodeSequence = Sequence([purpose])
    dataset.SourceImageSequence = Sequence([item])


def _place(
    dataset: Dataset,
    origin: Dataset | None,
    frame: int,
    spacing: tuple[float, float] | None,
    uids: Uids,
) -> None:
    """The source's geometry (PS3.3 C.7.6.2), and its frame of reference under the secret, so that
    viewers overlay."""
    if origin is None:
        if spacing is not None:
            dataset.PixelSpacing = [_ds(value) for value in spacing]
        return
    known = header.spacing(origin, frame)
    if header.affine(origin, frame) is not None:
        for keyword, count in zip(GEOMETRY, (2, 3, 6, 1), strict=True):
            values = header.numbers(origin, keyword, count, frame)
            if values is not None:
                setattr(dataset, keyword, [_ds(value) for value in values])
        if "SliceThickness" not in dataset:
            dataset.SliceThickness = (
                ""  # type 2 of a plane that lies in the patient (PS3.3 table C.7-10)
            )
        dataset.FrameOfReferenceUID = _related(origin, "FrameOfReferenceUID", uids)
        dataset.PositionReferenceIndicator = ""
    elif known is not None:
        keyword = (
            "PixelSpacing"
            if header.numbers(origin, "PixelSpacing", 2, frame) is not None
            else "NominalScannedPixelSpacing"
        )
        setattr(dataset, keyword, [_ds(value) for value in known])


def _grey_pixels(dataset: Dataset, pixels: np.ndarray, range: Range | None, unit: str) -> None:
    values = np.asarray(pixels, dtype=np.float64)
    low, high = data_range(values)
    whole = bool((values == np.rint(values)).all()) and high - low <= LEVELS
    intercept = float(_ds(low))
    slope = 1.0 if whole else float(_ds((high - intercept) / LEVELS))
    stored = as_dtype((values - intercept) / slope, np.uint16)
    dataset.RescaleSlope = _ds(slope)
    dataset.RescaleIntercept = _ds(intercept)
    dataset.RescaleType = "HU" if unit == "HU" else "US"  # PS3.3 C.11.1.1.2; US: unspecified
    first, last = range or (low, high)
    dataset.WindowCenter = _ds((first + last) / 2 + 0.5)
    dataset.WindowWidth = _ds(last - first + 1)  # PS3.3 C.11.2.1.2.1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SamplesPerPixel = 1
    _pixels(dataset, stored)


def _colour_pixels(dataset: Dataset, pixels: np.ndarray) -> None:
    dataset.PhotometricInterpretation = "RGB"
    dataset.SamplesPerPixel = 3
    dataset.PlanarConfiguration = 0
    _pixels(dataset, pixels)


def _pixels(dataset: Dataset, stored: np.ndarray) -> None:
    bits = 8 * stored.dtype.itemsize
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.BitsAllocated = bits
    dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    data = np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("<")).tobytes()
    dataset.add_new("PixelData", "OB" if bits == 8 else "OW", data + b"\0" * (len(data) % 2))


def _ds(value: float) -> str:
    """A Decimal String: at most 16 characters (PS3.5 table 6.2-1)."""
    return format_number_as_ds(float(value))

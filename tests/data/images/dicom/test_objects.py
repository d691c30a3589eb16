"""DICOM objects that are no scans."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicoms import saved
from pydicom.uid import (
    SecondaryCaptureImageStorage,
)

from latentdrift.data.images.dicom.objects import OBJECTS
from latentdrift.data.images.dicom.reader import read_dicom
from latentdrift.data.images.image import ImageError

SCREEN = {"SOPClassUID": SecondaryCaptureImageStorage}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Modality": "SEG"}, "segmentation"),
        ({"Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screen-save"),
        (
            {"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]},
            "screen-save",
        ),
        ({"Modality": "MR", **SCREEN}, "screen-save"),
        ({"Modality": "CT", **SCREEN, "SyntheticData": "YES"}, None),
        ({"Modality": "CR", **SCREEN}, None),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "PROTON_DENSITY"]}, None),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]}, None),
    ],
)
def test_objects_that_are_no_scans_are_told_by_class_and_image_type(
    path: Path, values: dict, kind: str | None
) -> None:
    saved(path, **values)
    assert len(read_dicom(path)) == 1
    others = set(OBJECTS) - {kind}
    assert len(read_dicom(path, leave_out=others)) == 1
    if kind is not None:
        with pytest.raises(ImageError, match=f"and no scan; `include={kind}` takes it") as error:
            read_dicom(path, leave_out={kind})
        assert error.value.reason == kind

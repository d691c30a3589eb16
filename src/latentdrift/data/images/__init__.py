"""Pixels in and out: DICOM, NIfTI, PNG, TIFF, intensities, geometry."""

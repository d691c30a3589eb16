"""DICOM: headers, pixels, series, UIDs, files that we write."""

"""Other formats: NIfTI, PNG, JPEG, TIFF, compressed files."""

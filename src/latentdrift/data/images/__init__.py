"""Pixels in and out: readers and writers by format, intensities, geometry, duplicates."""

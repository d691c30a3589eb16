"""Columns of metadata.csv that `latentdrift import --register` adds."""

from __future__ import annotations

STATUS = "registration"
"""REFERENCE, REGISTERED, or FAILED with one of few reasons (`Registration.problem`); empty of an
image without other visits. The transform and the correlations of a failure stand beside it."""
TRANSFORM = "transform"
"""From the first visit's image to the later one's, see `transforms.to_text`."""
GAIN = "gain"
"""Factor by which the registered intensities were multiplied."""
BEFORE = "correlation_before"
AFTER = "correlation"
"""Normalised correlation with the first visit before and after registration, -1 to 1."""
UNREGISTERED = "unregistered"
"""File of the image before registration; also the folder of all of them."""

REFERENCE = "reference"
REGISTERED = "registered"
FAILED = "failed"

ALL = (STATUS, TRANSFORM, GAIN, BEFORE, AFTER, UNREGISTERED)

"""Registration: one image of a patient laid onto another of the same view."""

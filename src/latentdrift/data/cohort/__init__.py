"""The cohort on disk: rows, splits, visits, masks, hint images."""

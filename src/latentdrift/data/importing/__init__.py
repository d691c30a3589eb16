"""Scans and a table to a cohort, restartable."""

"""Synthetic anatomy with known answers."""

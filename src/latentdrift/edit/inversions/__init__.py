"""Inversion of a source image: the noise that leads back to it."""

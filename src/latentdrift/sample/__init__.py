"""Sampling, from noise to images: `guidance`, `samplers`, `generate`."""

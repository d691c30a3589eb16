"""From noise to images: `guidance`, `samplers`, `generate`."""

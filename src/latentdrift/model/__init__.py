"""The base model and everything that wraps its denoiser: `base`, `schedule`, `drift`."""

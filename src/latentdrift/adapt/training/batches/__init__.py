"""Batches: latents of the images, hints, masks of the loss."""

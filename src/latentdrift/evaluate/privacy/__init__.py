"""Copies of training images, re-identification, membership inference, and the filter that holds
copies back."""

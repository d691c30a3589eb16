"""Counterfactuals: one image, one attribute changed."""

"""Pixels and tables in, pixels out: the only layer that knows file formats. Numpy arrays leave it,
never tensors."""

"""Losses, optimisers, learning rates, averages of the weights, early stopping."""

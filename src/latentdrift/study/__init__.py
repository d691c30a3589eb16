"""Experiments that fit, sample and judge."""

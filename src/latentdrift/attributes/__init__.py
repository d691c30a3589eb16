"""Attributes of patients and images: their specification, their values, ages."""

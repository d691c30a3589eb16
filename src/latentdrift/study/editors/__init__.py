"""Editors on edits whose right answer is known."""

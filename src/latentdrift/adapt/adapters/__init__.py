"""Adapters on disk: their files, typed adapter.json, stacking, model card."""

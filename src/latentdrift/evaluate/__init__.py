"""Judges images, never models: nothing here knows how a picture was made."""

"""FAMILIES: one file per family of bases, and everything about its networks that differs."""

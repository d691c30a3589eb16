"""Judging images by other images: features, distances, copies, the report. Takes images, never
models.

`latentdrift.evaluate` is this folder and the function of the Python interface: once the folder is
imported, the name means the folder, which therefore can be called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from latentdrift.verbs import load


class CallableFolder(ModuleType):
    """This module, callable as `latentdrift.api.functions.evaluate`."""

    def __call__(self, **options: Any) -> Any:
        """Compare synthetic images with real ones; see `latentdrift.api.functions.evaluate`."""
        return load("latentdrift.api.functions:evaluate")(**options)


sys.modules[__name__].__class__ = CallableFolder

"""Judging images by other images: features, distances, copies, the report. Takes images, never
models.

`latentdrift.evaluate` is this folder and the function of the Python interface: once the folder is
imported, the name means the folder, which therefore can be called.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from latentdrift.verbs import load


class CallableFolder(ModuleType):
    """This module, callable as `latentdrift.api.functions.evaluate`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Compare synthetic images with real ones; see `latentdrift.api.functions.evaluate`."""
        return self.__wrapped__(*arguments, **options)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return load("latentdrift.api.functions:evaluate")

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.__wrapped__)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.__wrapped__.__doc__


sys.modules[__name__].__class__ = CallableFolder

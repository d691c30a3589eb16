"""Agreement of a worker with the main process: the same model, the same files, the same packages.

On a cluster, a path may hold another file and an environment another version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from latentdrift import record
from latentdrift.config.base import WorkerOptions
from latentdrift.engines.schedule import Workers
from latentdrift.errors import ResourceError
from latentdrift.model.base import PRECISIONS, Base

SomeOptions = TypeVar("SomeOptions", bound=WorkerOptions)


def workers_of(options: WorkerOptions, base: Base) -> Workers:
    """Workers of a verb whose model is loaded.

    Args:
        options: Options of the verb.
        base: The base of the model, whose device the workers take.
    """
    return Workers(options.workers, options.ray, uses_gpu=base.device.type == "cuda")


def pinned(options: SomeOptions, base: Base) -> SomeOptions:
    """Options with the device and number format that the main process has chosen.

    Args:
        options: Options of the verb.
        base: The base as the main process has loaded it.
    """
    precision = next(name for name, dtype in PRECISIONS.items() if dtype == base.dtype)
    return options.model_copy(update={"device": str(base.device), "precision": precision})


def facts(settings: str) -> dict[str, str]:
    """Facts that are equal in every worker: a hash of all settings, and versions of packages.

    Args:
        settings: Hash of everything that determines the results.
    """
    versions = record.versions()
    del versions["python"]
    return {"settings": settings, **versions}


def check(expected: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Check in a worker that its facts are those of the main process.

    Args:
        expected: Facts of the main process.
        here: Facts of this worker.

    Raises:
        ResourceError: They differ.
    """
    versions = [
        f"{name} {here.get(name)} in place of {version}"
        for name, version in expected.items()
        if name != "settings" and here.get(name) != version
    ]
    if versions:
        raise ResourceError(
            f"a worker has other packages than this process: {', '.join(versions)}; install the "
            "same versions on all machines"
        )
    if here["settings"] != expected["settings"]:
        raise ResourceError(
            "a worker has loaded another model or other images than this process; all machines "
            "need the same files under the same paths"
        )

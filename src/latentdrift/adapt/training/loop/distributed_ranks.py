"""Several processes on one job, as `accelerate launch` starts them: what their environment says,
before anything is loaded."""

from __future__ import annotations

import os

from latentdrift.errors import OptionError

COUNTS = (
    "WORLD_SIZE",
    "PMI_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_SIZE",
)  # torchrun, and MPI's of several makers
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def _first(names: tuple[str, ...], otherwise: int) -> int:
    name = next((name for name in names if name in os.environ), None)
    if name is None:
        return otherwise
    value = os.environ[name]
    if not (value.isascii() and value.isdigit()):
        raise OptionError(
            f"the environment variable {name} is {value!r}; a launcher sets it to a whole number: "
            "unset it"
        )
    return int(value)


def count() -> int:
    """Number of processes that were started together; 1 for a single one."""
    return _first(COUNTS, 1)


def rank() -> int:
    """Rank of this process. Rank 0 writes and logs for all."""
    return _first(RANKS, 0)


def fell_short() -> bool:
    """Whether `accelerate launch --cpu` started one process instead of several, as without MPI."""
    return (
        count() == 1
        and os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
        and "MASTER_ADDR" in os.environ
    )

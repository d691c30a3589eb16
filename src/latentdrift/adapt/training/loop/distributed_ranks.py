"""Several processes on one job, as `accelerate launch` starts them: what their environment says,
before anything is loaded."""

from __future__ import annotations

import logging
import os
from functools import cache

from latentdrift.errors import OptionError

COUNTS = (
    "WORLD_SIZE",
    "PMI_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_SIZE",
)  # torchrun, and MPI's of several makers
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
LOCAL_RANKS = (
    "LOCAL_RANK",
    "MPI_LOCALRANKID",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
)

REFUSED = {
    "ACCELERATE_USE_FSDP": ("accelerate launch --use_fsdp", "FSDP"),
    "ACCELERATE_USE_DEEPSPEED": ("accelerate launch --use_deepspeed", "DeepSpeed"),
    "ACCELERATE_USE_MEGATRON_LM": ("accelerate launch --use_megatron_lm", "Megatron-LM"),
}
"""Variable that `accelerate launch` sets -> the command, and the engine that `fit` does not use."""
IGNORED = {
    "ACCELERATE_MIXED_PRECISION": (
        "accelerate launch --mixed_precision",
        "no",
        "give `precision` instead",
    ),
    "ACCELERATE_DYNAMO_BACKEND": (
        "accelerate launch --dynamo_backend",
        "no",
        "`fit` compiles no network",
    ),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": (
        "accelerate launch --gradient_accumulation_steps",
        "1",
        "give `accumulate` instead",
    ),
}
"""Variable that `accelerate launch` sets -> the command, the value without effect, and advice."""

log = logging.getLogger(__name__)


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


def local_rank() -> int:
    """Rank of this process among those of its machine, by which it takes a card."""
    return _first(LOCAL_RANKS, 0)


def fell_short() -> bool:
    """Whether `accelerate launch --cpu` started one process instead of several, as without MPI."""
    return (
        count() == 1
        and os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
        and "MASTER_ADDR" in os.environ
    )


def check_launch() -> None:
    """Check that `fit` can follow what `accelerate launch` was given; warn of what has no effect.

    Raises:
        OptionError: An engine other than DDP.
    """
    for name, (command, engine) in REFUSED.items():
        if os.environ.get(name, "").lower() == "true":
            raise OptionError(
                f"{command} asks for {engine}, and `fit` shares images and not "
                "weights: every process holds the whole network (docs/clusters.md says why). "
                "Take accelerate launch --multi_gpu; where the memory of a card is short, "
                "`method=lora`, `gradient_checkpointing` and `precision=bf16` need less"
            )
    for name, (command, neutral, advice) in IGNORED.items():
        value = os.environ.get(name, neutral)
        if value.lower() != neutral:
            _warn_once(f"{command} {value} has no effect: {advice}")


@cache
def _warn_once(message: str) -> None:
    """Log a warning; a verb looks at its launch several times."""
    log.warning(message)

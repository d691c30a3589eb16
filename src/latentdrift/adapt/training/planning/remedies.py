"""Options with which a fit takes less memory, and the sentence that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latentdrift.adapt.training.planning.fit_trace import Memory
from latentdrift.adapt.training.planning.machine_memory import MachineMemory
from latentdrift.config import FitOptions

GB = 1e9
LOW_RANK = {"full": "lora", "dreambooth": "dreambooth-lora"}
"""Method that trains the whole network -> the method that trains a low-rank change of it."""


@dataclass(frozen=True)
class Remedy:
    """Options of a fit with which it takes less memory.

    Attributes:
        change: Option -> its new value.
        memory: Memory that the fit then takes.
    """

    change: Mapping[str, Any]
    memory: Memory

    @property
    def text(self) -> str:
        """The options and the memory, in words."""
        options = " and ".join(
            f"`{name}`" if value is True else f"`{name}={value}`"
            for name, value in self.change.items()
        )
        return f"{options} ({self.memory.total / GB:.1f} GB)"


def changes(options: FitOptions, precision: str, processes: int = 1) -> list[dict[str, Any]]:
    """Changes of a fit's options that may lower its memory.

    First those that leave the result as it is, alone and together, then the others.

    Args:
        options: Options of the fit.
        precision: Number format of the fit.
        processes: Number of processes that share a batch.
    """
    same: list[dict[str, Any]] = []
    if options.batch_size > processes:
        passes = options.accumulate * options.batch_size // processes
        same.append({"batch_size": processes, "accumulate": passes})
    if not options.gradient_checkpointing:
        same.append({"gradient_checkpointing": True})
    both = [{**same[0], **same[1]}] if len(same) > 1 else []
    others: list[dict[str, Any]] = []
    if precision == "fp32":
        others.append({"precision": "bf16"})
    if options.method in LOW_RANK:
        others.append({"method": LOW_RANK[options.method]})
    return [*same, *both, *others]


def advice(memory: Memory, machine: MachineMemory, remedies: Sequence[Remedy]) -> str | None:
    """Sentence on a fit that may take more memory than is free; None where it does not.

    Args:
        memory: Memory of the fit.
        machine: Memory of the machine.
        remedies: Options that would lower it.
    """
    if memory.upper <= machine.free:
        return None
    start = (
        f"the fit takes {memory.total / GB:.1f} to {memory.upper / GB:.1f} GB of memory, and "
        f"{machine.free / GB:.1f} GB of {machine.total / GB:.1f} GB are free; "
    )
    enough = [remedy for remedy in remedies if remedy.memory.upper <= machine.free]
    if enough:
        return f"{start}what would fit: {', or '.join(remedy.text for remedy in enough)}"
    least = min(remedies, key=lambda remedy: remedy.memory.total, default=None)
    if least is None or least.memory.total >= memory.total:
        return f"{start}take a machine with more memory, or a smaller `resolution`"
    return f"{start}the least is {least.text}: take a machine with more memory"

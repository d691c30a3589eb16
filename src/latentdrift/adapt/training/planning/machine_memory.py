"""Memory of this machine: of its graphics card, or of its processor within the limit of a
container or a scheduler's job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),  # version 2
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # version 1
)


@dataclass(frozen=True)
class MachineMemory:
    """Bytes of a device's memory.

    Attributes:
        total: All that a fit could ever have.
        free: What a fit that replaces this process could have now.
    """

    total: int
    free: int

    @classmethod
    def of(cls, device: torch.device) -> MachineMemory:
        """Memory of the device that a fit computes on."""
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            return cls(total, free)
        memory = psutil.virtual_memory()
        total = min([memory.total, *_limits()])
        return cls(total, min(total, memory.available + program()))


def program() -> int:
    """Bytes of memory that this process takes now."""
    return int(psutil.Process().memory_info().rss)


def _limits() -> list[int]:
    """Limits in bytes of the group that this process belongs to, as far as there are any."""
    texts = [path.read_text().strip() for path in CGROUP_LIMITS if path.is_file()]
    return [int(text) for text in texts if text.isdigit()]

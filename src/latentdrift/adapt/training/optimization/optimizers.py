"""OPTIMIZERS: what turns a gradient into an update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from latentdrift.errors import OptionError, unknown


def _adamw(
    parameters: Sequence[torch.nn.Parameter], rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    return torch.optim.AdamW(list(parameters), lr=rate, weight_decay=weight_decay, fused=True)


def _adamw_8bit(
    parameters: Sequence[torch.nn.Parameter], rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    from bitsandbytes.optim import AdamW8bit

    result: torch.optim.Optimizer = AdamW8bit(list(parameters), lr=rate, weight_decay=weight_decay)
    return result


@dataclass(frozen=True)
class Optimizer:
    """A row."""

    summary: str
    make: Callable[[Sequence[torch.nn.Parameter], float, float], torch.optim.Optimizer]
    """(parameters, learning rate, weight decay) -> the optimiser."""
    state: float
    """Bytes that it keeps per trained weight."""
    package: str | None = None
    """Package that the optimiser needs."""

    def state_bytes(self, trained: int) -> int:
        """Bytes that it keeps for so many trained weights."""
        return round(trained * self.state)


OPTIMIZERS: dict[str, Optimizer] = {
    "adamw": Optimizer("AdamW (Loshchilov & Hutter 2019)", _adamw, state=8),
    "adamw-8bit": Optimizer(
        "AdamW with moments of 8 bits, in blocks (Dettmers et al. 2022)",
        _adamw_8bit,
        state=2.1,
        package="bitsandbytes",
    ),
}


def optimizer(name: str) -> Optimizer:
    """Look up a row of OPTIMIZERS.

    Args:
        name: Name of the row.

    Raises:
        OptionError: There is no such row, or its package is not installed.
    """
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    row = OPTIMIZERS[name]
    if row.package and find_spec(row.package) is None:
        raise OptionError(
            f"`optimizer={name}` needs the package {row.package}, which is not installed: pip "
            f"install {row.package}, or take `optimizer=adamw`"
        )
    return row

"""Early stopping: when the held-out loss no longer falls (Prechelt 1998, UP_s)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import ConfigDict


@dataclass(frozen=True)
class Patience:
    """State of early stopping after the checkpoints so far."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    limit: int
    """Checkpoints in a row without a lower loss after which the run is over."""
    step: int = 0
    """The checkpoint with the lowest loss; 0 before the first."""
    loss: float | None = None
    """Its held-out loss."""
    waited: int = 0
    """Checkpoints since."""

    def after(self, step: int, loss: float) -> Patience:
        """State after one more checkpoint.

        Args:
            step: Step of the checkpoint.
            loss: Its held-out loss; one that is not finite counts as no improvement.
        """
        if math.isfinite(loss) and (self.loss is None or loss < self.loss):
            return replace(self, step=step, loss=loss, waited=0)
        return replace(self, waited=self.waited + 1)

    @property
    def over(self) -> bool:
        """Whether training stops: the loss has not fallen for `limit` checkpoints."""
        return self.waited >= self.limit

    def to_dict(self) -> dict[str, Any]:
        """State as JSON values, for checkpoints and adapter.json."""
        return asdict(self)

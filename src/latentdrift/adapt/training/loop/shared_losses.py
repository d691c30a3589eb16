"""Losses of a batch, whose gradients accelerate's engine (DDP) averages over all processes.

The engine wraps a module. What is trained may lie in the network, in matrices beside it or in a
token table; here the trained parameters are the module, and the losses are its forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from latentdrift.adapt.training.batches.batches import Batch
from latentdrift.adapt.training.loop.distributed import Processes

Losses = Callable[[Batch], Tensor]
"""Batch of B images -> loss of each, [B]."""


class SharedLosses:
    """Losses whose backward pass gives each process the mean gradient of all.

    Of one process alone they are the function itself; nothing of accelerate is loaded.

    Args:
        losses: The losses, a function of the parameters.
        parameters: Trained parameters, in equal order in every process.
        processes: Processes that share the work.
    """

    def __init__(
        self, losses: Losses, parameters: Sequence[nn.Parameter], processes: Processes
    ) -> None:
        self.losses = losses
        self.parameters = parameters
        self.processes = processes
        self._engine: _Engine | None = None

    @contextmanager
    def forward_pass(self, batch: Batch, *, last: bool) -> Iterator[Tensor]:
        """Context of one forward pass and its backward pass.

        Args:
            batch: This process's images of the pass.
            last: Whether the gradients of this pass and those before it are averaged now.

        Yields:
            The losses.
        """
        if self.processes.count == 1:
            yield self.losses(batch)
            return
        if self._engine is None:
            self._engine = _Engine(self.losses, self.parameters, self._leaves_out_some(batch))
        with self._engine.averaging(last):
            yield self._engine.model(batch)

    def _leaves_out_some(self, batch: Batch) -> bool:
        """Whether some parameters have no part in the losses, by their graph in any process."""
        used = _leaves(self.losses(batch))
        unused = any(id(parameter) not in used for parameter in self.parameters)
        return bool(self.processes.largest(int(unused)))


class _Engine:
    """The losses as accelerate prepares them, for several processes."""

    def __init__(
        self, losses: Losses, parameters: Sequence[nn.Parameter], find_unused: bool
    ) -> None:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs

        handler = DistributedDataParallelKwargs(
            find_unused_parameters=find_unused,
            gradient_as_bucket_view=True,  # the gradients need no second copy
        )
        # autocast and its number format are those of the losses
        self.accelerator = Accelerator(
            mixed_precision="no", dynamo_backend="no", kwargs_handlers=[handler]
        )
        self.model: Any = self.accelerator.prepare(_ParametersWithLosses(losses, parameters))

    @contextmanager
    def averaging(self, last: bool) -> Iterator[None]:
        """Context in which the backward pass averages gradients, or only adds them up here."""
        if last:
            yield
            return
        with self.accelerator.no_sync(self.model):
            yield


class _ParametersWithLosses(nn.Module):
    """Trained parameters as a module whose forward pass is the losses."""

    def __init__(self, losses: Losses, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.losses = losses
        self.trained = nn.ParameterList(parameters)

    def forward(self, batch: Batch) -> Tensor:
        """Losses [B] of a batch."""
        return self.losses(batch)


def _leaves(losses: Tensor) -> set[int]:
    """Ids of the parameters that losses depend on."""
    found: set[int] = set()
    seen: set[Any] = set()
    waiting: list[Any] = [losses.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):  # a node that adds up the gradient of a leaf
            found.add(id(node.variable))
        waiting.extend(before for before, _ in node.next_functions)
    return found

"""Several processes on one fit: each takes its share of every batch, gradients are added up, the
first one writes.

Weights, optimiser and averages are the same in all of them at any time, so a checkpoint needs
nobody but the first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor

from latentdrift.adapt.training.loop import distributed_ranks
from latentdrift.errors import OptionError

PATIENCE = timedelta(
    hours=12
)  # how long the others wait while the first fills the caches; its death ends them at once

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Processes:
    """The processes of a fit; `Processes()` is one alone, for which nothing distributed is loaded
    or started."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: str) -> Processes:
        """Connect to the other processes of this launch, if there are any.

        Args:
            device: Option `device`. Each process takes its own GPU, or all share the processor.
        """
        if distributed_ranks.fell_short():
            log.warning(
                "accelerate launch --cpu has started one process, as it does without MPI "
                "(--mpirun_hostfile); for several on the processor of this machine: accelerate "
                "launch --multi_gpu --num_processes N -m latentdrift fit ... --device cpu"
            )
        if distributed_ranks.count() == 1:
            return cls()
        from accelerate import PartialState

        state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available(), timeout=PATIENCE)
        return cls(state.process_index, state.num_processes)

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports; its rank is 0."""
        return self.rank == 0

    def share(self, images: int) -> slice:
        """Slice of a batch that this process works on.

        Args:
            images: Images in the batch of all processes, a multiple of their number.
        """
        each = images // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def check(self, batch_size: int) -> None:
        """Check that a batch splits evenly over the processes.

        Args:
            batch_size: Images in the batch of all processes.

        Raises:
            OptionError: It is not a multiple of the number of processes.
        """
        if batch_size % self.count:
            near = max(self.count, round(batch_size / self.count) * self.count)
            raise OptionError(
                f"`batch_size={batch_size}` cannot be shared by {self.count} processes; take a "
                f"multiple of {self.count}: {near}"
            )

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in place.

        Args:
            tensors: As many, of equal shapes, in every process.
        """
        if self.count > 1:
            for work in [torch.distributed.all_reduce(tensor, async_op=True) for tensor in tensors]:
                work.wait()

    def add_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes, in place.

        Args:
            parameters: Trained parameters, in equal order in every process. A gradient stays None
                where no process has one.
        """
        if self.count == 1:
            return
        gradients = torch.tensor(
            [float(weight.grad is not None) for weight in parameters], device=parameters[0].device
        )
        self.add([gradients])
        used = [
            weight for weight, times in zip(parameters, gradients.tolist(), strict=True) if times
        ]
        for weight in used:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        self.add([weight.grad for weight in used if weight.grad is not None])

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Context whose body the first process finishes before the others enter it."""
        if not self.first:
            self.meet()
        yield
        if self.first:
            self.meet()

    def meet(self) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            torch.distributed.barrier()


ALONE = Processes()

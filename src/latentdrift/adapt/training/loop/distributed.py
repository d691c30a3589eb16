"""Several processes on one fit, over cards and nodes: each takes its share of every batch, the
first one writes.

Weights, optimiser and averages are the same in all of them at any time, so a checkpoint needs
nobody but the first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor

from latentdrift.adapt.training.loop import distributed_ranks
from latentdrift.errors import OptionError, ResourceError

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

        Raises:
            OptionError: The launch is one that `fit` cannot follow, or `device` is a single card.
        """
        distributed_ranks.check_launch()
        if distributed_ranks.fell_short():
            log.warning(
                "accelerate launch --cpu has started one process, as it does without MPI "
                "(--mpirun_hostfile); for several on the processor of this machine: accelerate "
                "launch --multi_gpu --num_processes N -m latentdrift fit ... --device cpu"
            )
        if distributed_ranks.count() == 1:
            return cls()
        if ":" in device:
            raise OptionError(
                f"`device={device}` is a single device, and each of {distributed_ranks.count()} "
                "processes takes one of its own; give `device=cuda`, or `device=cpu`"
            )
        on_processor = device == "cpu" or not torch.cuda.is_available()
        cards = torch.cuda.device_count()
        place = distributed_ranks.local_rank()
        if not on_processor and place >= cards:
            raise OptionError(
                f"process {place} of this machine finds {cards} cards, and takes one by its "
                "number, from 0 on: start as many processes as there are cards, and let each see "
                "all of them"
            )
        from accelerate import PartialState

        state = PartialState(cpu=on_processor, timeout=PATIENCE)
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

    def largest(self, number: int) -> int:
        """Largest of the numbers that the processes give.

        Args:
            number: This process's number.
        """
        if self.count == 1:
            return number
        from accelerate import PartialState

        largest = torch.tensor(number, device=PartialState().device)
        torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
        return int(largest)

    def check_equal(self, facts: Mapping[str, object]) -> None:
        """Check that all processes see the same files.

        Args:
            facts: What this process sees: name -> JSON value.

        Raises:
            ResourceError: Another process sees something else, as on nodes whose folders differ.
        """
        if self.count == 1:
            return
        from accelerate.utils import gather_object

        for rank, others in enumerate(gather_object([dict(facts)])):
            differs = [name for name, value in facts.items() if others[name] != value]
            if differs:
                name = differs[0]
                raise ResourceError(
                    f"{name}: {facts[name]} for process {self.rank}, {others[name]} for process "
                    f"{rank}; all nodes need the same files: put `cohort`, `base` and `out` on a "
                    "file system that they share"
                )

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Context in which the end of another process is an error in a sentence.

        Raises:
            ResourceError: Another process ended while this one waited for it.
        """
        try:
            yield
        except RuntimeError as error:
            if self.count > 1 and _is_lost(error):
                raise ResourceError(
                    "another process of this fit has ended, and this one cannot go on without it; "
                    "see its message, then give the same command again"
                ) from error
            raise

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


def _is_lost(error: RuntimeError) -> bool:
    """Whether an error is that of a connection; gloo has no class of its own for it."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)

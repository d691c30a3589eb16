"""Steps of a fit by two processes beside those of one, in turn on one machine, and the difference
of their gradients.

OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 benchmarks/processes.py COHORT [METHOD ...]
                 [--batch-size 8] [--resolution 128] [--rounds 6] [--steps 3]

In each round the first process makes some steps alone while the other waits, then both make as many
with half of each batch. Processor seconds are those of all processes that compute.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentdrift.adapt.training.batches.batches import Batch
from latentdrift.adapt.training.loop import distributed_ranks
from latentdrift.adapt.training.loop.distributed import ALONE, Processes
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.planning.fit_trace import BegunFit, contexts, noise_batch
from latentdrift.adapt.training.setup.training_setup import job
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift


@dataclass(frozen=True)
class Block:
    """Seconds of one step, from several in a row."""

    clock: float
    processor: float


def trainer(options: FitOptions, cohort: Cohort, processes: Processes) -> tuple[Trainer, Batch]:
    """A trainer of the pocket base, and a batch of noise for all processes."""
    base = Base.load("pocket", device="cpu", precision="fp32")
    todo = job(base, cohort, options)
    fit = BegunFit.of(base, todo)
    read = contexts(fit.base, todo)
    made = Trainer(fit.base, fit.parameters, read, Drift(), todo, fit.dtype, processes)
    images = todo.images_per_step * (2 if todo.options.prior_images else 1)
    return made, noise_batch(fit.base, todo, images)


def timed(work: Callable[[], object], steps: int, processes: Processes) -> Block:
    """Seconds of a step, the mean of several; processor seconds are summed over the processes."""
    clock = time.perf_counter()
    processor = time.process_time()
    for _ in range(steps):
        work()
    spent = torch.tensor(time.process_time() - processor)
    processes.add([spent])
    return Block((time.perf_counter() - clock) / steps, float(spent) / steps)


def gradient(trainer: Trainer, batch: Batch) -> Tensor:
    """The gradient of a batch, in one row."""
    trainer.gradients(batch)
    parts = [weight.grad.flatten() for weight in trainer.parameters.values()]
    result = torch.cat(parts).double()
    trainer.optimizer.zero_grad()
    return result


def line(name: str, values: Sequence[float]) -> str:
    """Median, and the smallest and largest value; empty without values."""
    if not values:
        return ""
    return (
        f"  {name}: {statistics.median(values):.3f} [{min(values):.3f}, {max(values):.3f}], "
        f"n = {len(values)}"
    )


def compare(options: FitOptions, cohort: Cohort, rounds: int, steps: int) -> list[str]:
    """Lines of one method; every process calls this."""
    processes = Processes.join("cpu")
    alone, batch = trainer(options, cohort, ALONE)
    shared, _ = trainer(options, cohort, processes)
    own = gradient(alone, batch)
    difference = (gradient(shared, batch) - own).norm() / own.norm()
    one = []
    two = []
    for _ in range(rounds):
        processes.meet()
        if processes.first:
            one.append(timed(lambda: alone.update(batch), steps, ALONE))
        processes.meet()
        two.append(timed(lambda: shared.update(batch), steps, processes))
    pairs = list(zip(one, two, strict=True)) if processes.first else []
    return [
        f"{options.method}: relative difference of the gradients {difference:.1e}",
        line("one process, seconds of a step", [block.clock for block in one]),
        line("two processes, seconds of a step", [block.clock for block in two]),
        line("one / two, seconds", [a.clock / b.clock for a, b in pairs]),
        line("two / one, processor seconds", [b.processor / a.processor for a, b in pairs]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("methods", nargs="*", default=["lora", "full"])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cohort = Cohort.load(given.cohort)
    for method in given.methods:
        options = FitOptions(
            cohort=given.cohort,
            out=Path("unused"),
            base="pocket",
            method=method,
            batch_size=given.batch_size,
            resolution=given.resolution,
            drift="none",
        )
        lines = compare(options, cohort, given.rounds, given.steps)
        if not distributed_ranks.rank():
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

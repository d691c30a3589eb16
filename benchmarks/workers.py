"""`--workers 1` against `--workers 2` of `generate`, `edit` and `import`, in the steady part of a
run, and of the two parts of `evaluate` that workers share, as a whole.

python benchmarks/workers.py RUN COHORT SCANS FOLDER [--n 40] [--repeats 3] [VERB ...]
python benchmarks/workers.py RUN COHORT SCANS FOLDER features copies [--images 2000]

RUN: an adapter with an attribute `age`. COHORT: what `edit` edits. SCANS: a folder of DICOM files.
FOLDER: where the outputs go; they are deleted.

Each process has one thread. The steady part goes from 20 to 90 % of the items. A shared machine
says little by its clock, so the table also has the time that free cores would take at least:
processor seconds of the busiest process, or of all processes over the number of cores, if that is
more.

`features`: vectors of the embedded base of N images. `copies`: the search for the nearest of N
training images of 200 held-out and 200 other ones. Images of the cohort are repeated. The start of
workers is part of the cost.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from latentdrift.config import EvaluateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.evaluate.features.feature_cache import keep
from latentdrift.evaluate.images.image_sets import EvaluationImages, from_cohort
from latentdrift.evaluate.privacy.copy_detection import Ruler
from latentdrift.jobs.evaluation_job import cache_of, fill_cache, open_spaces, search_workers
from latentdrift.model.base import Base

QUERIES = 200
CORES = 2
BEGIN = 0.2
END = 0.9
BETWEEN_SAMPLES = 0.2  # s


@dataclass(frozen=True)
class Verb:
    """A verb to measure."""

    command: Callable[[argparse.Namespace], Sequence[str]]
    items: Callable[[argparse.Namespace], int]
    done: Callable[[Path], int]
    """Number of items on disk, of an output."""


def _generate(asked: argparse.Namespace) -> list[str]:
    prompt = "a brain MRI of a 70 year old female"
    return [
        "generate",
        asked.run,
        "--prompt",
        prompt,
        "--n",
        str(asked.n),
        "--steps",
        "10",
        "--no-gate",
    ]


def _edit(asked: argparse.Namespace) -> list[str]:
    change = ["--set", "age=85", "--limit", str(asked.n), "--no-gate"]
    return ["edit", asked.run, asked.cohort, *change]


def _import(asked: argparse.Namespace) -> list[str]:
    return ["import", asked.scans, "--describe", "brain MRI", "--salt", "benchmark"]


def _files(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))


VERBS = {
    "generate": Verb(
        _generate,
        lambda asked: asked.n,
        lambda out: _files(out.with_name(f".{out.name}.partial"), "*.png"),
    ),
    "edit": Verb(_edit, lambda asked: asked.n, lambda out: _files(out, "*/record.json")),
    "import": Verb(
        _import,
        lambda asked: _files(Path(asked.scans), "*"),
        lambda out: _files(out.with_name(f".{out.name}.partial"), "pixels/*.png"),
    ),
}


@dataclass
class Sample:
    """State of a run at a time."""

    seconds: float
    done: int
    processor: dict[int, float] = field(default_factory=dict)
    """Process -> its processor seconds."""
    resident: dict[int, int] = field(default_factory=dict)
    """Process -> its bytes in memory."""


@dataclass(frozen=True)
class Steady:
    """Cost of an item on the steady part."""

    seconds: float
    """By the clock."""
    processor: float
    """Of all processes."""
    at_least: float
    """On free cores."""
    main: float
    """Processor seconds of the main process."""
    peak: tuple[int, int]
    """MB of the main process and of the largest worker, over the whole run."""


def sample(main: psutil.Process, done: int) -> Sample:
    """Processor seconds and memory of a process and its children."""
    result = Sample(time.monotonic(), done)
    for process in [main, *main.children(recursive=True)]:
        try:
            times = process.cpu_times()
            result.processor[process.pid] = times.user + times.system
            result.resident[process.pid] = process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return result


def measure(verb: Verb, asked: argparse.Namespace, workers: int) -> Steady:
    """Run a command and measure its steady part."""
    out = Path(asked.folder) / f"out-{workers}"
    command = [sys.executable, "-m", "latentdrift", *verb.command(asked)]
    command += ["--workers", str(workers), "--out", str(out), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    main = psutil.Process(run.pid)
    samples: list[Sample] = []
    while run.poll() is None:
        time.sleep(BETWEEN_SAMPLES)
        try:
            samples.append(sample(main, verb.done(out)))
        except psutil.NoSuchProcess:
            break
    if run.wait():
        raise SystemExit(f"{' '.join(command)} failed")
    for folder in (out, Path(f"{out}-private")):
        shutil.rmtree(folder, ignore_errors=True)
    return steady(samples, verb.items(asked), run.pid)


def steady(samples: Sequence[Sample], items: int, main: int) -> Steady:
    """Cost of an item between BEGIN and END."""
    first = next(one for one in samples if one.done >= BEGIN * items)
    last = next(one for one in samples if one.done >= END * items)
    done = last.done - first.done
    spent = {
        pid: seconds - first.processor.get(pid, 0.0) for pid, seconds in last.processor.items()
    }
    total = sum(spent.values())
    resident = [
        (
            one.resident.get(main, 0),
            max([0, *(one.resident[pid] for pid in one.resident if pid != main)]),
        )
        for one in samples
    ]
    return Steady(
        (last.seconds - first.seconds) / done,
        total / done,
        max(*spent.values(), total / CORES) / done if len(spent) > 1 else total / done,
        spent[main] / done,
        (max(mb for mb, _ in resident) >> 20, max(mb for _, mb in resident) >> 20),
    )


@dataclass(frozen=True)
class Spent:
    """Cost of a part of `evaluate`."""

    seconds: float
    """By the clock."""
    main: float
    """Processor seconds of this process."""
    workers: float
    """Processor seconds of its workers."""


def spent(part: Callable[[argparse.Namespace, int], np.ndarray], *given: Any) -> Any:
    """Cost of a part, and its result."""
    before = os.times()
    result = part(*given)
    after = os.times()
    main = after.user + after.system - before.user - before.system
    children = after.children_user + after.children_system
    children -= before.children_user + before.children_system
    return Spent(after.elapsed - before.elapsed, main, children), result


def repeated(folder: str, split: str, n: int) -> EvaluationImages:
    """N images of a split of a cohort, again from its start where it has fewer."""
    some = from_cohort(Cohort.load(folder), split, 128)
    return some.take(np.arange(n) % len(some))


def options_of(asked: argparse.Namespace, workers: int) -> EvaluateOptions:
    """Options of an evaluation into an empty folder."""
    out = Path(asked.folder) / f"evaluate-{workers}"
    shutil.rmtree(out, ignore_errors=True)
    cohort = Path(asked.cohort)
    return EvaluateOptions(real=cohort, synthetic=cohort, out=out, workers=workers)


def features(asked: argparse.Namespace, workers: int) -> np.ndarray:
    """Features of images by the embedded base."""
    options = options_of(asked, workers)
    encoder = Base.load("pocket", device="cpu", precision="fp32")
    spaces = keep(open_spaces(options, None, encoder), cache_of(options))
    images = repeated(asked.cohort, "train", asked.images)
    fill_cache(options, spaces, [images], None, encoder, quiet=True)
    return np.array(spaces["pocket"](images.images))


def copies(asked: argparse.Namespace, workers: int) -> np.ndarray:
    """Similarity of images to their nearest training image."""
    train = repeated(asked.cohort, "train", asked.images)
    queries = repeated(asked.cohort, "test", QUERIES)
    with search_workers(options_of(asked, workers)) as shared:
        ruler = Ruler.of(train, queries, shared)
        others = repeated(asked.cohort, "validation", QUERIES)
        return np.stack([ruler.nearest(others.images).value, ruler.held_out.value])


PARTS = {"features": features, "copies": copies}


def report_part(name: str, asked: argparse.Namespace) -> None:
    """Print the rows of a part of `evaluate`; runs with one and two workers take turns."""
    torch.set_num_threads(1)
    PARTS[name](argparse.Namespace(**vars(asked) | {"images": 64}), 1)  # warms up
    costs: dict[int, list[Spent]] = {1: [], 2: []}
    results = []
    for _ in range(asked.repeats):
        for workers, runs in costs.items():
            cost, result = spent(PARTS[name], asked, workers)
            runs.append(cost)
            results.append(result)
    same = all(np.array_equal(results[0], other) for other in results)
    load = f"load {os.getloadavg()[0]:.1f}"
    for workers, runs in costs.items():
        clock, own, others = (
            statistics.median(getattr(run, part) for run in runs)
            for part in ("seconds", "main", "workers")
        )
        cells = f"{clock:.1f} s | {own:.1f} s main + {others:.1f} s workers"
        print(f"| {name} | {workers} | {cells} | {load} | equal: {same} |", flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name in ("run", "cohort", "scans", "folder"):
        parser.add_argument(name)
    parser.add_argument("verbs", nargs="*", default=list(VERBS))
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=2000)
    asked = parser.parse_intermixed_args()
    for name in PARTS:
        if name in asked.verbs:
            report_part(name, asked)
    asked.verbs = [name for name in asked.verbs if name not in PARTS]
    if not asked.verbs:
        return
    print("| verb | workers | s/item | processor s/item | main | at least s/item | faster | MB |")  # noqa: T201
    print("|---|---|---|---|---|---|---|---|")  # noqa: T201
    for name in asked.verbs:
        report(name, asked)


def report(name: str, asked: argparse.Namespace) -> None:
    """Print the rows of a verb; runs with one and two workers take turns."""
    runs: dict[int, list[Steady]] = {1: [], 2: []}
    for _ in range(asked.repeats):
        for workers, costs in runs.items():
            costs.append(measure(VERBS[name], asked, workers))
    ratios = [one.at_least / two.at_least for one, two in zip(runs[1], runs[2], strict=True)]
    spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
    for workers, costs in runs.items():
        middle = [
            statistics.median(getattr(cost, part) for cost in costs)
            for part in ("seconds", "processor", "main", "at_least")
        ]
        clock, processor, own, least = middle
        peak = " + ".join(str(max(cost.peak[i] for cost in costs)) for i in (0, 1))
        faster = spread if workers == 2 else "1"
        cells = f"{clock:.3f} | {processor:.3f} | {own:.3f} | {least:.3f} | {faster} | {peak}"
        print(f"| `{name}` | {workers} | {cells} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

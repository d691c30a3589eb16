"""Time and value of each distance between two sets of features, beside prdc and torchmetrics: same
features, machine and process.

    pip install prdc torchmetrics
    OMP_NUM_THREADS=1 python benchmarks/distance_time.py [ROUNDS]            default: 3

The features are those of a Gaussian with a decaying spectrum behind a rectifier, as Inception's
are. Kernel distances are means over the same subsets: ours draws them, and torchmetrics' `poly_mmd`
is given them. Each round runs all of them in turns. Printed are the medians of processor seconds
over rounds, one thread each, and the largest relative difference of the values.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO

import numpy as np
import torch
from torch import Tensor, nn

from latentdrift.evaluate.metrics.distribution_metrics import frechet, kernel
from latentdrift.evaluate.metrics.prdc import (
    K,
    coverage,
    density,
    neighbourhoods,
    precision,
    recall,
)
from latentdrift.evaluate.statistics.bootstrap import choose, rng

DIMENSIONS = 2048
SUBSETS = 20
SUBSET_SIZE = 1000

Numbers = dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """A row of the table.

    Attributes:
        n: Images of each set.
        ours: Features of two sets -> values by name.
        peer: Another package's.
        package: Its name.
    """

    n: int
    ours: Callable[[np.ndarray, np.ndarray], Numbers]
    peer: Callable[[np.ndarray, np.ndarray], Numbers]
    package: str


def features(n: int, seed: int, shift: float) -> np.ndarray:
    """float32 [n, DIMENSIONS], at least 0."""
    spread = np.exp(rng(0, "spread").normal(0, 1.5, DIMENSIONS))
    mixing = rng(0, "mixing").normal(0, DIMENSIONS**-0.5, (DIMENSIONS, DIMENSIONS))
    x = rng(seed, "features").normal(size=(n, DIMENSIONS)) * spread @ mixing + shift
    return x.clip(min=0).astype(np.float32)


def neighbours(a: np.ndarray, b: np.ndarray) -> Numbers:
    at = neighbourhoods(a, b)(np.ones(len(a)), np.ones(len(b)))
    scores = {"precision": precision, "recall": recall, "density": density, "coverage": coverage}
    return {name: score(at) for name, score in scores.items()}


def prdc(a: np.ndarray, b: np.ndarray) -> Numbers:
    from prdc import compute_prdc

    with redirect_stdout(StringIO()):
        found = compute_prdc(a.astype(np.float64), b.astype(np.float64), nearest_k=K)
    return {name: float(value) for name, value in found.items()}


def frechet_ours(a: np.ndarray, b: np.ndarray) -> Numbers:
    return {"frechet": frechet(a, b)(np.ones(len(a)), np.ones(len(b)))}


class Features(nn.Module):
    """In the place of a network: features are handed on."""

    num_features = DIMENSIONS

    def forward(self, x: Tensor) -> Tensor:
        return x


def frechet_torchmetrics(a: np.ndarray, b: np.ndarray) -> Numbers:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=Features())
    metric.update(torch.from_numpy(a), real=True)
    metric.update(torch.from_numpy(b), real=False)
    metric.set_dtype(torch.float64)
    return {"frechet": float(metric.compute())}


def subsets(n: int) -> list[np.ndarray]:
    generator = rng(0, "subsets")
    return [choose(np.ones(n, bool), SUBSET_SIZE, generator) for _ in range(2 * SUBSETS)]


def kernel_ours(a: np.ndarray, b: np.ndarray) -> Numbers:
    between = kernel(a, b)
    drawn = subsets(len(a))
    pairs = zip(drawn[::2], drawn[1::2], strict=True)
    return {"kid": float(np.mean([between(first, second) for first, second in pairs]))}


def kernel_torchmetrics(a: np.ndarray, b: np.ndarray) -> Numbers:
    from torchmetrics.image.kid import poly_mmd

    x, y = torch.from_numpy(a).double(), torch.from_numpy(b).double()
    drawn = [torch.from_numpy(weights > 0) for weights in subsets(len(a))]
    pairs = zip(drawn[::2], drawn[1::2], strict=True)
    return {"kid": float(np.mean([poly_mmd(x[first], y[second]) for first, second in pairs]))}


COMPARISONS = {
    "precision, recall, density, coverage": Comparison(4000, neighbours, prdc, "prdc"),
    "Fréchet distance": Comparison(10_000, frechet_ours, frechet_torchmetrics, "torchmetrics"),
    f"kernel distance, {SUBSETS} subsets of {SUBSET_SIZE}": Comparison(
        4000, kernel_ours, kernel_torchmetrics, "torchmetrics"
    ),
}


def timed(
    measure: Callable[[np.ndarray, np.ndarray], Numbers], a: np.ndarray, b: np.ndarray
) -> tuple[Numbers, float]:
    """Values, and processor seconds."""
    began = time.process_time()
    values = measure(a, b)
    return values, time.process_time() - began


def main() -> None:
    """The table."""
    torch.set_num_threads(1)
    rounds = int(sys.argv[1]) if sys.argv[1:] else 3
    few = features(1100, 0, 0.0), features(1100, 1, 0.05)
    for comparison in COMPARISONS.values():  # imports
        comparison.ours(*few)
        comparison.peer(*few)
    sys.stdout.write(
        f"| | images of each set | ours, s | peer, s | peer / ours | largest difference |\n"
        f"|{'---|' * 6}\n"
    )
    for name, row in COMPARISONS.items():
        sets = features(row.n, 0, 0.0), features(row.n, 1, 0.05)
        seconds: dict[str, list[float]] = {"ours": [], "peer": []}
        for turn in range(rounds):
            found = {}
            for side, measure in sorted(
                {"ours": row.ours, "peer": row.peer}.items(), reverse=bool(turn % 2)
            ):
                found[side], taken = timed(measure, *sets)
                seconds[side].append(taken)
        ours, peer = (float(np.median(seconds[side])) for side in ("ours", "peer"))
        apart = max(abs(found["ours"][key] / found["peer"][key] - 1) for key in found["ours"])
        cells = [name, f"{row.n:,}", f"{ours:.1f}", f"{peer:.1f} ({row.package})"]
        sys.stdout.write(f"| {' | '.join([*cells, f'{peer / ours:.2f}', f'{apart:.0e}'])} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

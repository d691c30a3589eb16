"""Peak memory and time of judging N phantom images against N training images, from features to
distances and neighbours.

    python benchmarks/judge_memory.py [N ...]              default: 2000 20000
    python benchmarks/judge_memory.py --copies [N ...]     the search for copies instead, among 100 training images

Each N runs in a process of its own. 64 phantom brains of 128 pixels lie on disk; image i is one of
them, read anew each time, with a grain of its own, so no two are the same. The features are 256
means of tiles: reading, keeping, distances and neighbours are what is measured, and not a network.
The reference is N / 10 further images.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from latentdrift.resampling import Resampling

SIZE = 128
DISTINCT = 64
TILES = 16
BOOTSTRAP = 20


def draw(folder: Path) -> None:
    """The phantoms."""
    from latentdrift.data.phantom.phantom import BrainAttributes, brain

    for i in range(DISTINCT):
        image = brain(i, BrainAttributes(age=60 + i % 30, sex="FM"[i % 2]), visit=0, size=SIZE)
        Image.fromarray((255 * image).astype(np.uint8)).save(folder / f"{i}.png")


def images(folder: Path, kind: str, n: int):
    """N pictures of a kind, each read when it is needed."""
    from latentdrift.evaluate.images.image_sets import EvaluationImages
    from latentdrift.evaluate.images.lazy_images import Pictures
    from latentdrift.evaluate.statistics.bootstrap import rng

    def read(i: int) -> np.ndarray:
        grey = np.asarray(Image.open(folder / f"{i % DISTINCT}.png"), dtype=np.float32) / 255
        grain = rng(0, kind, i).normal(0, 0.03, (TILES, TILES)).astype(np.float32)
        grey = np.clip(
            grey + np.kron(grain, np.ones((SIZE // TILES, SIZE // TILES), np.float32)), 0, 1
        )
        return np.repeat(grey[..., None], 3, -1)

    names = [f"{kind}{i}" for i in range(n)]
    return EvaluationImages(Pictures(read, (SIZE, SIZE), names, names), names, names)


def judge(folder: Path, n: int) -> None:
    """Print one row of the table."""
    import torch

    from latentdrift.evaluate.features.feature_cache import keep
    from latentdrift.evaluate.features.features import load_features
    from latentdrift.evaluate.metrics import feature_metrics

    def tiles(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x, TILES)[:, 0].flatten(1)

    def used() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    spaces = keep(load_features(["pocket"], pocket=tiles, resolution=SIZE), folder / "cache")
    real, synthetic, train = (
        images(folder, kind, m) for kind, m in (("real", n // 10), ("made", n), ("train", n))
    )
    spaces["pocket"](images(folder, "warm", 64).images)
    before = used()
    began = time.perf_counter()
    vectors = feature_metrics.Vectors.of("pocket", spaces["pocket"], real, synthetic, train)
    encoded = time.perf_counter() - began
    metrics, _ = feature_metrics.distances(vectors, real.patients, resampling=Resampling(BOOTSTRAP))
    metrics |= feature_metrics.keeps_distance(
        vectors, real, synthetic, train, resampling=Resampling(BOOTSTRAP)
    )
    whole = 2.1 * n * SIZE * SIZE * 3 * 4 / 2**20
    numbers = (n, before, used(), whole, encoded, time.perf_counter() - began - encoded)
    sys.stdout.write(f"| {' | '.join(f'{number:,.0f}' for number in numbers)} |\n")


def search(folder: Path, n: int) -> None:
    """The same of the search for copies."""
    from latentdrift.evaluate.privacy.copy_detection import find_copies

    def used() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    real, synthetic, train = (
        images(folder, kind, m) for kind, m in (("real", 20), ("made", n), ("train", 100))
    )
    before = used()
    began = time.perf_counter()
    find_copies(real, synthetic, train, resampling=Resampling(BOOTSTRAP))
    numbers = (n, before, used(), n * SIZE * SIZE * 3 * 4 / 2**20, time.perf_counter() - began)
    sys.stdout.write(f"| {' | '.join(f'{number:,.0f}' for number in numbers)} |\n")


TABLES = {
    "--features": (
        judge,
        ("N", "MB before", "MB at most", "MB of all images", "s for features", "s for the rest"),
    ),
    "--copies": (search, ("N", "MB before", "MB at most", "MB of all images", "s")),
}


def main() -> None:
    """The table."""
    which, *rest = (
        sys.argv[1:] if sys.argv[1:2] and sys.argv[1] in TABLES else ["--features", *sys.argv[1:]]
    )
    fill, header = TABLES[which]
    if rest[:1] == ["--one"]:
        fill(Path(rest[1]), int(rest[2]))
        return
    sys.stdout.write(f"| {' | '.join(header)} |\n|{'---|' * len(header)}\n")
    for n in [int(text) for text in rest] or [2000, 20000]:
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder))
            sys.stdout.flush()
            subprocess.run([sys.executable, __file__, which, "--one", folder, str(n)], check=True)


if __name__ == "__main__":
    main()

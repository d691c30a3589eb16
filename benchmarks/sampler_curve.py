"""Quality against time of sampling: KID and Fréchet distance by sampler and number of steps.

    python benchmarks/sampler_curve.py RUN COHORT OUT.json [--n 96] [--seeds 0 1 2]
        [--samplers ddim ...] [--steps 5 8 ...] [--step-cache 1]
        [--guidance-interval LOW HIGH] [--features pocket]

Draws n images of a fit for every sampler, number of steps and seed; prompts follow the rows of the
test split. Distances are those to the real images of that split, with 95 % intervals over patients
and synthetic images; beside them stands the distance between halves of the real patients. `calls`
counts calls of the network for each image (a call with guidance reads two images), `cpu_s` is
processor time for each image. A finished cell in OUT.json is not drawn again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.evaluate.features.features import Space, load_features
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES, judge
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.resampling import Resampling
from latentdrift.sample.generate import SamplingOptions
from latentdrift.study.model_images import draw_images, prompts_of_split

SAMPLERS = ("ddim", "dpmpp-2m", "unipc", "euler", "heun")
STEPS = (5, 8, 10, 15, 20, 25, 50)
RESAMPLES = 200


@dataclass(frozen=True)
class Cell:
    """One set of images."""

    sampler: str
    steps: int
    seed: int
    cache: int = 1
    """Option `step_cache`."""
    interval: tuple[float, float] | None = None
    """Option `guidance_interval`."""

    @property
    def key(self) -> str:
        cache = f" cache {self.cache}" if self.cache > 1 else ""
        interval = " guided {:g} {:g}".format(*self.interval) if self.interval else ""
        return f"{self.sampler} {self.steps} {self.seed}{cache}{interval}"


def main() -> None:
    options = arguments()
    cohort = Cohort.load(options.cohort)
    model = Model.load(options.run)
    pocket = Base.load("pocket", device="cpu", precision="fp32")
    spaces = load_features(options.features, pocket=pocket.features, resolution=pocket.resolution)
    real = image_sets.from_cohort(cohort, "test", model.info.resolution)
    vectors = {name: space(real.images) for name, space in spaces.items()}
    prompts = prompts_of_split(model, cohort, "test", options.n)
    cells: dict[str, Any] = json.loads(options.out.read_text()) if options.out.is_file() else {}
    for seed in options.seeds:
        for steps in options.steps:
            for sampler in options.samplers:
                cell = cell_of(options, sampler, steps, seed)
                if cell.key in cells:
                    continue
                images, seconds = draw(model, prompts, cell)
                distances = measure(spaces, vectors, images, real.patients)
                cells[cell.key] = {"cpu_s": seconds / options.n, **distances}
                options.out.write_text(json.dumps(cells, indent=1))
                write(cell.key, json.dumps(cells[cell.key]))
    print_table(cells, options, list(spaces))


def cell_of(options: argparse.Namespace, sampler: str, steps: int, seed: int) -> Cell:
    """Cell of a sampler, number of steps and seed, with the options that all cells share."""
    interval = options.guidance_interval
    return Cell(sampler, steps, seed, options.step_cache, tuple(interval) if interval else None)


def draw(model: Model, prompts: dict[int, str], cell: Cell) -> tuple[np.ndarray, float]:
    """Images [N, R, R, 3] of a cell, and their processor seconds."""
    sampling = SamplingOptions(
        seed=cell.seed,
        steps=cell.steps,
        sampler=cell.sampler,
        step_cache=cell.cache,
        guidance_interval=cell.interval,
        resolution=model.info.resolution,
    )
    begun = time.process_time()
    images = np.stack([*draw_images(model, model.drift, prompts, sampling)])
    return images, time.process_time() - begun


def measure(
    spaces: dict[str, Space],
    real: dict[str, np.ndarray],
    images: np.ndarray,
    patients: list[str] | None,
) -> dict[str, Any]:
    """Distances of images [N, R, R, 3] in [0, 1] from the real ones, by name and feature space."""
    result = {}
    for name, space in spaces.items():
        made = space(images)
        for kind in ("kid", "frechet"):
            metric = judge(
                DISTANCES[kind], real[name], made, patients, resampling=Resampling(RESAMPLES, 0)
            )
            result[f"{kind}.{name}"] = metric.to_dict()
    return result


def print_table(cells: dict[str, Any], options: argparse.Namespace, spaces: list[str]) -> None:
    """One table for each feature space: mean KID over seeds and its range."""
    for space in spaces:
        write(f"\nKID x 1000, {space} features: mean over {len(options.seeds)} seeds [range]\n")
        write("| steps | " + " | ".join(options.samplers) + " |")
        write("|---" * (len(options.samplers) + 1) + "|")
        for steps in options.steps:
            row = []
            for sampler in options.samplers:
                keys = [cell_of(options, sampler, steps, seed).key for seed in options.seeds]
                values = [1000 * cells[key][f"kid.{space}"]["value"] for key in keys]
                row.append(f"{np.mean(values):.1f} [{min(values):.1f}, {max(values):.1f}]")
            write(f"| {steps} | " + " | ".join(row) + " |")


def write(*words: object) -> None:
    """Write one line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=96)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samplers", nargs="+", default=[*SAMPLERS])
    parser.add_argument("--steps", type=int, nargs="+", default=[*STEPS])
    parser.add_argument("--step-cache", type=int, default=1)
    parser.add_argument("--guidance-interval", type=float, nargs=2, metavar=("LOW", "HIGH"))
    parser.add_argument("--features", nargs="+", default=["pocket"])
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Quality against training time: KID of fits by method, rate, batch, loss weights and noise.

    python benchmarks/time_to_quality.py COHORT FOLDER [--steps 150 600] [--seeds 0 1 2]
        [--variants full lora ...] [--n 64]

Fits every variant for every number of steps in a process of its own with one thread, draws n images
with prompts of the test split, and prints the KID to that split's real images in features of the
pocket base, with 95 % intervals over patients and synthetic images, beside the processor seconds of
the fit (start-up and calibration included). A schedule ends with its run, so every number of steps
is a run of its own. FOLDER keeps the runs and `results.json`; a finished cell is not fitted again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.evaluate.features.features import load_features
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES, judge
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.resampling import Resampling
from latentdrift.sample.generate import SamplingOptions
from latentdrift.study.model_images import draw_images, prompts_of_split

RESAMPLES = 200

VARIANTS: dict[str, list[str]] = {
    "lora": ["--method", "lora"],
    "lora, attention": ["--method", "lora", "--targets", "attention"],
    "lora, rank 32": ["--method", "lora", "--rank", "32"],
    "full": ["--method", "full"],
    "full, rate 2e-4": ["--method", "full", "--learning-rate", "2e-4"],
    "full, rate 1e-3": ["--method", "full", "--learning-rate", "1e-3"],
    "full, batch 4": ["--method", "full", "--batch-size", "4"],
    "full, batch 16": ["--method", "full", "--batch-size", "16"],
    "full, min-SNR 5": ["--method", "full", "--min-snr", "5"],
    "full, EMA 0.99": ["--method", "full", "--ema", "0.99"],
    "full, no drift": ["--method", "full", "--drift", "none"],
    "full, offset 0.1": ["--method", "full", "--noise", "offset=0.1"],
    "lora, rate 1e-3": ["--method", "lora", "--learning-rate", "1e-3"],
}


def main() -> None:
    options = arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    cohort = Cohort.load(options.cohort)
    pocket = Base.load("pocket", device="cpu", precision="fp32")
    space = load_features(["pocket"], pocket=pocket.features, resolution=pocket.resolution)[
        "pocket"
    ]
    real = image_sets.from_cohort(cohort, "test", pocket.resolution)
    vectors = space(real.images)
    for seed in options.seeds:
        for variant in options.variants:
            for steps in options.steps:
                key = f"{variant} | {steps} | {seed}"
                if key in results:
                    continue
                run = options.folder / key.replace(" | ", "-").replace(" ", "").replace(",", "-")
                seconds = fit(options.cohort, run, VARIANTS[variant], steps, seed)
                images = draw(Model.load(run), cohort, options.n, seed)
                kid = judge(
                    DISTANCES["kid"],
                    vectors,
                    space(images),
                    real.patients,
                    resampling=Resampling(RESAMPLES, 0),
                ).to_dict()
                results[key] = {"cpu_s": seconds, "kid": kid}
                path.write_text(json.dumps(results, indent=1))
                write(key, round(seconds), json.dumps(kid))
    print_table(results, options.variants, options.steps, options.seeds)


def fit(cohort: Path, run: Path, variant: list[str], steps: int, seed: int) -> float:
    """Fit in a process of its own; returns its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [
            *(sys.executable, "-m", "latentdrift", "fit", str(cohort), "--out", str(run)),
            *("--steps", str(steps), "--seed", str(seed), "--preview-every", "0"),
            *("--checkpoint-every", str(steps)),
            *variant,
        ],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def draw(model: Model, cohort: Cohort, n: int, seed: int) -> np.ndarray:
    """n images [n, R, R, 3] in [0, 1], 25 steps of ddim."""
    prompts = prompts_of_split(model, cohort, "test", n)
    sampling = SamplingOptions(seed=seed, steps=25, resolution=model.info.resolution)
    return np.stack([*draw_images(model, model.drift, prompts, sampling)])


def print_table(
    results: Mapping[str, Any], variants: list[str], steps: list[int], seeds: list[int]
) -> None:
    """Mean KID over seeds and its range, and mean processor seconds of the fit."""
    write(f"\nKID x 1000: mean over {len(seeds)} seeds [range]; processor seconds of the fit\n")
    write("| variant | " + " | ".join(f"{count} steps" for count in steps) + " |")
    write("|---" * (len(steps) + 1) + "|")
    for variant in variants:
        row = []
        for count in steps:
            cells = [results[f"{variant} | {count} | {seed}"] for seed in seeds]
            values = [1000 * cell["kid"]["value"] for cell in cells]
            seconds = np.mean([cell["cpu_s"] for cell in cells])
            extent = f"[{min(values):.1f}, {max(values):.1f}]"
            row.append(f"{np.mean(values):.1f} {extent}, {seconds:.0f} s")
        write(f"| {variant} | " + " | ".join(row) + " |")


def write(*words: object) -> None:
    """Write one line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--steps", type=int, nargs="+", default=[150, 600])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=[*VARIANTS], choices=[*VARIANTS])
    return parser.parse_args()


if __name__ == "__main__":
    main()

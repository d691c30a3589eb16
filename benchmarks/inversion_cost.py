"""Calls of the network and error of the round trip, by iterations of a DDIM inversion.

    python benchmarks/inversion_cost.py RUN COHORT [--steps 50 20] [--strength 0.6]

Inverts one image of every test patient and samples it again under its own prompt, without guidance.
Printed are the mean number of calls of an inversion, and the PSNR of the decoded result against the
decoded latent, with 95 % intervals over patients.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.edit.inversions.inversion import ddim_inversion
from latentdrift.evaluate.statistics.bootstrap import rng
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.model import Model
from latentdrift.sample.samplers import run
from latentdrift.sample.synthetic_cohort import follow_rows

ITERATIONS = (1, 2, None)
RESAMPLES = 1000


def main() -> None:
    options = arguments()
    cohort = Cohort.load(options.cohort)
    model = Model.load(options.run)
    rows = cohort.rows("test").groupby("patient").head(1)
    images = torch.from_numpy(cohort.batch(rows, model.info.side))
    prompts = [request.prompt for request in follow_rows(rows.to_dict("records"), model.info)]
    write("| steps | iterations | calls of the network | PSNR of the round trip (dB) |\n")
    write("|---|---|---|---|\n")
    for steps in options.steps:
        for iterations in ITERATIONS:
            trips = [
                round_trip(model, image[None], prompt, steps, options.strength, iterations)
                for image, prompt in zip(images, prompts, strict=True)
            ]
            calls, psnr = np.array(trips).T
            name = iterations or "as many as a step needs"
            write(f"| {steps} | {name} | {interval(calls)} | {interval(psnr)} |\n")
    write(f"\n{len(images)} patients, one image each.\n")


@torch.no_grad()
def round_trip(
    model: Model, image: Tensor, prompt: str, steps: int, strength: float, iterations: int | None
) -> tuple[int, float]:
    """Calls of the inversion of an image [1, 3, R, R], and the PSNR of its round trip."""
    base = model.base
    x0 = base.moments(image)[0]
    context = base.embed([prompt])
    network = model.drift.wrap(base.denoiser(), base.schedule)
    calls = 0

    def counted(xt: Tensor, t: float | Tensor, condition: Conditioning) -> Tensor:
        nonlocal calls
        calls += 1
        return network(xt, t, condition)

    depth = max(1, round(strength * steps))
    xt = ddim_inversion(counted, base.schedule, x0, context, steps, depth, iterations=iterations)
    back = run(network, base.schedule, "ddim", steps, xt, context, [], start_index=steps - depth)
    error = (base.decode(back) - base.decode(x0)).pow(2).mean().item()
    return calls, 10 * np.log10(2**2 / error)


def interval(values: np.ndarray) -> str:
    """Mean and its 95 % percentile interval over patients."""
    chosen = rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[chosen].mean(1), [0.025, 0.975])
    return f"{values.mean():.1f} [{low:.1f}, {high:.1f}]"


def write(text: str) -> None:
    """Write text at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 20, 15])
    parser.add_argument("--strength", type=float, default=0.6)
    return parser.parse_args()


if __name__ == "__main__":
    main()

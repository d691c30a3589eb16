"""What the pocket base can do: autoencoder PSNR on pictures it never saw, and whether captions
steer it.

    python benchmarks/pocket.py [COHORT ...]

Probe: logistic regression from what the base's own encoder sees, on a grid of 4 x 4 places, to the
    kind of picture. It is
learned on new pictures of the captioned world and tried on others, which is its ceiling; then it is
asked what the base's samples show under new captions of each kind.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latentdrift import Base, Cohort, Drift
from latentdrift.evaluate.statistics.bootstrap import proportion_interval
from latentdrift.sample.generate import SamplingOptions, generate
from recipes.pocket.pictures import KINDS, picture

SEED = 777
EACH = 16
STEPS = 25
GUIDANCE = 2.5
QUANTILES = 16
PICTURES = 250  # of each kind, to learn the probe on, and as many to try it on
FAR = 500_000_000  # pictures from here on were not in the base's training


def psnr(base: Base, cohort: Cohort) -> str:
    """Mean over test images of PSNR in dB on [-1, 1], with a 95 % interval over images."""
    x = torch.from_numpy(cohort.batch(cohort.rows("test"), base.resolution))
    mean, _ = base.moments(x)
    error = (base.decode(mean) - x).pow(2).mean((1, 2, 3))
    values = (10 * torch.log10(4 / error)).numpy()
    half = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.2f} +- {half:.2f} dB, n = {len(values)}"


def pictures(first: int) -> tuple[torch.Tensor, list[str]]:
    """PICTURES new ones of every kind, [N, 3, 128, 128] in [-1, 1], and their kinds."""
    made = [(picture(first + i, SEED, kind)[0], kind) for kind in KINDS for i in range(PICTURES)]
    return torch.from_numpy(np.stack([pixels for pixels, _ in made])).permute(0, 3, 1, 2) * 2 - 1, [
        kind for _, kind in made
    ]


@torch.no_grad()
def seen(base: Base, x: torch.Tensor) -> np.ndarray:
    """[N, D] of pictures: by channel of the encoder, mean and spread on a 4 x 4 grid and over all,
    and quantiles."""
    parts = []
    for batch in x.split(16):
        hidden = base.vae.encoder.conv_in(batch.contiguous())
        found = []
        for block in base.vae.encoder.down_blocks:
            hidden = block(hidden)
            ordered = hidden.flatten(2).sort(-1).values
            found.append(ordered[..., :: ordered.shape[-1] // QUANTILES])
            for places in (4, 1):
                mean = F.adaptive_avg_pool2d(hidden, places)
                found += [
                    mean,
                    (F.adaptive_avg_pool2d(hidden.square(), places) - mean.square())
                    .clamp(min=0)
                    .sqrt(),
                ]
        parts.append(torch.cat([part.flatten(1) for part in found], dim=1))
    return torch.cat(parts).numpy()


def share(hits: np.ndarray) -> str:
    """Of successes, with its 95 % interval."""
    low, high = proportion_interval(int(hits.sum()), len(hits))
    return f"{hits.mean():.1%} [{low:.1%}, {high:.1%}], n = {len(hits)}"


def probe(base: Base) -> str:
    """Share of samples in which the probe sees the captioned kind."""
    learned = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    shown, kinds = pictures(FAR)
    learned.fit(seen(base, shown), kinds)
    others, truth = pictures(FAR + 100_000)
    ceiling = learned.predict(seen(base, others)) == np.array(truth)
    asked = [(kind, picture(FAR + 1000 + i, SEED, kind)[1]) for kind in KINDS for i in range(EACH)]
    sampling = SamplingOptions(seed=SEED, steps=STEPS, guidance=GUIDANCE, sampler="ddim")
    drawn = dict(
        generate(base, Drift(), {i: caption for i, (_, caption) in enumerate(asked)}, sampling)
    )
    samples = torch.from_numpy(np.stack([drawn[i] for i in range(len(asked))])).permute(0, 3, 1, 2)
    right = learned.predict(seen(base, samples)) == np.array([kind for kind, _ in asked])
    each = ", ".join(
        f"{kind} {right[i * EACH : (i + 1) * EACH].mean():.0%}" for i, kind in enumerate(KINDS)
    )
    return f"{share(right)} ({each}); of new pictures: {share(ceiling)}"


def main() -> None:
    """Print it all."""
    base = Base.load("pocket", precision="fp32")
    for folder in sys.argv[1:]:
        sys.stdout.write(
            f"autoencoder PSNR on the test images of {folder}: {psnr(base, Cohort.load(folder))}\n"
        )
    sys.stdout.write(f"captioned kind recovered from samples: {probe(base)}\n")


if __name__ == "__main__":
    main()

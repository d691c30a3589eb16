"""What the pocket base can do: autoencoder PSNR on pictures it never saw, and whether captions steer it.

    python benchmarks/pocket.py [COHORT ...]

Probe: logistic regression from the base's own encoder features to the kind of picture, learned on new pictures of
the captioned world, then asked what the base's samples show under new captions of each kind.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latentdrift import Base, Cohort, Drift
from latentdrift.evaluate.bootstrap import proportion_interval
from latentdrift.model.pocket.recipe.pictures import KINDS, picture
from latentdrift.sample.generate import generate

SEED, EACH, STEPS, GUIDANCE = 777, 16, 25, 2.5
FAR = 500_000_000  # pictures from here on were not in the base's training


def psnr(base: Base, cohort: Cohort) -> str:
    """Mean over test images of PSNR in dB on [-1, 1], with a 95 % interval over images."""
    x = torch.from_numpy(cohort.batch(cohort.rows("test"), base.resolution))
    mean, _ = base.moments(x)
    error = (base.decode(mean) - x).pow(2).mean((1, 2, 3))
    values = (10 * torch.log10(4 / error)).numpy()
    half = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.2f} +- {half:.2f} dB, n = {len(values)}"


def probe(base: Base) -> str:
    """Share of samples in which the probe sees the captioned kind."""
    kinds = list(KINDS)
    shown = [(kind, picture(FAR + i, SEED, kind)) for kind in kinds for i in range(60)]
    pixels = torch.from_numpy(np.stack([made[0] for _, made in shown])).permute(0, 3, 1, 2) * 2 - 1
    learned = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    learned.fit(torch.cat([base.features(part) for part in pixels.split(16)]).numpy(), [kind for kind, _ in shown])
    asked = [(kind, picture(FAR + 1000 + i, SEED, kind)[1]) for kind in kinds for i in range(EACH)]
    how = {"seed": SEED, "steps": STEPS, "guidance": GUIDANCE, "sampler": "ddim"}
    drawn = dict(generate(base, Drift(), {i: caption for i, (_, caption) in enumerate(asked)}, **how))
    samples = torch.from_numpy(np.stack([drawn[i] for i in range(len(asked))])).permute(0, 3, 1, 2)
    said = learned.predict(torch.cat([base.features(part.contiguous()) for part in samples.split(16)]).numpy())
    right = np.array([kind == word for (kind, _), word in zip(asked, said, strict=True)])
    each = ", ".join(f"{kind} {right[i * EACH : (i + 1) * EACH].mean():.0%}" for i, kind in enumerate(kinds))
    low, high = proportion_interval(int(right.sum()), len(right))
    return f"{right.mean():.1%} [{low:.1%}, {high:.1%}], n = {len(right)} ({each})"


def main() -> None:
    """Print it all."""
    base = Base.load("pocket", precision="fp32")
    for folder in sys.argv[1:]:
        sys.stdout.write(f"autoencoder PSNR on the test images of {folder}: {psnr(base, Cohort.load(folder))}\n")
    sys.stdout.write(f"captioned kind recovered from samples: {probe(base)}\n")


if __name__ == "__main__":
    main()

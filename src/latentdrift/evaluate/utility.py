"""How useful pictures are: a classifier learns from them and is tested on real ones (train on synthetic, test on real).

The classifier is a small network of ours that starts from nothing, so its score says what the pictures taught it. It takes the
same number of optimiser steps whatever the number of pictures: more of them are never more training (de Wilde et al. 2024).

    real                       utility([real], test)
    synthetic                  utility([synthetic], test)
    real + synthetic           utility([real.take(n, seed) + synthetic.take(n, seed)], test)
    synthetic, then real       utility([synthetic, real], test)
    dose curve                 utility([synthetic.take(n, seed)], test) over n
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdrift.errors import InputError
from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.bootstrap import FEWEST, draws, groups, interval, rng
from latentdrift.evaluate.features import resize
from latentdrift.seeds import derive, generator

SIZE = 64  # pixels on a side at which the classifier looks
WIDTHS = (16, 32, 64, 128)  # channels of the blocks; 98 k parameters
BATCH = 32  # pictures per step, half of each class (A batch of 32: de Wilde et al. 2024)
RATE = 1e-3  # of AdamW, down to 0 by a cosine; the default of Adam (Kingma and Ba 2015)
STEPS = 400
LEAST = 2  # pictures of each class
SHIFT, GAIN, GAMMA = 3, 0.1, 0.2  # augmentation at most: pixels of SIZE, share, |log gamma|; no flips, left and right differ


@dataclass(frozen=True)
class Labelled:
    """Pictures of two classes, as the classifier sees them.

    Attributes:
        x: float32 [N, 3, SIZE, SIZE] in [0, 1].
        labels: int [N], 1 for the class that is looked for and 0 for the rest.
        patients: whose picture each one is; None where nobody knows.
    """

    x: Tensor
    labels: np.ndarray
    patients: list[str] | None = None

    @classmethod
    def of(cls, pictures: ImageSet, labels: Sequence[int] | np.ndarray) -> Labelled:
        """Pictures of any size.

        Raises:
            InputError: Not one label of 0 or 1 per picture.
        """
        marks = np.asarray(labels)
        if len(marks) != len(pictures) or not np.isin(marks, (0, 1)).all():
            raise InputError(
                f"{len(pictures)} pictures come with {len(marks)} labels, {sorted(set(marks.tolist()))[:5]} among them; give "
                "each picture a 1 or a 0"
            )
        return cls(resize(pictures.images, SIZE).contiguous(), marks.astype(int), pictures.patients)

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, other: Labelled) -> Labelled:
        """Both; patients stay only where both sets know them."""
        patients = None if self.patients is None or other.patients is None else [*self.patients, *other.patients]
        return Labelled(torch.cat([self.x, other.x]), np.concatenate([self.labels, other.labels]), patients)

    def take(self, n: int, seed: int) -> Labelled:
        """At most n pictures by chance; the classes keep their shares, to one picture."""
        ones = round(n * self.labels.mean())
        wanted = {0: n - ones, 1: ones}
        source = rng(seed, "take")
        places = np.sort(
            np.concatenate([source.permutation(np.flatnonzero(self.labels == label))[:most] for label, most in wanted.items()])
        )
        patients = None if self.patients is None else [self.patients[place] for place in places]
        return Labelled(self.x[places], self.labels[places], patients)

    def check(self, use: str) -> None:
        """Raises InputError: fewer than LEAST pictures of a class."""
        ones = int(self.labels.sum())
        if min(ones, len(self) - ones) < LEAST:
            raise InputError(
                f"a classifier is {use} on at least {LEAST} pictures of each class, and these are {ones} of the class that is "
                f"looked for and {len(self) - ones} of the rest; take another class, or more pictures"
            )


@dataclass(frozen=True)
class Utility:
    """What a classifier made of the test pictures."""

    scores: np.ndarray
    """[M], the log-odds of class 1 for each test picture."""
    auc: float
    ci: list[float] | None
    """95 % interval of the AUC over resampled patients."""
    trained: list[tuple[int, int]]
    """Pictures of (class 0, class 1) in each stage."""
    tested: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a result; without the scores, which are one per patient's picture."""
        return {"value": self.auc, "ci": self.ci, "trained": self.trained, "tested": self.tested}


def utility(
    train: Sequence[Labelled], test: Labelled, *, steps: int = STEPS, seed: int = 0, bootstrap: int = 200, device: str = "cpu"
) -> Utility:
    """Train a classifier in one or several stages, and test it.

    Args:
        train: What is learned, one set after another; the stages share the steps.
        test: Real pictures of patients whom `train` does not hold.
        steps: Optimiser steps in all.
        seed: Of the network, the batches, the augmentation and the resamples; the same seed gives the same scores.
        bootstrap: Resamples of test patients behind the interval.
        device: Where the network runs.

    Raises:
        InputError: Before work starts: too few pictures of a class, or fewer steps than stages.
    """
    for stage in train:
        stage.check("trained")
    test.check("tested")
    if not 0 < len(train) <= steps:
        raise InputError(f"{steps} steps cannot be shared by {len(train)} stages; give at least one stage, and a step for each")
    network = classifier(seed).to(device)
    bounds = [round(steps * place / len(train)) for place in range(len(train) + 1)]
    for place, stage in enumerate(train):
        learn(network, stage, bounds[place + 1] - bounds[place], generator(seed, "utility", place))
    scores = score(network, test.x)
    value, ci = auc(test.labels, scores, test.patients, bootstrap=bootstrap, seed=seed)
    return Utility(scores, value, ci, [_counts(stage) for stage in train], _counts(test))


def classifier(seed: int) -> nn.Sequential:
    """The untrained network, pictures [B, 3, S, S] in [0, 1] -> log-odds [B, 1]: blocks that halve the side, a global mean."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "classifier"))
        layers: list[nn.Module] = []
        for before, after in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.GroupNorm(8, after), nn.SiLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 1))


def learn(network: nn.Module, stage: Labelled, steps: int, source: torch.Generator) -> None:
    """Train for `steps` batches with as many pictures of one class as of the other."""
    device = next(network.parameters()).device
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    members = [torch.from_numpy(np.flatnonzero(stage.labels == label)) for label in (0, 1)]
    target = torch.arange(2, dtype=torch.float32, device=device).repeat_interleave(BATCH // 2)
    network.train()
    for _ in range(steps):
        places = torch.cat([own[torch.randint(len(own), (BATCH // 2,), generator=source)] for own in members])
        x = augment(stage.x[places], source).to(device)
        loss = functional.binary_cross_entropy_with_logits(network(2 * x - 1)[:, 0], target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()


def augment(x: Tensor, source: torch.Generator) -> Tensor:
    """Pictures [B, 3, S, S] in [0, 1], each brightened, gamma-corrected and shifted a little, with its edge repeated."""
    draw = 2 * torch.rand(2, len(x), 1, 1, 1, generator=source) - 1
    x = (x ** torch.exp(GAMMA * draw[0]) * (1 + GAIN * draw[1])).clamp(0, 1)
    padded, side = functional.pad(x, (SHIFT,) * 4, mode="replicate"), x.shape[-1]
    corners = torch.randint(2 * SHIFT + 1, (len(x), 2), generator=source).tolist()
    return torch.stack([picture[:, i : i + side, j : j + side] for picture, (i, j) in zip(padded, corners, strict=True)])


@torch.inference_mode()
def score(network: nn.Module, x: Tensor) -> np.ndarray:
    """Log-odds [N] of class 1."""
    device = next(network.parameters()).device
    return torch.cat([network(2 * part.to(device) - 1)[:, 0].cpu() for part in x.split(BATCH)]).double().numpy()


def auc(
    labels: np.ndarray, scores: np.ndarray, patients: list[str] | None, *, bootstrap: int, seed: int
) -> tuple[float, list[float] | None]:
    """Area under the ROC curve, and its 95 % interval over resampled patients; resamples of one class alone say nothing.

    None for the interval where either class has fewer than FEWEST patients.
    """
    from sklearn.metrics import roc_auc_score

    value, units = float(roc_auc_score(labels, scores)), groups(len(labels), patients)
    if min(len(np.unique(units[labels == label])) for label in (0, 1)) < FEWEST:
        return value, None
    both = (w for w in draws(units, bootstrap, rng(seed, "auc"), 2) if 0 < (w * labels).sum() < w.sum())
    low, high = interval(value, [roc_auc_score(labels, scores, sample_weight=w) for w in both])
    return value, [max(0.0, low), min(1.0, high)]


def seconds_per_step() -> float:
    """Wall time of a step on this machine, from a few real ones on a grey picture."""
    stage, tried = Labelled(torch.full((2, 3, SIZE, SIZE), 0.5), np.arange(2)), 3
    learn(classifier(0), stage, 1, generator(0))  # the first step warms up
    began = time.perf_counter()
    learn(classifier(0), stage, tried, generator(0))
    return (time.perf_counter() - began) / tried


def _counts(of: Labelled) -> tuple[int, int]:
    ones = int(of.labels.sum())
    return len(of) - ones, ones

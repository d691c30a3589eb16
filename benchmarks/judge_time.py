"""Time of judging N images against N others, beside torchmetrics and torch-fidelity: same images,
network, resize and machine.

    pip install --no-deps --target FOLDER torch-fidelity
    python benchmarks/judge_time.py FOLDER [N]             default: 1000

Each tool is given phantom brains of 128 pixels in memory and the same SqueezeNet 1.1 (random
weights: time and agreement do not depend on them) behind the same resize, and computes the Fréchet
    distance and KID over 100 subsets of N / 2, which each draws in
its own way. Each round runs all of them, each in a process of its own, in an order of its own;
imports are not counted. Printed are the medians over rounds, and the range. torch-fidelity imports
torchvision, of which nothing is used here: an empty one stands in for it in that process alone,
because torchmetrics, too, would take it for a whole one.
"""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import time
import types
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from latentdrift.data.phantom.phantom import BrainAttributes, brain
from latentdrift.evaluate.features.features import Space
from latentdrift.evaluate.features.resizing import resize
from latentdrift.evaluate.features.squeezenet import SIZE, SqueezeNet
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.metrics import feature_metrics
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.evaluate.statistics.bootstrap import choose, rng
from latentdrift.resampling import Resampling

ROUNDS = 3
BATCH = 16
PIXELS = 128
DISTINCT = 200
SUBSETS = 100
FEATURES = 512


class Encoder(nn.Module):
    """uint8 [B, 3, H, W] -> [B, 512]."""

    num_features = FEATURES

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = SqueezeNet().eval().requires_grad_(False)
        for layer in self.network.layers.values():
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(resize(x.permute(0, 2, 3, 1).numpy().astype(np.float32) / 255, SIZE))


def pictures(n: int, first: int) -> Tensor:
    """uint8 [n, 3, PIXELS, PIXELS]: phantoms, each with a grain of its own."""
    drawn = [
        brain(first + i, BrainAttributes(60 + i % 30, "FM"[i % 2]), visit=0, size=PIXELS)
        for i in range(min(n, DISTINCT))
    ]
    grain = np.random.default_rng(first)
    noisy = [
        np.clip(drawn[i % DISTINCT] + grain.normal(0, 0.03, (PIXELS, PIXELS)), 0, 1)
        for i in range(n)
    ]
    return (
        torch.from_numpy((255 * np.stack(noisy)).astype(np.uint8))[:, None]
        .expand(-1, 3, -1, -1)
        .contiguous()
    )


def network(encoder: Encoder, real: Tensor, made: Tensor) -> dict[str, float]:
    with torch.inference_mode():
        for part in (*real.split(BATCH), *made.split(BATCH)):
            encoder(part)
    return {}


def _vectors(encoder: Encoder, real: Tensor, made: Tensor) -> feature_metrics.Vectors:
    space = Space("squeezenet", "", lambda images: encoder.network(resize(images, SIZE)))
    sets = [
        EvaluationImages(x.permute(0, 2, 3, 1).numpy().astype(np.float32) / 255)
        for x in (real, made)
    ]
    return feature_metrics.Vectors.of("squeezenet", space, *sets, None)


def ours(encoder: Encoder, real: Tensor, made: Tensor) -> dict[str, float]:
    vectors = _vectors(encoder, real, made)
    draw = rng(0)
    everything = np.ones(len(real), bool), np.ones(len(made), bool)
    frechet, kid = (
        DISTANCES[name].prepare(vectors.real, vectors.synthetic) for name in ("frechet", "kid")
    )
    subsets = [
        kid(*(choose(every, len(real) // 2, draw) for every in everything)) for _ in range(SUBSETS)
    ]
    return {"frechet": frechet(*everything), "kid": float(np.mean(subsets))}


def report(encoder: Encoder, real: Tensor, made: Tensor) -> dict[str, float]:
    metrics, _ = feature_metrics.distances(
        _vectors(encoder, real, made), None, resampling=Resampling(200)
    )
    return {name: metrics[f"{name}.squeezenet"].value for name in ("frechet", "kid")}


def torchmetrics(encoder: Encoder, real: Tensor, made: Tensor) -> dict[str, float]:
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance
    from torchmetrics.wrappers import FeatureShare

    fid = FrechetInceptionDistance(feature=encoder)
    kid = KernelInceptionDistance(feature=encoder, subsets=SUBSETS, subset_size=len(real) // 2)
    both = FeatureShare([fid, kid])  # or each would encode for itself
    for images, is_real in ((real, True), (made, False)):
        for part in images.split(BATCH):
            both.update(part, real=is_real)
    told = both.compute()
    return {
        "frechet": float(told["FrechetInceptionDistance"]),
        "kid": float(told["KernelInceptionDistance"][0]),
    }


def fidelity(encoder: Encoder, real: Tensor, made: Tensor) -> dict[str, float]:
    import torch_fidelity
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class Extractor(FeatureExtractorBase):
        def __init__(self, name: str, features_list: list[str], **_unused: object) -> None:
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("512",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "512"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, x: Tensor) -> tuple[Tensor]:
            return (encoder(x),)

    name = f"same-{time.perf_counter_ns()}"  # a name may be registered once
    torch_fidelity.register_feature_extractor(name, Extractor)
    told = torch_fidelity.calculate_metrics(
        input1=Images(real),
        input2=Images(made),
        cuda=False,
        batch_size=BATCH,
        fid=True,
        kid=True,
        feature_extractor=name,
        kid_subsets=SUBSETS,
        kid_subset_size=len(real) // 2,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
    )
    return {
        "frechet": told["frechet_inception_distance"],
        "kid": told["kernel_inception_distance_mean"],
    }


class Images(torch.utils.data.Dataset):
    """A tensor of pictures, one at a time."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> Tensor:
        return self.images[place]


TOOLS: dict[str, Callable[[Encoder, Tensor, Tensor], dict[str, float]]] = {
    "network alone": network,
    "latentdrift, Fréchet and KID": ours,
    "latentdrift, all distances with 200 resamples and floors": report,
    "torchmetrics, Fréchet and KID": torchmetrics,
    "torch-fidelity, Fréchet and KID": fidelity,
}


def no_torchvision() -> None:
    """An empty one, where there is none."""
    if importlib.util.find_spec("torchvision") is None:
        made = {
            name: types.ModuleType(f"torchvision{name}")
            for name in ("", ".datasets", ".transforms", ".transforms.functional")
        }
        vars(made[".datasets"]).update(
            dict.fromkeys(("CIFAR10", "STL10", "CIFAR100"), torch.utils.data.Dataset)
        )
        sys.modules.update({module.__name__: module for module in made.values()})


def one(name: str, folder: str, n: int) -> None:
    """Print what a tool finds, and its seconds."""
    if name.startswith("torch-fidelity"):
        no_torchvision()
        sys.path.insert(0, folder)
    encoder = Encoder()
    real = pictures(n, 0)
    made = pictures(n, 10_000)
    TOOLS[name](encoder, real[:BATCH], made[:BATCH])  # imports, and first calls
    began = time.perf_counter()
    found = TOOLS[name](encoder, real, made)
    sys.stdout.write(json.dumps({**found, "seconds": time.perf_counter() - began}))


def main() -> None:
    """The table."""
    if sys.argv[1] == "--one":
        one(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    folder = sys.argv[1]
    n = int(sys.argv[2]) if sys.argv[2:] else 1000
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in TOOLS}
    for turn in range(ROUNDS):
        for name in random.Random(turn).sample(list(TOOLS), len(TOOLS)):
            call = [sys.executable, __file__, "--one", name, folder, str(n)]
            told = subprocess.run(call, check=True, capture_output=True, text=True).stdout
            rounds[name].append(json.loads(told.splitlines()[-1]))
    seconds = {name: [each["seconds"] * 500 / n for each in told] for name, told in rounds.items()}
    base = float(np.median(seconds["latentdrift, Fréchet and KID"]))
    sys.stdout.write(
        f"| {n} against {n} images | s per 1,000 images | range | ratio | Fréchet "
        "|\n|---|---|---|---|---|\n"
    )
    for name, each in seconds.items():
        middle = float(np.median(each))
        found = rounds[name][0].get("frechet")
        row = [
            name,
            f"{middle:.1f}",
            f"{min(each):.1f} to {max(each):.1f}",
            f"{middle / base:.2f}",
            f"{found:.6g}" if found else "–",
        ]
        sys.stdout.write(f"| {' | '.join(row)} |\n")


if __name__ == "__main__":
    main()

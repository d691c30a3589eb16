"""Networks of classifiers: a small one of ours, or a published backbone by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentdrift.errors import InputError
from latentdrift.evaluate.features.preprocessing import Entrance
from latentdrift.seeds import derive

SIZE = 64  # pixels on a side at which the small network looks
WIDTHS = (16, 32, 64, 128)  # channels of its blocks; 98 k parameters
RATE = 1e-3  # of AdamW; the default of Adam (Kingma and Ba 2015)
TUNED = 1e-4  # of a backbone that has learned already (de Wilde et al. 2024)


@dataclass(frozen=True)
class Network:
    """A kind of network.

    Attributes:
        name: Name of the network.
        size: Pixels on a side at which it looks.
        rate: Its learning rate.
        make: (seed, outputs) -> a new one, pictures [B, 3, size, size] in [-1, 1] -> [B, outputs].
    """

    name: str
    size: int
    rate: float
    make: Callable[[int, int], nn.Module]


def classifier(seed: int, outputs: int = 1) -> nn.Sequential:
    """Small convolutional network with random weights, for images [B, 3, H, W].

    Blocks halve the side; then come a mean over positions and a linear layer.

    Args:
        seed: Seed of the weights.
        outputs: Number of logits.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "classifier"))
        layers: list[nn.Module] = []
        for before, after in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.GroupNorm(8, after),
                nn.SiLU(),
                nn.MaxPool2d(2),
            ]
        return nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], outputs)
        )


SMALL = Network("small", SIZE, RATE, classifier)


def load_network(name: str) -> Network:
    """Find a kind of network by name; its last layer is new, and all layers are trained.

    Names such as `timm/resnet18.a1_in1k` are read through transformers and need `timm`.

    Args:
        name: `small`, or the folder or id of a Hugging Face vision model.

    Raises:
        InputError: No such model, incomplete weights, or a package that is not installed.
    """
    if name == SMALL.name:
        return SMALL
    try:
        entrance = Entrance.of(name)
        _pretrained(name, 0, 1)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(
            f"no vision model could be read from '{name}' ({' '.join(str(error).split())[:200]}); "
            "give `small`, a folder with config.json, preprocessor_config.json and weights, or the "
            "id of a model that this machine has or can reach; ids that begin with timm/ need `pip "
            "install timm`"
        ) from error
    return Network(
        name,
        entrance.size,
        TUNED,
        lambda seed, outputs: Tuned(_pretrained(name, seed, outputs), entrance),
    )


class Tuned(nn.Module):
    """A backbone that takes pictures [B, 3, S, S] in [-1, 1] and gives its logits alone."""

    def __init__(self, model: nn.Module, entrance: Entrance) -> None:
        super().__init__()
        self.model = model
        self.entrance = entrance

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, outputs] of images [B, 3, S, S] in [-1, 1]."""
        result: Tensor = self.model(pixel_values=self.entrance.scale((x + 1) / 2)).logits
        return result


def _pretrained(name: str, seed: int, outputs: int) -> nn.Module:
    """With a new last layer; weights that lack anything else would mean nothing."""
    from transformers import AutoModelForImageClassification

    settings = {
        "num_labels": outputs,
        "ignore_mismatched_sizes": True,
        "dtype": torch.float32,
        "output_loading_info": True,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "classifier"))
        model, info = AutoModelForImageClassification.from_pretrained(name, **settings)
    lost = sorted(
        key
        for key in info["missing_keys"]
        if key.startswith(f"{model.base_model_prefix}.") and "pooler" not in key
    )
    if lost:
        raise InputError(
            f"'{name}' lacks weights, e.g. {lost[0]}; features of an untrained backbone "
            "mean nothing; give a complete one"
        )
    result: nn.Module = model
    return result

"""SqueezeNet 1.1 from its Keras ImageNet file: 512 features per picture from 0.7 million
parameters.

The file is `squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5` of the keras-squeezenet project
(MIT): kernels in the order height, width, in, out; trained on BGR with the Caffe means subtracted,
without padding in the first convolution and the pools.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from latentdrift.errors import InputError

# name: (squeezed, expanded) channels (Iandola et al. 2016; the 1.1 release of its authors)
FIRES = {
    "fire2": (16, 64),
    "fire3": (16, 64),
    "fire4": (32, 128),
    "fire5": (32, 128),
    "fire6": (48, 192),
    "fire7": (48, 192),
    "fire8": (64, 256),
    "fire9": (64, 256),
}
TAPS = (
    "conv1",
    "fire3",
    "fire5",
    "fire6",
    "fire7",
    "fire8",
    "fire9",
)  # where LPIPS looks (Zhang et al. 2018's code, v0.1)
POOL_AFTER = ("fire3", "fire5")
CAFFE_MEANS = (
    103.939,
    116.779,
    123.68,
)  # blue, green, red, of 0 to 255 (Caffe's ILSVRC-2012 mean pixel)
SIZE = 227  # pixels on a side (Iandola et al. 2016)


class SqueezeNet(nn.Module):
    """RGB pictures [B, 3, 227, 227] in [0, 1] -> globally averaged features of the last fire module
    [B, 512]."""

    def __init__(self) -> None:
        super().__init__()
        convolutions: dict[str, nn.Module] = {"conv1": nn.Conv2d(3, 64, 3, stride=2)}
        channels = 64
        for name, (squeezed, expanded) in FIRES.items():
            convolutions[f"{name}/squeeze1x1"] = nn.Conv2d(channels, squeezed, 1)
            convolutions[f"{name}/expand1x1"] = nn.Conv2d(squeezed, expanded, 1)
            convolutions[f"{name}/expand3x3"] = nn.Conv2d(squeezed, expanded, 3, padding=1)
            channels = 2 * expanded
        self.layers = nn.ModuleDict(convolutions)

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, 512] of RGB images [B, 3, 227, 227] in [0, 1]."""
        return self.stages(x)[-1].mean(dim=(2, 3))

    def stages(self, x: Tensor) -> list[Tensor]:
        """Outputs of the layers of TAPS, [B, C, h, w] each, for RGB images [B, 3, H, W] in [0,
        1]."""
        x = 255.0 * x.flip(1) - x.new_tensor(CAFFE_MEANS).view(1, 3, 1, 1)
        x = self.layers["conv1"](x).relu()
        layers = {"conv1": x}
        x = nn.functional.max_pool2d(x, 3, 2)
        for name in FIRES:
            squeezed = self.layers[f"{name}/squeeze1x1"](x).relu()
            x = torch.cat(
                [
                    self.layers[f"{name}/{expand}"](squeezed).relu()
                    for expand in ("expand1x1", "expand3x3")
                ],
                dim=1,
            )
            layers[name] = x
            if name in POOL_AFTER:
                x = nn.functional.max_pool2d(x, 3, 2)
        return [layers[name] for name in TAPS]


@torch.inference_mode()
def unlikeness(network: SqueezeNet, a: Tensor, b: Tensor) -> Tensor:
    """Perceptual distance of pairs of images (Zhang et al. 2018, eq. 1, with w = 1).

    It is LPIPS without linear weights, which exist only for torchvision's training of this network.
    The values are not comparable with LPIPS, nor between two image sizes.

    Args:
        network: The network.
        a: RGB images [B, 3, H, W] in [0, 1].
        b: RGB images [B, 3, H, W] in [0, 1].

    Returns:
        [B], from 0 for equal images.
    """
    total = a.new_zeros(len(a))
    for x, y in zip(network.stages(a), network.stages(b), strict=True):
        x, y = (
            z / (z.square().sum(1, keepdim=True).sqrt() + 1e-10) for z in (x, y)
        )  # unit length in every place
        total += (x - y).square().sum(1).mean((1, 2))
    return total


def load_squeezenet(path: Path) -> SqueezeNet:
    """Load the weights of a Keras h5 file.

    Args:
        path: The file.

    Raises:
        InputError: Its arrays do not match the network's parameters one by one.
    """
    stored = _read_h5(path)
    network = SqueezeNet()
    state = network.state_dict()
    missing = sorted(set(state) - set(stored))
    extra = sorted(set(stored) - set(state))
    wrong = [
        name for name in state.keys() & stored.keys() if state[name].shape != stored[name].shape
    ]
    if missing or extra or wrong:
        raise InputError(
            f"{path} is not the SqueezeNet 1.1 features file: missing {missing[:3]}, not known "
            f"{extra[:3]}, of another shape {wrong[:3]}; the Keras 'notop' file with 722,496 "
            "parameters is needed"
        )
    network.load_state_dict(stored)
    return network.eval().requires_grad_(False)


def _read_h5(path: Path) -> dict[str, Tensor]:
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            "reading Keras weights (.h5) needs the package h5py, which is not installed: pip "
            "install h5py"
        ) from error
    stored: dict[str, Tensor] = {}

    def take(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            # The layer's name is the group under which Keras repeats it:
            # fire2/expand1x1/fire2/expand1x1_3/kernel:0
            layer = "conv1" if name.startswith("conv1/") else "/".join(name.split("/")[:2])
            array = torch.from_numpy(node[()]).float()
            kernel = name.endswith("kernel:0")
            stored[f"layers.{layer}.{'weight' if kernel else 'bias'}"] = (
                array.permute(3, 2, 0, 1) if array.ndim == 4 else array
            )

    try:
        with h5py.File(path, "r") as file:
            file.visititems(take)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read as a Keras h5 file ({error}); give the path of the SqueezeNet "
            "1.1 weights"
        ) from error
    return stored

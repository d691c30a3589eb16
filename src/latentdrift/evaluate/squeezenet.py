"""SqueezeNet 1.1 from its Keras ImageNet file: 512 features per picture from 0.7 million parameters.

The file is `squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5` of the keras-squeezenet project (MIT): kernels in the
order height, width, in, out; trained on BGR with the Caffe means subtracted, without padding in the first convolution and
the pools.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from latentdrift.errors import InputError

FIRES = {  # name: (squeezed, expanded) channels (Iandola et al. 2016; the 1.1 release of its authors)
    "fire2": (16, 64), "fire3": (16, 64), "fire4": (32, 128), "fire5": (32, 128),
    "fire6": (48, 192), "fire7": (48, 192), "fire8": (64, 256), "fire9": (64, 256),
}  # fmt: skip
POOL_AFTER = ("fire3", "fire5")
CAFFE_MEANS = (103.939, 116.779, 123.68)  # blue, green, red, of 0 to 255 (Caffe's ILSVRC-2012 mean pixel)
SIZE = 227  # pixels on a side (Iandola et al. 2016)


class SqueezeNet(nn.Module):
    """RGB pictures [B, 3, 227, 227] in [0, 1] -> globally averaged features of the last fire module [B, 512]."""

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
        x = 255.0 * x.flip(1) - x.new_tensor(CAFFE_MEANS).view(1, 3, 1, 1)
        x = nn.functional.max_pool2d(self.layers["conv1"](x).relu(), 3, 2)
        for name in FIRES:
            squeezed = self.layers[f"{name}/squeeze1x1"](x).relu()
            x = torch.cat([self.layers[f"{name}/{expand}"](squeezed).relu() for expand in ("expand1x1", "expand3x3")], dim=1)
            if name in POOL_AFTER:
                x = nn.functional.max_pool2d(x, 3, 2)
        return x.mean(dim=(2, 3))


def load_squeezenet(path: Path) -> SqueezeNet:
    """The network with the weights of a Keras h5 file; every array of the file must be used, and every parameter filled."""
    stored = _read_h5(path)
    network = SqueezeNet()
    state = network.state_dict()
    missing, extra = sorted(set(state) - set(stored)), sorted(set(stored) - set(state))
    wrong = [name for name in state.keys() & stored.keys() if state[name].shape != stored[name].shape]
    if missing or extra or wrong:
        raise InputError(
            f"{path} is not the SqueezeNet 1.1 features file: missing {missing[:3]}, not known {extra[:3]}, of another shape "
            f"{wrong[:3]}; the Keras 'notop' file with 722,496 parameters is needed"
        )
    network.load_state_dict(stored)
    return network.eval().requires_grad_(False)


def _read_h5(path: Path) -> dict[str, Tensor]:
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            "reading Keras weights (.h5) needs the package h5py, which is not installed: pip install h5py"
        ) from error
    stored: dict[str, Tensor] = {}

    def take(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            # The layer's name is the group under which Keras repeats it: fire2/expand1x1/fire2/expand1x1_3/kernel:0
            layer = "conv1" if name.startswith("conv1/") else "/".join(name.split("/")[:2])
            array = torch.from_numpy(node[()]).float()
            kernel = name.endswith("kernel:0")
            stored[f"layers.{layer}.{'weight' if kernel else 'bias'}"] = array.permute(3, 2, 0, 1) if array.ndim == 4 else array

    try:
        with h5py.File(path, "r") as file:
            file.visititems(take)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read as a Keras h5 file ({error}); give the path of the SqueezeNet 1.1 weights"
        ) from error
    return stored

"""Files of feature networks as Keras writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from latentdrift.evaluate.features.squeezenet import SqueezeNet


def write_keras(path: Path, network: SqueezeNet, leave_out: str = "") -> None:
    """A file in the layout of keras-squeezenet, from a network of ours."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.create_group("input_4")
        for name, layer in network.layers.items():
            inner = (
                f"{name}_3" if name == "conv1" else f"{name.split('/')[0]}/{name.split('/')[1]}_3"
            )
            if name != leave_out:
                file[f"{name}/{inner}/kernel:0"] = layer.weight.permute(2, 3, 1, 0).numpy()
                file[f"{name}/{inner}/bias:0"] = layer.bias.numpy()


def walked_by_hand(path: Path, picture: np.ndarray) -> list[torch.Tensor]:
    """The seven layers of LPIPS' SqueezeNet, from the arrays of a Keras file and without our
    network."""
    h5py = pytest.importorskip("h5py")
    conv = torch.nn.functional.conv2d
    pool = torch.nn.functional.max_pool2d
    arrays: dict[str, torch.Tensor] = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, node: arrays.update(
                {name: torch.from_numpy(node[()])} if hasattr(node, "shape") else {}
            )
        )

    def layer(x: torch.Tensor, name: str, **how: int) -> torch.Tensor:
        kernel, bias = (
            next(a for n, a in arrays.items() if n.startswith(f"{name}/") and n.endswith(end))
            for end in ("l:0", "s:0")
        )
        return conv(x, kernel.permute(3, 2, 0, 1), bias, **how).clamp(min=0)

    blue_green_red = 255 * picture[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    x = layer(
        torch.from_numpy(blue_green_red.astype(np.float32)).permute(2, 0, 1)[None],
        "conv1",
        stride=2,
    )
    seen = [x]
    x = pool(x, 3, 2)
    for number in range(2, 10):
        squeezed = layer(x, f"fire{number}/squeeze1x1")
        wide = [
            layer(squeezed, f"fire{number}/expand1x1"),
            layer(squeezed, f"fire{number}/expand3x3", padding=1),
        ]
        x = torch.cat(wide, 1)
        seen += [x] if number in (3, 5, 6, 7, 8, 9) else []
        x = pool(x, 3, 2) if number in (3, 5) else x
    return seen

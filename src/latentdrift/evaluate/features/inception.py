"""The Inception-v3 that Fréchet distances are known by: 2,048 features per picture.

Written out from the architecture (Szegedy et al. 2016, fig. 5-7) with the differences of the
2015-12-05 TensorFlow graph that the distance was defined on (Heusel et al. 2017). The parameter
names are those of `pt_inception-2015-12-05-6726825d.pth`, which pytorch-fid and torch-fidelity
publish; that file (95 MB) is given by the user, nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

from latentdrift.errors import InputError

SIZE = 299  # pixels on a side

Step = tuple[str, int, int | tuple[int, int]]  # name, output channels, kernel (height, width)
Branch = tuple[Step, ...]


def _a(pool: int) -> tuple[Branch, ...]:
    return (
        (("branch1x1", 64, 1),),
        (("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
        (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
        (("branch_pool", pool, 1),),
    )


def _c(c: int) -> tuple[Branch, ...]:
    return (
        (("branch1x1", 192, 1),),
        (("branch7x7_1", c, 1), ("branch7x7_2", c, (1, 7)), ("branch7x7_3", 192, (7, 1))),
        (
            ("branch7x7dbl_1", c, 1),
            ("branch7x7dbl_2", c, (7, 1)),
            ("branch7x7dbl_3", c, (1, 7)),
            ("branch7x7dbl_4", c, (7, 1)),
            ("branch7x7dbl_5", 192, (1, 7)),
        ),
        (("branch_pool", 192, 1),),
    )


_B: tuple[Branch, ...] = (
    (("branch3x3", 384, 3),),
    (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
)
_D: tuple[Branch, ...] = (
    (("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)),
    (
        ("branch7x7x3_1", 192, 1),
        ("branch7x7x3_2", 192, (1, 7)),
        ("branch7x7x3_3", 192, (7, 1)),
        ("branch7x7x3_4", 192, 3),
    ),
)
_E: tuple[Branch, ...] = (
    (("branch1x1", 320, 1),),
    (("branch3x3_1", 384, 1), ("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))),
    (
        ("branch3x3dbl_1", 448, 1),
        ("branch3x3dbl_2", 384, 3),
        ("branch3x3dbl_3a", 384, (1, 3)),
        ("branch3x3dbl_3b", 384, (3, 1)),
    ),
    (("branch_pool", 192, 1),),
)

BLOCKS: dict[str, tuple[tuple[Branch, ...], str]] = {  # name: (branches, what its pool does)
    "Mixed_5b": (_a(32), "average"),
    "Mixed_5c": (_a(64), "average"),
    "Mixed_5d": (_a(64), "average"),
    "Mixed_6a": (_B, "halve"),
    "Mixed_6b": (_c(128), "average"),
    "Mixed_6c": (_c(160), "average"),
    "Mixed_6d": (_c(160), "average"),
    "Mixed_6e": (_c(192), "average"),
    "Mixed_7a": (_D, "halve"),
    "Mixed_7b": (_E, "average"),
    "Mixed_7c": (_E, "maximum"),  # the published graph takes the maximum here, unlike the paper
}


class Convolution(nn.Module):
    """Convolution without bias, batch norm with epsilon 0.001 (Szegedy et al. 2016), ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padded: bool = True,
    ) -> None:
        super().__init__()
        height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = (height // 2, width // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(
            inputs, outputs, (height, width), stride=stride, padding=padding, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x [B, C, H, W]."""
        result: Tensor = self.bn(self.conv(x)).relu()
        return result


class Mixed(nn.Module):
    """Parallel branches, their outputs side by side.

    The steps of a branch follow each other; the two whose names end in `a` and `b` both take the
    output of the step before. A block that halves the picture ends each branch with stride 2 and
    adds the pooled input itself.
    """

    def __init__(self, inputs: int, branches: tuple[Branch, ...], pool: str) -> None:
        super().__init__()
        self.branches = branches
        self.pool = pool
        for branch in branches:
            channels = inputs
            for position, (name, outputs, kernel) in enumerate(branch):
                last = pool == "halve" and position == len(branch) - 1
                self.add_module(
                    name,
                    Convolution(
                        channels, outputs, kernel, stride=2 if last else 1, padded=not last
                    ),
                )
                channels = channels if name.endswith("a") else outputs
        ends = [
            sum(step[1] for step in branch if step == branch[-1] or step[0].endswith("a"))
            for branch in branches
        ]
        self.outputs = sum(ends) + (inputs if pool == "halve" else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of all branches for x [B, C, H, W], joined along the channels."""
        out = []
        for branch in self.branches:
            y = self._pooled(x) if branch[0][0] == "branch_pool" else x
            forked = []
            for name, _, _ in branch:
                if name.endswith("a"):
                    forked.append(self.get_submodule(name)(y))
                else:
                    y = self.get_submodule(name)(y)
            out += [*forked, y]
        if self.pool == "halve":
            out.append(max_pool2d(x, 3, 2))
        return torch.cat(out, dim=1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "maximum":
            return max_pool2d(x, 3, 1, padding=1)
        return avg_pool2d(
            x, 3, 1, padding=1, count_include_pad=False
        )  # TensorFlow leaves the padding out of the average


class Inception(nn.Module):
    """RGB pictures [B, 3, 299, 299] in [0, 1] -> features before the classifier [B, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2, padded=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, padded=False)
        channels = 192
        for name, (branches, pool) in BLOCKS.items():
            block = Mixed(channels, branches, pool)
            self.add_module(name, block)
            channels = block.outputs
        self.fc = nn.Linear(
            channels, 1008
        )  # not used; it is in the file, and every key of the file must match

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, 2048] of RGB images [B, 3, 299, 299] in [0, 1]."""
        return self.last_map(x).mean(dim=(2, 3))

    def last_map(self, x: Tensor) -> Tensor:
        """Last layer before averaging, [B, 2048, 8, 8], for RGB images [B, 3, 299, 299] in [0,
        1]."""
        x = (255.0 * x - 128.0) / 128.0  # the graph's own first operations
        x = max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
        return x


def load_inception(path: Path) -> Inception:
    """Load the weights of a local file; no code in the file is run.

    Args:
        path: `.safetensors`, or a state dict of torch.

    Raises:
        InputError: The file cannot be read, or its keys do not match.
    """
    network = Inception()
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            stored = load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(stored)
    except (OSError, RuntimeError, UnpicklingError, EOFError, AttributeError, TypeError) as error:
        raise InputError(
            f"{path} is not the Inception file of the Fréchet distance, "
            f"pt_inception-2015-12-05-6726825d.pth ({str(error)[:300]}); get it from the releases "
            "of pytorch-fid where there is a network, and give its path as inception=PATH"
        ) from error
    return network.eval().requires_grad_(False)

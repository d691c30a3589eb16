"""DeepCache: the deep layers of a U-Net are computed at some steps, and kept for those between
(Ma et al. 2024).

From one step to the next the deep features of a U-Net hardly change. Between two steps that compute
everything, only the first and the last level are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from latentdrift.errors import OptionError
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.schedule import Denoiser


def deep_layers(network: nn.Module, name: str) -> list[nn.Module]:
    """Layers of a U-Net below its first level.

    Args:
        network: A U-Net of diffusers.
        name: Name of its base, for the message.

    Raises:
        OptionError: The network is no U-Net of several levels.
    """
    down = getattr(network, "down_blocks", ())
    up = getattr(network, "up_blocks", ())
    if len(down) < 2 or len(up) < 2:
        raise OptionError(
            "`step_cache` keeps the deep layers of a U-Net of two levels or more, and the network "
            f"of base '{name}' is none; leave it out"
        )
    middle = [network.mid_block] if getattr(network, "mid_block", None) is not None else []
    return [*down[1:], *middle, *up[:-1]]


@dataclass(eq=False)
class Features:
    """Outputs of the deep layers for one of the calls that a sampling step makes."""

    shape: tuple[int, ...] = ()
    """Shape of the latents that they belong to."""
    age: int = 0
    """Steps since they were computed."""
    outputs: dict[nn.Module, Any] = field(default_factory=dict)


class StepCache:
    """Deep features of images that are sampled together.

    Args:
        interval: Steps for which the features are computed once; 1: each step computes them.
    """

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.current = Features()

    def wrap(self, denoiser: Denoiser) -> Denoiser:
        """A denoiser that keeps deep features from step to step; calls of one time are a step.

        Args:
            denoiser: Denoiser of one group of images, whose network has `installed`.
        """
        if self.interval == 1:
            return denoiser
        calls: dict[int, Features] = {}
        number = 0
        time: float | None = None

        def denoise(xt: Tensor, t: Any, conditioning: Conditioning) -> Tensor:
            nonlocal number, time
            now = float(t.flatten()[0]) if isinstance(t, Tensor) else float(t)
            number = number + 1 if now == time else 0
            time = now
            features = calls.setdefault(number, Features())
            features.age = (features.age + 1) % self.interval
            if tuple(xt.shape) != features.shape:
                features.age = 0
            if features.age == 0:
                features.outputs.clear()
                features.shape = tuple(xt.shape)
            self.current = features
            return denoiser(xt, t, conditioning)

        return denoise

    @contextmanager
    def installed(self, layers: list[nn.Module]) -> Iterator[None]:
        """Let the deep layers of a network return what is kept.

        Args:
            layers: From `deep_layers`.
        """
        replaced = [vars(layer).get("forward") for layer in layers]  # None: that of the class
        for layer in layers:
            layer.forward = partial(self._kept_output, layer, layer.forward)
        try:
            yield
        finally:
            for layer, before in zip(layers, replaced, strict=True):
                del layer.forward
                if before is not None:
                    layer.forward = before

    def _kept_output(
        self, layer: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Output of a layer from the features of the current call; computed where none is kept."""
        outputs = self.current.outputs
        if layer not in outputs:
            outputs[layer] = forward(*args, **kwargs)
        return outputs[layer]

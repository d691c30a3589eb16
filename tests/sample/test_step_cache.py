"""Deep features that are kept between steps: what is computed, what is kept, and what stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.sample.generate import SamplingOptions, generate
from latentdrift.sample.step_cache import StepCache, deep_layers

PROMPTS = {index: f"a brain MRI of a {60 + index} year old" for index in range(6)}


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


def pictures(base: Base, indices: list[int], **options: Any) -> dict[int, np.ndarray]:
    given: dict[str, Any] = {"seed": 3, "steps": 4, "resolution": 32, **options}
    prompts = {index: PROMPTS[index] for index in indices}
    return dict(generate(base, Drift(), prompts, SamplingOptions(**given)))


@contextmanager
def counted(module: nn.Module) -> Iterator[list[int]]:
    """Number of images of each call that computes a module."""
    calls: list[int] = []
    handle = module.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    try:
        yield calls
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("options", "deep"),
    [
        ({"step_cache": 1}, 4),
        ({"step_cache": 2}, 2),
        ({"step_cache": 3}, 2),
        ({"step_cache": 9}, 1),
        ({"step_cache": 2, "sampler": "heun"}, 4),
        ({"step_cache": 2, "guidance": 1.0}, 2),
    ],
)
def test_deep_layers_are_computed_once_for_so_many_steps(
    options: dict[str, Any], deep: int, base: Base
) -> None:
    """Heun calls the network twice for every step but the last."""
    network = base.network
    with (
        counted(network.mid_block.resnets[0]) as middle,
        counted(network.up_blocks[-1].resnets[0]) as last,
    ):
        pictures(base, [0], **options)
    assert len(middle) == deep
    assert len(last) == (7 if options.get("sampler") == "heun" else 4)


def test_a_step_between_has_the_deep_features_of_the_step_before(base: Base) -> None:
    """The truth: a plain call whose last level is given what the level below said before."""
    network = base.network
    noise = torch.Generator().manual_seed(0)
    x1, x2 = torch.randn(2, 3, 4, 8, 8, generator=noise)
    cache = StepCache(2)
    with torch.no_grad():
        read = base.embed(["a brain MRI"] * 3)
        plain = base.denoiser()
        with cache.installed(deep_layers(network, "tiny")):
            kept = cache.wrap(plain)
            found = [kept(x1, 900, read), kept(x2, 700, read), kept(x2, 500, read)]
        below = Saved(network.up_blocks[-2])
        first = plain(x1, 900, read)
        below.replays = True
        second = plain(x2, 700, read)
        below.handle.remove()
        third = plain(x2, 500, read)
    assert torch.equal(found[0], first) and torch.equal(found[2], third)
    assert torch.equal(found[1], second)
    with torch.no_grad():
        assert not torch.allclose(found[1], plain(x2, 700, read), atol=1e-4)


class Saved:
    """Output of a module, which later calls get in place of their own."""

    def __init__(self, module: nn.Module) -> None:
        self.replays = False
        self.output: Tensor | None = None
        self.handle = module.register_forward_hook(self)

    def __call__(self, module: nn.Module, args: object, output: Tensor) -> Tensor | None:
        if self.replays:
            return self.output
        self.output = output.clone()
        return None


def test_an_image_does_not_depend_on_its_company(base: Base) -> None:
    alone = pictures(base, [5], step_cache=2)
    together = pictures(base, [0, 1, 5], step_cache=2, batch_size=8)
    assert np.array_equal(alone[5], together[5])
    assert np.abs(alone[5] - pictures(base, [5])[5]).max() > 1e-4


def test_a_condition_of_no_weight_changes_nothing(base: Base) -> None:
    """Each condition of a composition has deep features of its own."""
    sampling = SamplingOptions(seed=3, steps=4, resolution=32, step_cache=2)
    composed = {0: [(PROMPTS[0], 1.0), ("a chest X-ray", 0.0)]}
    image = dict(generate(base, Drift(), composed, sampling))[0]
    assert np.array_equal(image, pictures(base, [0], step_cache=2)[0])


def test_a_change_of_guidance_computes_the_features_again(base: Base) -> None:
    level = float(base.schedule.s(500) / base.schedule.a(500))
    options = {"step_cache": 8, "guidance_interval": (0.0, level)}
    with counted(base.network.mid_block.resnets[0]) as middle:
        assert np.isfinite(pictures(base, [0], **options)[0]).all()
    assert middle == [4, 8]


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_is_as_before(fails: bool, base: Base) -> None:
    before = pictures(base, [0])[0]

    def stop(done: int, of: int) -> None:
        if fails:
            raise KeyboardInterrupt

    sampling = SamplingOptions(seed=3, steps=4, resolution=32, step_cache=2)
    with pytest.raises(KeyboardInterrupt) if fails else nullcontext():
        list(generate(base, Drift(), {0: PROMPTS[0]}, sampling, callback=stop))
    assert np.array_equal(pictures(base, [0])[0], before)
    assert not any("forward" in vars(layer) for layer in base.network.modules())


def test_a_layer_that_others_have_wrapped_stays_wrapped(base: Base) -> None:
    layer = base.network.mid_block
    calls: list[int] = []

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return type(layer).forward(layer, *args, **kwargs)

    layer.forward = wrapped
    try:
        pictures(base, [0], step_cache=2)
        assert len(calls) == 2 and layer.forward is wrapped
    finally:
        del layer.forward


def test_a_network_without_levels_is_refused() -> None:
    with pytest.raises(
        OptionError, match=r"`step_cache` keeps the deep layers.*base 'flat' is non"
    ):
        deep_layers(nn.Linear(1, 1), "flat")


def test_it_is_refused_before_any_work(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base.network, "up_blocks", nn.ModuleList(base.network.up_blocks[-1:]))
    sampling = SamplingOptions(seed=3, steps=4, resolution=32, step_cache=2)
    with pytest.raises(OptionError, match="leave it out"):
        generate(base, Drift(), {0: "a brain"}, sampling)

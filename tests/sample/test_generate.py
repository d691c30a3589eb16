"""One picture per (seed, index), whatever is generated beside it; and the picture that stock
diffusers makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.sample.generate import SLOTS, SamplingOptions, generate, latents, slots_of
from latentdrift.sample.samplers import SAMPLERS
from latentdrift.seeds import generator

OPTIONS = {"seed": 3, "steps": 4, "guidance": 2.5, "sampler": "ddim"}
PROMPTS = ["a brain MRI", "a chest x ray", "a red disc"]


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def base(request: pytest.FixtureRequest, tiny_base_folder: Path, tiny_v_folder: Path) -> Base:
    return Base.load(
        tiny_base_folder if request.param == "epsilon" else tiny_v_folder,
        device="cpu",
        precision="fp32",
    )


def pictures(
    base: Base, indices: list[int], drift: Drift | None = None, **options: object
) -> dict[int, np.ndarray]:
    prompts = {index: PROMPTS[index % len(PROMPTS)] for index in indices}
    return dict(
        generate(base, drift or Drift(), prompts, SamplingOptions(**{**OPTIONS, **options}))
    )


@pytest.mark.parametrize("sampler", ["ddim", "euler-a"])
def test_a_picture_does_not_depend_on_what_is_generated_beside_it(base: Base, sampler: str) -> None:
    together = pictures(base, list(range(6)), sampler=sampler)
    assert list(together) == list(range(6))
    for alone in ([5], [1, 3], [4, 0, 2]):
        for index, picture in pictures(base, alone, sampler=sampler).items():
            assert np.array_equal(picture, together[index]), index


def test_pictures_are_as_promised(base: Base) -> None:
    images = pictures(base, [0, 1])
    for picture in images.values():
        assert (
            picture.shape == (32, 32, 3)
            and picture.dtype == np.float32
            and np.abs(picture).max() <= 1
        )
    assert pictures(base, [0], resolution=64)[0].shape == (64, 64, 3)


def test_index_seed_prompt_and_guidance_each_matter(base: Base) -> None:
    first = pictures(base, [0])[0]
    assert not np.allclose(first, pictures(base, [3])[3], atol=0.05)  # the same prompt
    assert not np.allclose(first, pictures(base, [0], seed=4)[0], atol=0.05)
    assert not np.array_equal(
        first, dict(generate(base, Drift(), {0: PROMPTS[1]}, SamplingOptions(**OPTIONS)))[0]
    )
    assert not np.array_equal(first, pictures(base, [0], guidance=1.0)[0])


@pytest.mark.parametrize("mode", ["infer", "both"])
def test_drift_reaches_the_picture(base: Base, mode: str) -> None:
    plain, drifted = (
        pictures(base, [0], drift)[0] for drift in (Drift(), Drift.of((0.5,) * 4, mode))
    )
    assert np.abs(plain - drifted).mean() > 1e-3


def test_rescaled_guidance_and_ablations_reach_the_picture(base: Base) -> None:
    plain = pictures(base, [0])[0]
    high, rescaled = (pictures(base, [0], guidance=60.0, rescale=share)[0] for share in (0.0, 0.7))
    assert (
        np.abs(high - rescaled).mean() > 1e-3
    )  # a random network hardly heeds its prompt, so the weight is high
    forms = [
        pictures(base, [0], Drift.of((0.5,) * 4, "infer", form))[0]
        for form in ("per_step", "per_step_scaled", "prediction")
    ]
    for picture in forms:
        assert np.abs(plain - picture).mean() > 1e-3
    assert len({picture.tobytes() for picture in forms}) == 3


def test_no_drift_is_bit_identical(base: Base) -> None:
    assert np.array_equal(pictures(base, [0])[0], pictures(base, [0], Drift.of((0.0,) * 4))[0])


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_stock_diffusers_makes_the_same_picture(base: Base, guidance: float) -> None:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        base.name, safety_checker=None, feature_extractor=None
    )
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 8, 8, generator=generator(3, "image", 0))
    theirs = pipeline(
        PROMPTS[0], num_inference_steps=10, guidance_scale=guidance, latents=noise, output_type="np"
    ).images[0]
    ours = pictures(base, [0], steps=10, guidance=guidance)[0]
    assert np.abs((ours + 1) / 2 - theirs).max() < 1e-4


@pytest.mark.parametrize("slots", [1, 2])
def test_slots_change_no_more_than_rounding(base: Base, slots: int) -> None:
    ours = pictures(base, [0, 1, 5], slots=slots)
    for index, picture in pictures(base, [0, 1, 5]).items():
        assert np.abs(ours[index] - picture).max() < 1e-4
    alone = pictures(base, [5], slots=slots)
    assert np.array_equal(alone[5], ours[5])


def test_network_of_one_slot_computes_no_image_that_is_not_wanted(base: Base) -> None:
    sizes: list[int] = []

    def record(module: object, args: tuple[torch.Tensor, ...], kwargs: object) -> None:
        sizes.append(len(args[0]))

    handle = base.network.register_forward_pre_hook(record, with_kwargs=True)
    try:
        pictures(base, [5], guidance=1.0, slots=1)
        pictures(base, [5], guidance=1.0)
    finally:
        handle.remove()
    assert sizes == [1] * 4 + [SLOTS] * 4


def test_large_network_on_a_processor_has_one_slot(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slots_of(base) == SLOTS
    count = sum(weight.numel() for weight in base.network.parameters())
    monkeypatch.setattr("latentdrift.sample.generate.LARGE_NETWORK", count)
    assert slots_of(base) == 1
    assert slots_of(replace(base, device=torch.device("cuda"))) == SLOTS


def test_gaps_are_filled_and_thrown_away(base: Base) -> None:
    assert list(pictures(base, [SLOTS + 1, 2])) == [2, SLOTS + 1]
    assert not pictures(base, [])


def test_guidance_interval_leaves_other_steps_to_the_prompt(base: Base) -> None:
    """An interval that holds no noise level is no guidance; one that holds all is full guidance."""
    schedule = base.schedule
    highest = float(schedule.s(999) / schedule.a(999)) + 1
    never = pictures(base, [0], guidance=3.0, guidance_interval=(highest, highest + 1))[0]
    always = pictures(base, [0], guidance=3.0, guidance_interval=(0.0, highest))[0]
    middle = pictures(base, [0], guidance=3.0, guidance_interval=(0.5, 3.0))[0]
    assert np.abs(never - pictures(base, [0], guidance=1.0)[0]).max() < 1e-5
    assert np.array_equal(always, pictures(base, [0], guidance=3.0)[0])
    assert np.abs(middle - never).max() > 1e-3 and np.abs(middle - always).max() > 1e-3


def test_guidance_interval_holds_for_composed_prompts(base: Base) -> None:
    """Outside of the interval a composition has the weights of its parts and no guidance."""
    schedule = base.schedule
    highest = float(schedule.s(999) / schedule.a(999)) + 1
    parts = {0: [("a brain", 0.5), ("a chest", 0.5)]}

    def drawn(**options: Any) -> np.ndarray:
        sampling = SamplingOptions(**{**OPTIONS, **options})
        return next(generate(base, Drift(), parts, sampling))[1]

    never = drawn(guidance=3.0, guidance_interval=(highest, highest + 1))
    assert np.array_equal(never, drawn(guidance=1.0))


def test_what_cannot_work_is_said_before_any_work(base: Base) -> None:
    for options, message in (
        ({"sampler": "dimm"}, "unknown sampler 'dimm'"),
        ({"steps": 5000}, "5000 sampling steps"),
        ({"resolution": 36}, "resolution 36"),
    ):
        with pytest.raises(OptionError, match=message):
            generate(base, Drift(), {0: "a brain"}, SamplingOptions(**{**OPTIONS, **options}))
    with pytest.raises(OptionError, match="reads 75"):
        generate(base, Drift(), {0: "a brain", 9: "brain " * 80}, SamplingOptions(**OPTIONS))


def test_every_sampler_runs_a_real_network(base: Base) -> None:
    for sampler in SAMPLERS:
        picture = pictures(base, [0], sampler=sampler, guidance=1.0)[0]
        assert np.isfinite(picture).all() and picture.std() > 0


@pytest.mark.parametrize("form", ["per_step", "per_step_scaled"])
@pytest.mark.parametrize("sampler", ["ddim", "pndm", "euler", "heun"])
def test_what_is_added_at_every_step_is_added_as_often_as_there_are_steps(
    sampler: str, form: str, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network xt is scaled by a_end / a, and in sigma units not at all: so the sum of
    what is added is known."""
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    steps = 5
    delta = 0.1
    monkeypatch.setattr(Base, "denoiser", lambda self: lambda xt, t, context: torch.zeros_like(xt))
    options = replace(SamplingOptions(**OPTIONS), sampler=sampler, steps=steps)
    (plain,), (added,) = (
        list(latents(base, drift, {0: ""}, options))
        for drift in (Drift(), Drift((), (delta,) * 4, form=form))
    )
    a = base.schedule.a(
        torch.tensor([0, 1, 201, 401, 601])
    )  # where the steps of a fifth of 1000 times arrive, the last first
    shares = [1.0] * steps if SAMPLERS[sampler].sigma_units else (a[0] / a).tolist()
    each = delta if form == "per_step" else delta / steps
    assert (added[2] - plain[2]).mean().item() == pytest.approx(each * sum(shares), rel=1e-4)

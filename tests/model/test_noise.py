"""The rivals of drift: noise of other moments, each by closed form, and a schedule that ends in
pure noise."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from edits import edit
from gaussian import gaussian, randn, sd_schedule
from safetensors.torch import load_file

from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.training.batches.batches import Batches
from latentdrift.adapt.training.batches.latent_cache import Moments
from latentdrift.adapt.training.train import FitResult, fit
from latentdrift.cli import main
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import BaseModelError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.noise import NOISES, Noise
from latentdrift.model.schedule import Schedule
from latentdrift.sample.generate import SamplingOptions, generate
from latentdrift.sample.samplers import SAMPLERS, first_time, run
from latentdrift.seeds import generator

SIDE = 8
rows = pytest.mark.parametrize("name", NOISES)
Fit = Callable[..., FitResult]


def covariance(name: str, strength: float) -> torch.Tensor:
    """Covariance [side^2, side^2] of a channel's changed noise, exactly: the change is linear in
    all that is drawn."""
    taken = 0
    count = (
        3 * SIDE**2
    )  # at least the number of values drawn; image i gets 1 for the i-th and 0 for all others

    def draw(shape: tuple[int, ...]) -> torch.Tensor:
        nonlocal taken
        values = torch.zeros(count, shape[2] * shape[3])
        places = torch.arange(values.shape[1])
        values[taken + places, places] = 1
        taken += len(places)
        return values.reshape(shape)

    changed = NOISES[name].change(draw((count, 1, SIDE, SIDE)), strength, draw).flatten(1)
    return changed.T @ changed


def pyramid_covariance(discount: float) -> torch.Tensor:
    """By the definition: hat functions on grids of 8, 4, 2 and 1 points."""
    total = torch.zeros(SIDE**2, SIDE**2)
    for level, few in enumerate((8, 4, 2, 1)):
        places = ((torch.arange(SIDE) + 0.5) * few / SIDE - 0.5).clamp(0, few - 1)
        hats = (1 - (places[:, None] - torch.arange(few)).abs()).clamp(min=0)
        total += discount ** (2 * level) * torch.kron(hats @ hats.T, hats @ hats.T)
    return total / (total.diag()[:, None] * total.diag()).sqrt()


WHITE = torch.eye(SIDE**2)
EXPECTED: dict[str, Callable[[float], torch.Tensor]] = {
    "pyramid": pyramid_covariance,
    "offset": lambda s: WHITE + s**2,
    "input-perturbation": lambda gamma: (1 + gamma**2) * WHITE,
}


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.8, 1.0])
@rows
def test_the_covariance_is_that_of_the_closed_form(name: str, strength: float) -> None:
    torch.testing.assert_close(
        covariance(name, strength), EXPECTED[name](strength), rtol=1e-5, atol=1e-6
    )


@rows
def test_what_is_drawn_has_the_moments(name: str) -> None:
    """2 x 20000 channels: a variance is good to 5 sqrt(2 / 40000) = 3.5 %, a mean to 5 standard
    errors."""
    eps = torch.randn(20000, 2, SIDE, SIDE, generator=generator(0, "eps"))
    seen, target = Noise.parse([name]).apply(eps, generator(0, "more"))
    expected = EXPECTED[name](NOISES[name].default)
    means = seen.mean((2, 3))
    assert means.var().item() == pytest.approx(expected.mean().item(), rel=0.035)
    assert means.mean().abs() < 5 * (expected.mean() / means.numel()) ** 0.5
    assert (
        means[:, 0] * means[:, 1]
    ).mean().abs() < 5 * expected.mean() / 20000**0.5  # channels are independent
    assert (means[:-1] * means[1:]).mean().abs() < 5 * expected.mean() / 40000**0.5  # and images
    assert seen[:, :, 3, 5].var().item() == pytest.approx(expected.diag()[0].item(), rel=0.035)
    if NOISES[name].target:
        assert target is seen
    else:
        assert target is eps
        assert (seen * target).mean().item() == pytest.approx(1, abs=0.01)


def test_the_spatial_means_variance_is_that_of_the_reference() -> None:
    """Stable Diffusion's 64 x 64 latents: offset 0.1 raises the variance of a channel's mean from
    1/4096 by 42 times."""
    means = torch.randn(20000, generator=generator(0, "means")).reshape(-1, 1, 1, 1) / 64
    seen, _ = Noise.parse(["offset=0.1"]).apply(means, generator(0, "more"))
    assert (seen.var() / means.var()).item() == pytest.approx(1 + 0.1**2 * 4096, rel=0.05)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_an_offset_of_one_is_the_forward_process_of_drift(kind: str) -> None:
    schedule = sd_schedule(kind)
    x0 = randn(3, 4, 8, 8)
    eps = randn(3, 4, 8, 8, seed=1)
    t = torch.tensor([0, 500, 999])
    shifted = NOISES["offset"].change(eps, 0.1, torch.ones)
    a, s = (scale.reshape(-1, 1, 1, 1) for scale in (schedule.a(t), schedule.s(t)))
    moved = schedule.add_noise(x0, shifted, t) - schedule.add_noise(x0, eps, t)
    torch.testing.assert_close(moved, (s * 0.1).expand_as(moved), rtol=0, atol=1e-6)
    aim = schedule.target(x0, shifted, t) - schedule.target(x0, eps, t)
    torch.testing.assert_close(
        aim, (a * 0.1 if kind == "v_prediction" else 0.1 * torch.ones_like(a)).expand_as(aim)
    )
    inputs: list[torch.Tensor] = []
    wrapped = Drift.of([0.1] * 4).wrap(
        lambda xt, t, c: inputs.append(xt) or torch.zeros_like(xt), schedule
    )
    wrapped(schedule.add_noise(x0, eps, t), t, None)
    torch.testing.assert_close(inputs[0], schedule.add_noise(x0, shifted, t), rtol=0, atol=1e-6)


def test_plain_noise_is_untouched_and_draws_nothing() -> None:
    source = generator(0)
    eps = randn(2, 4, 8, 8)
    before = source.get_state()
    seen, target = Noise().apply(eps, source)
    assert seen is eps
    assert target is eps
    assert torch.equal(source.get_state(), before)
    assert Noise.parse(["offset=0", "pyramid=0.0"]) == Noise()


def test_rows_act_in_the_order_of_the_table() -> None:
    noise = Noise.parse(["input-perturbation=0.2", "offset", "pyramid=0.5"])
    assert noise.to_dict() == {"pyramid": 0.5, "offset": 0.1, "input-perturbation": 0.2}
    eps = torch.randn(2, 4, 8, 8, generator=generator(0, "eps"))
    seen, target = noise.apply(eps, generator(0, "more"))
    source = generator(0, "more")
    expected, _ = Noise.parse(["pyramid=0.5"]).apply(eps, source)
    expected = expected + 0.1 * torch.randn(2, 4, 1, 1, generator=source)
    assert torch.equal(target, expected)
    assert torch.equal(seen, expected + 0.2 * torch.randn(2, 4, 8, 8, generator=source))


def test_a_batch_of_other_noise_has_the_images_times_and_prompts_of_a_plain_one() -> None:
    moments = Moments(np.zeros((4, 2, 8, 8), np.float32), np.ones((4, 2, 8, 8), np.float32))

    def batch(*given: str) -> Any:
        examples = [Example(row, caption) for row, caption in enumerate("abcd")]
        return Batches(moments, examples, 4, 0.5, 1000, 3, Noise.parse(given))(5)

    plain = batch()
    other = batch("offset", "input-perturbation")
    source = generator(3, "step", 5)  # the stream of a run without any of this
    assert torch.equal(plain.x0, torch.randn(4, 2, 8, 8, generator=source))
    assert torch.equal(plain.eps, torch.randn(4, 2, 8, 8, generator=source))
    assert torch.equal(plain.x0, other.x0)
    assert torch.equal(plain.t, other.t)
    assert plain.prompts == other.prompts
    offsets = other.eps - plain.eps
    torch.testing.assert_close(offsets, offsets[:, :, :1, :1].expand_as(offsets))
    assert offsets[:, :, 0, 0].unique().numel() == 8
    assert (other.seen - other.eps).std().item() == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ofset=0.1", r"unknown noise 'ofset'; known: .*did you mean 'offset'"),
        ("offset=much", "noise 'offset=much' is not understood; give a strength from 0"),
        ("offset=-0.1", "from 0 .none. to 1"),
        ("pyramid=1.5", "from 0 .none. to 1"),
        ("offset=", "noise 'offset=' is not understood"),
        ("offset=nan", "is not understood"),
    ],
)
def test_a_mistake_is_a_sentence(given: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Noise.parse([given])


def test_a_row_is_given_once() -> None:
    with pytest.raises(OptionError, match="noise 'offset' is given twice"):
        Noise.parse(["offset=0.1", "offset=0.2"])


# Zero terminal SNR


def zero_snr() -> Schedule:
    return sd_schedule().altered("v_prediction", zero_snr=True)


def test_zero_snr_moves_the_end_and_keeps_the_beginning() -> None:
    plain = sd_schedule()
    zero = zero_snr()
    a = plain.a(torch.arange(1000))
    expected = (a - a[-1]) * a[0] / (a[0] - a[-1])  # Lin et al. 2023, algorithm 1
    torch.testing.assert_close(zero.a(torch.arange(1000)), expected, rtol=1e-4, atol=1e-5)
    assert zero.a(999) == 0
    assert zero.s(999) == 1
    assert zero.a(0) == plain.a(0)
    times = torch.linspace(990, 999, 91)
    assert (zero.a(times).diff() <= 0).all()
    assert (zero.a(times) ** 2 + zero.s(times) ** 2 - 1).abs().max() < 1e-12
    assert zero.timesteps(50)[0] == 999


def test_no_change_is_the_same_schedule() -> None:
    plain = sd_schedule()
    assert plain.altered() is plain
    assert plain.altered("epsilon") is plain
    assert zero_snr().altered().zero_snr


def test_a_network_that_predicts_eps_is_refused_at_zero_snr() -> None:
    with pytest.raises(BaseModelError, match="add `prediction=v_prediction`"):
        sd_schedule().altered(zero_snr=True)
    with pytest.raises(
        BaseModelError, match=r"needs prediction_type v_prediction in its scheduler_config\.json"
    ):
        sd_schedule(rescale_betas_zero_snr=True)


def test_everything_is_finite_where_no_signal_is_left() -> None:
    zero = zero_snr()
    x0 = randn(1, 4, 8, 8)
    eps = randn(1, 4, 8, 8, seed=1)
    assert torch.equal(zero.add_noise(x0, eps, 999), eps)
    assert torch.equal(zero.target(x0, eps, 999), -x0)
    for found, true in zip(zero.split(-x0, eps, 999), (x0, eps), strict=True):
        assert torch.equal(found, true)


def test_pure_noise_leads_to_the_true_mean() -> None:
    """The mean of a 64 x 64 channel, data N(-0.5, 0.05^2): a plain start at mean 0 is biased, one
    without signal is not."""
    means = {}
    for schedule in (sd_schedule("v_prediction"), zero_snr()):
        network = gaussian(schedule, -0.5, 0.05, noise=1 / 64)
        means[schedule.zero_snr] = run(
            network, schedule, "ddim", 50, torch.zeros(1, 1, 1, 1).double(), None, []
        ).item()
    assert means[False] == pytest.approx(-0.384, abs=0.001)
    assert means[True] == pytest.approx(-0.5, abs=0.001)


ABLE = [name for name, row in SAMPLERS.items() if row.zero_snr]


@pytest.mark.parametrize("sampler", [name for name in ABLE if name != "lcm"])
def test_samplers_reach_the_data_from_pure_noise(sampler: str) -> None:
    schedule = zero_snr()
    assert first_time(sampler, schedule, 50) == 999
    for steps in (1, 2, 3, 20, 50, 250):
        x0 = run(
            gaussian(schedule, 0.4, 0.5),
            schedule,
            sampler,
            steps,
            randn(1, 4, 32, 32),
            None,
            [generator(1)],
        )
        assert x0.mean().item() == pytest.approx(0.4, abs=0.03)
    assert x0.std().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_that_cannot_start_from_pure_noise_say_which_can(sampler: str) -> None:
    knows = (
        "rescale_betas_zero_snr"
        in inspect.signature(getattr(diffusers, SAMPLERS[sampler].scheduler)).parameters
    )
    if sampler in ABLE:
        assert knows
        return
    assert not knows or sampler == "ddim-eta1"
    with pytest.raises(
        OptionError,
        match=(
            f"sampler '{sampler}' cannot start from pure noise.*take one of: ddim, ddpm, dpmpp-2m"
        ),
    ):
        first_time(sampler, zero_snr(), 50)


# In training


@pytest.fixture(scope="module")
def run_fit(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Fit:
    """A short fit; the same options in the same folder `to` go on."""
    root = tmp_path_factory.mktemp("noise")
    cohort = Cohort.load(tiny_cohort_folder)

    def call(to: str, *, on_step: Any = None, **more: Any) -> FitResult:
        given = {
            "steps": 4,
            "batch_size": 2,
            "rank": 2,
            "checkpoint_every": 2,
            "drift": "none",
            **more,
        }
        options = FitOptions(
            cohort=cohort.folder, out=root / to, base=str(tiny_base_folder), **given
        )
        base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
        return fit(base, cohort, options, root / to, on_step=on_step, quiet=True)

    return call


def weights(result: FitResult) -> dict[str, torch.Tensor]:
    return load_file(result.adapter / "pytorch_lora_weights.safetensors")


def same(one: FitResult, other: FitResult) -> bool:
    return all(
        torch.equal(mine, theirs)
        for mine, theirs in zip(weights(one).values(), weights(other).values(), strict=True)
    )


@pytest.mark.parametrize("given", [*NOISES, "offset=0.1 input-perturbation=0.1"])
def test_noise_changes_the_run_is_recorded_and_goes_on_to_the_same_bits(
    given: str, run_fit: Fit
) -> None:
    noise = tuple(given.split())
    made = run_fit(given, noise=noise)
    expected = Noise.parse(noise).to_dict()
    assert made.info.to_dict()["noise"] == expected
    assert json.loads((made.adapter.parent / "fit.json").read_text())["noise"] == expected
    plain = run_fit("plain")
    assert plain.info.to_dict()["noise"] == {}
    assert not same(plain, made)
    assert (
        made.info.to_dict()["losses"]["held_out_before"]
        == plain.info.to_dict()["losses"]["held_out_before"]
    )  # held-out noise is plain

    def killed(done: int, loss: float) -> None:
        if done == 3:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        run_fit(f"{given} killed", noise=noise, on_step=killed)
    again = run_fit(f"{given} killed", noise=noise)
    assert again.resumed == 2
    assert same(again, made)


def test_noise_of_strength_0_is_bit_identical_to_none(run_fit: Fit) -> None:
    assert same(run_fit("plain"), run_fit("zero", noise=("offset=0", "input-perturbation=0")))


def test_a_strength_spelled_otherwise_is_the_same_run(run_fit: Fit) -> None:
    run_fit("spelled", noise=("offset",))
    assert run_fit("spelled", noise=("offset=0.10",)).already
    with pytest.raises(OptionError, match="holds a run with other settings: noise"):
        run_fit("spelled", noise=("offset=0.2",))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_an_adapter_brings_its_schedule(method: str, run_fit: Fit, tiny_base_folder: Path) -> None:
    made = run_fit(f"zero-snr {method}", method=method, prediction="v_prediction", zero_snr=True)
    assert made.info.to_dict()["schedule"] == {"prediction_type": "v_prediction", "zero_snr": True}
    plain = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    adapted = load_adapter(made.adapter, device="cpu", precision="fp32")
    assert adapted.base.hash == plain.hash == made.info.to_dict()["base"]["hash"]
    assert adapted.base.schedule.prediction_type == "v_prediction"
    assert adapted.base.schedule.a(999) == 0
    how = {"seed": 0, "steps": 3, "guidance": 2.0}
    ((_, picture),) = generate(
        adapted.base, adapted.drift, {0: "a brain MRI"}, SamplingOptions(sampler="euler", **how)
    )
    assert np.isfinite(picture).all()
    with pytest.raises(OptionError, match="sampler 'heun' cannot start from pure noise"):
        heun = SamplingOptions(sampler="heun", **how)
        list(generate(adapted.base, adapted.drift, {0: "a brain MRI"}, heun))
    changed = edit(
        adapted.base,
        adapted.drift,
        torch.zeros(1, 3, 32, 32),
        "a brain MRI",
        "a photo",
        editor="ddim",
        strength=0.7,
        **how,
    )
    assert changed.counterfactual.isfinite().all()
    assert adapted.without().base.schedule.config == plain.schedule.config


def test_an_adapter_of_an_unchanged_schedule_leaves_it(
    run_fit: Fit, tiny_base_folder: Path
) -> None:
    made = run_fit("plain")
    assert made.info.to_dict()["schedule"] == {"prediction_type": "epsilon", "zero_snr": False}
    own = Base.load(tiny_base_folder, device="cpu", precision="fp32").schedule
    assert (
        load_adapter(made.adapter, device="cpu", precision="fp32").base.schedule.config
        == own.config
    )


def test_the_loss_is_of_what_the_network_is_to_predict(run_fit: Fit) -> None:
    """Before the first step it is that of the same random network, held against v instead of
    eps."""
    losses = {
        kind: run_fit(f"as {kind}", prediction=kind).info.to_dict()["losses"]
        for kind in ("epsilon", "v_prediction")
    }
    assert (
        losses["epsilon"]["held_out_before"]
        == run_fit("plain").info.to_dict()["losses"]["held_out_before"]
    )
    assert losses["v_prediction"]["held_out_before"] != losses["epsilon"]["held_out_before"]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            ["--noise", "ofset=0.1"],
            "unknown noise 'ofset'; known: input-perturbation, offset, pyramid (did you mean "
            "'offset'?)",
        ),
        (
            ["--noise", "pyramid=0.5", "offset=7"],
            "noise 'offset=7' is not understood; give a strength from 0 (none) to 1",
        ),
        (["--zero-snr"], "add --prediction v_prediction to --zero-snr"),
        (["--zero-snr", "--prediction", "v_prediction"], "give --drift none"),
        (
            ["--prediction", "v_prediction", "--method", "textual-inversion"],
            "predicts epsilon; take --method full",
        ),
        (["--prediction", "x0"], "--prediction is x0; give 'epsilon' or 'v_prediction'"),
    ],
)
def test_the_command_line_says_what_to_do_before_work_starts(
    given: list[str],
    sentence: str,
    dry: list[str],
    tiny_base_folder: Path,
    tiny_cohort_folder: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    where = [
        "fit",
        str(tiny_cohort_folder),
        "--base",
        str(tiny_base_folder),
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main.main([*where, *given, *dry]) == 1
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()

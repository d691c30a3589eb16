"""Schedules: scales in closed form, and what a scheduler's file leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from latentdrift.errors import BaseModelError
from latentdrift.model.base import Base
from latentdrift.model.schedule import DEFAULTS, Schedule


def test_a_network_that_predicts_the_image_is_refused(broken: Path) -> None:
    file = broken / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "prediction_type": "sample"}))
    with pytest.raises(BaseModelError, match=r"'sample'.*epsilon and v_prediction"):
        Base.load(broken)


@pytest.mark.parametrize(
    "config",
    [
        {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": 1000,
            "shift": 3.0,
            "beta_start": 0.00085,
        },
        {"_class_name": "FlowMatchSomethingNewScheduler"},
        {
            "_class_name": "DPMSolverMultistepScheduler",
            "use_flow_sigmas": True,
            "prediction_type": "epsilon",
        },
        {"_class_name": "EDMEulerScheduler", "prediction_type": "epsilon"},
        {"_class_name": "CogVideoXDDIMScheduler", "prediction_type": "v_prediction"},
    ],
)
def test_another_process_than_a_schedule_of_betas_is_refused(
    config: dict[str, object], broken: Path
) -> None:
    (broken / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    with pytest.raises(
        BaseModelError, match=f"names {config['_class_name']}.*not for a noise schedule of betas"
    ):
        Base.load(broken)


@pytest.mark.parametrize(
    "name",
    [
        "DDIMScheduler",
        "DDPMScheduler",
        "PNDMScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "LCMScheduler",
    ],
)
def test_what_a_scheduler_does_not_say_is_what_it_takes_itself(name: str) -> None:
    """alpha_bar and times of the stock scheduler of the same few words."""
    import diffusers

    given = {"prediction_type": "v_prediction", "num_train_timesteps": 500}
    stock = getattr(diffusers, name)(**given)
    schedule = Schedule.from_config({"_class_name": name, **given})
    assert torch.equal(schedule.alpha_bar, stock.alphas_cumprod.double())
    for key in ("timestep_spacing", "steps_offset", "set_alpha_to_one"):
        assert schedule.config[key] == stock.config.get(key, DEFAULTS[key])


def test_a_scheduler_without_its_class_is_that_of_the_index(broken: Path) -> None:
    from diffusers import DDIMScheduler

    file = broken / "scheduler" / "scheduler_config.json"
    index = json.loads((broken / "model_index.json").read_text())
    file.write_text(json.dumps({"prediction_type": "epsilon"}))
    (broken / "model_index.json").write_text(
        json.dumps({**index, "scheduler": ["diffusers", "DDIMScheduler"]})
    )
    assert torch.equal(
        Base.load(broken).schedule.alpha_bar, DDIMScheduler().alphas_cumprod.double()
    )


def test_schedule_is_that_of_stable_diffusion() -> None:
    betas = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "steps_offset": 1,
    }
    schedule = Schedule.from_config(
        {"_class_name": "PNDMScheduler", "skip_prk_steps": True, **betas}
    )
    # Constants of SD 1.x: alpha_bar_0 = 0.99915, s_0 = 0.02915, a_999 = 0.06826, s_999 = 0.99767,
    # a_981 = 0.07600.
    assert schedule.alpha_bar[0] == pytest.approx(0.99915, abs=1e-5)
    assert schedule.s(0) == pytest.approx(0.02915, abs=1e-5)
    assert schedule.a(999) == pytest.approx(0.06826, abs=1e-5)
    assert schedule.s(999) == pytest.approx(0.99767, abs=1e-5)
    assert schedule.a(schedule.timesteps(50)[0]) == pytest.approx(0.07600, abs=1e-5)


def test_schedule_between_times_is_straight_in_log_sigma() -> None:
    schedule = Schedule.from_config({})
    sigma = schedule.s(torch.tensor([500, 500.25, 501])) / schedule.a(
        torch.tensor([500, 500.25, 501])
    )
    low, middle, high = sigma.log().tolist()
    assert middle == pytest.approx(0.75 * low + 0.25 * high, abs=1e-12)


def test_schedule_with_zero_terminal_snr_ends_in_pure_noise() -> None:
    schedule = Schedule.from_config(
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    )
    assert schedule.a(999) < 1e-3 and schedule.s(999).isfinite()


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_splits_into_what_it_was_mixed_from(kind: str) -> None:
    schedule = Schedule.from_config({"prediction_type": kind})
    x0 = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    eps = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    t = torch.tensor([3, 700])
    xt = schedule.add_noise(x0, eps, t)
    for found, expected in zip(
        schedule.split(schedule.target(x0, eps, t), xt, t), (x0, eps), strict=True
    ):
        assert torch.allclose(found, expected, atol=1e-12)

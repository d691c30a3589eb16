"""`drift estimate`: the closed form over patients, and the copy slope, against numbers that are
known (T16)."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from fits import short_fit
from gaussian import gaussian, randn, sd_schedule

from latentdrift import config, record, service
from latentdrift.adapt.training.copy_slope import CopySlope, copy_slope
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import InputError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift, Group
from latentdrift.model.signal_leak import estimate
from latentdrift.sample.samplers import first_time, run
from latentdrift.study.drift.estimate import first_signal
from latentdrift.study.model_images import with_start


def options(cohort: Path, base: Path, out: Path, **more: object) -> config.DriftEstimateOptions:
    return config.DriftEstimateOptions(
        **{"cohort": cohort, "base": str(base), "out": out, "steps": 4, "n": 4, **more}
    )


def test_delta_is_the_leaked_signal_within_its_interval() -> None:
    patients = 200
    truth = torch.tensor([-0.6, 0.8, 0.0, 0.3], dtype=torch.float64)
    a = 0.076
    means = truth + 0.5 * randn(patients, 4, seed=3)
    delta, interval = estimate(means, a)
    for value, (low, high), true in zip(delta, interval, truth.tolist(), strict=True):
        assert (
            value == pytest.approx(a * true, abs=4 * a * 0.5 / math.sqrt(patients))
            and low < a * true < high
        )


def test_visits_of_one_patient_are_no_new_evidence() -> None:
    per_patient = randn(50, 4, seed=4)
    visits = 9
    repeated = per_patient.repeat_interleave(visits, 0)
    names = [patient for patient in range(50) for _ in range(visits)]
    delta, interval = estimate(repeated, 0.07, groups=names)
    once_delta, once = estimate(per_patient, 0.07)
    assert delta == pytest.approx(once_delta) and np.allclose(interval, once)
    _, alone = estimate(repeated, 0.07)
    assert np.diff(interval).mean() == pytest.approx(
        math.sqrt(visits) * np.diff(alone).mean(), rel=0.15
    )


def test_the_interval_of_the_mean_is_that_of_the_normal() -> None:
    means = randn(400, 4, seed=5)
    _, interval = estimate(means, 1.0, groups=[f"p{i}" for i in range(400)], resamples=2000)
    assert np.diff(interval).mean() == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.08)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_copy_slope_of_the_exact_denoiser(kind: str) -> None:
    schedule = sd_schedule(kind)
    steps = 20
    std = 0.05
    n = 8
    starts = randn(n, 4, 8, 8, seed=6)
    x0 = run(gaussian(schedule, -0.5, std), schedule, "ddim", steps, starts, None, [])
    a_t0 = float(schedule.a(first_time("ddim", schedule, steps)))
    found = copy_slope(starts.mean((2, 3)), x0.mean((2, 3)), a_t0)
    # DDIM of a Gaussian is linear: (y' - a' m) = (y - a m) (a' g + s' (1 - a g) / s), g = a std^2 /
    # (a^2 std^2 + s^2)
    expected = 1.0
    times = [*schedule.timesteps(steps).tolist(), 0]
    for t, after in pairwise(times):
        a, s, a_next, s_next = (
            float(x) for x in (schedule.a(t), schedule.s(t), schedule.a(after), schedule.s(after))
        )
        g = a * std**2 / (a**2 * std**2 + s**2)
        expected *= a_next * g + s_next * (1 - a * g) / s
    assert found.slope == pytest.approx([expected] * 4, rel=0.02)
    assert found.r2 == pytest.approx([1] * 4) and found.full == pytest.approx(1 / a_t0)
    assert (
        max(found.share) < 0.1 and "ignored" in found.sentence
    )  # its data are narrow: every start leads to one picture


def test_copy_slope_of_a_line_with_scatter_is_inside_its_interval() -> None:
    starts = randn(200, 4, seed=7)
    scatter = randn(200, 4, seed=8)
    found = copy_slope(starts, 0.3 + 6.0 * starts + 2.0 * scatter, 0.076)
    assert all(low < 6 < high for low, high in found.interval)
    assert found.r2 == pytest.approx([36 / 40] * 4, abs=0.05)  # slope^2 / (slope^2 + scatter^2)
    assert (
        "copied" in found.sentence
        and "46% of a full copy, in channel 1"
        in CopySlope((0.2, 6.0), ((0, 1), (5, 7)), (0.9, 0.9), 13.0, 32).sentence
    )


def test_the_slope_that_is_named_is_one_that_is_clear() -> None:
    """Channel 1 is steepest and scatters from below 0; channel 0 is a line."""
    words = CopySlope((5.0, 9.0), ((4.0, 6.0), (-6.0, 24.0)), (0.99, 0.7), 5.0, 4).sentence
    assert "copied" in words and "100% of a full copy, in channel 0" in words


def test_too_few_images_are_no_evidence_of_no_copying() -> None:
    assert (
        "too few" in CopySlope((0.5, 9.0), ((-4.0, 5.0), (-6.0, 24.0)), (0.1, 0.7), 5.0, 4).sentence
    )
    assert (
        "No copying"
        in CopySlope((0.5, 0.1), ((-1.0, 2.0), (-0.5, 0.7)), (0.1, 0.1), 5.0, 40).sentence
    )


def test_no_slope_is_said_to_be_none() -> None:
    assert "No copying" in copy_slope(randn(50, 4, seed=9), randn(50, 4, seed=10), 0.076).sentence
    with pytest.raises(InputError, match="three images"):
        copy_slope(randn(2, 4), randn(2, 4), 0.076)


def test_starts_keep_what_was_trained_in() -> None:
    drift = Drift(
        (0.1,) * 4, (0.3,) * 4, start="pin", groups=(Group("ill", (0.2,) * 4, (0.5,) * 4),)
    )
    moved = with_start(drift, -0.1, 4)
    undrifted = drift.plain
    assert moved.train == (0.1,) * 4 and moved.infer == (-0.1,) * 4 and moved.start == "shift"
    assert moved.groups[0].train == (0.2,) * 4 and moved.groups[0].infer == (-0.1,) * 4
    for prompt in ("an ill brain", "a brain"):
        assert not undrifted.of_prompt(prompt).shift(1.0).any()


def test_the_closed_form_follows_the_first_time_of_the_sampler(
    tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    for sampler, steps in (("ddim", 50), ("ddim", 4), ("euler", 20)):
        asked = options(
            tiny_cohort_folder, tiny_base_folder, Path("x"), sampler=sampler, steps=steps
        )
        assert first_signal(base, asked) == float(
            base.schedule.a(first_time(sampler, base.schedule, steps))
        )


def test_pure_noise_is_refused(tiny_v_folder: Path, tiny_cohort_folder: Path) -> None:
    from dataclasses import replace

    base = Base.load(tiny_v_folder, device="cpu", precision="fp32")
    base = replace(base, schedule=base.schedule.altered(zero_snr=True))
    with pytest.raises(OptionError, match="pure noise"):
        first_signal(base, options(tiny_cohort_folder, tiny_v_folder, Path("x")))


def test_estimate_end_to_end(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    asked = options(tiny_cohort_folder, tiny_base_folder, tmp_path / "found")
    cost = dry_run.run("drift estimate", asked)
    assert cost["images_drawn"] == 4 and not (tmp_path / "found").exists()
    service.run("drift estimate", asked, quiet=True)
    told = json.loads((tmp_path / "found" / "estimate.json").read_text())
    base = Base.load(tiny_base_folder, precision="fp32", device="cpu")
    cohort = Cohort.load(tiny_cohort_folder)
    mean, _ = base.moments(torch.from_numpy(cohort.batch(cohort.rows("train"), 32)))
    assert told["delta"] == pytest.approx((mean.mean((0, 2, 3)) * told["a_t0"]).tolist(), rel=1e-4)
    assert (
        told["sd"] == pytest.approx([8 * value for value in told["delta"]])
        and told["mode"] == "infer"
    )
    assert told["images"] == 8 and told["patients"] == 4  # the train split alone
    assert len(told["copy_slope"]["slope"]) == 4 and told["copy_slope"]["full"] == pytest.approx(
        1 / told["a_t0"]
    )
    assert "data:image/svg" in (tmp_path / "found" / "estimate.html").read_text()
    assert record.read(tmp_path / "found")["verb"] == "drift estimate"
    read = Drift.parse(str(tmp_path / "found" / "estimate.json"), channels=4, latent_size=8)
    assert read == Drift.of(told["delta"], "infer")


def test_a_network_that_is_shown_more_than_words_is_refused(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    made = short_fit(
        tiny_base_folder,
        Cohort.load(tiny_cohort_folder),
        tmp_path / "run",
        method="instruct-pix2pix",
        steps=1,
    )
    asked = config.DriftEstimateOptions(
        cohort=tiny_cohort_folder, adapter=str(made.adapter), out=tmp_path / "found", n=4, steps=4
    )
    with pytest.raises(
        OptionError, match=r"shown .* beside it; leave the copy slope out with `copy_slope=False`"
    ):
        service.run("drift estimate", asked, quiet=True)
    without = config.DriftEstimateOptions(
        cohort=tiny_cohort_folder,
        adapter=str(made.adapter),
        out=tmp_path / "found",
        copy_slope=False,
    )
    service.run("drift estimate", without, quiet=True)
    assert json.loads((tmp_path / "found" / "estimate.json").read_text())["source"] == "closed form"
    searched = config.DriftSearchOptions(
        cohort=tiny_cohort_folder, adapter=str(made.adapter), out=tmp_path / "search"
    )
    with pytest.raises(OptionError, match="studies of drift draw from text alone"):
        service.run("drift search", searched, quiet=True)

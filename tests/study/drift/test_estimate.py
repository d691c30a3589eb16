"""`drift estimate`: the closed form over patients, and the copy slope, against numbers that are
known (T16)."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fits import short_fit

from latentdrift import config, record, service
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.sample.samplers import first_time
from latentdrift.study.drift.estimate import check_copy_slope, first_signal


def options(cohort: Path, base: Path, out: Path, **more: object) -> config.DriftEstimateOptions:
    return config.DriftEstimateOptions(
        **{
            "cohort": cohort,
            "base": str(base),
            "out": out,
            "steps": 4,
            "n": 4,
            "precision": "fp32",
            **more,
        }
    )


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
    drift = ["delta", "interval", "sd"]
    latents = ["latent_mean", "latent_size", "t0", "a_t0"]
    inputs = ["split", "images", "patients", "base", "method", "cohort"]
    assert list(told) == [*drift, "source", "mode", "closed_form", *latents, *inputs, "copy_slope"]
    assert list(told["closed_form"]) == drift and list(told["base"]) == ["name", "hash"]
    assert "data:image/svg" in (tmp_path / "found" / "estimate.html").read_text()
    assert record.read(tmp_path / "found")["verb"] == "drift estimate"
    read = Drift.parse(str(tmp_path / "found" / "estimate.json"), channels=4, latent_size=8)
    assert read == Drift.of(told["delta"], "infer")


@pytest.mark.parametrize("is_base", [True, False])
def test_too_few_images_for_the_copy_slope_are_refused_before_work(
    is_base: bool, tmp_path: Path
) -> None:
    base = SimpleNamespace(sees_source=False, controls=(), latent_channels=4)
    model: Any = SimpleNamespace(base=base, is_base=is_base)
    few = options(tmp_path, tmp_path, tmp_path, n=6)
    check_copy_slope(model, few.model_copy(update={"n": 7}))
    check_copy_slope(model, few.model_copy(update={"copy_slope": False}))
    if is_base:
        return check_copy_slope(model, few)
    with pytest.raises(OptionError, match=r"`n` is 6, .* 4 latent channels take at least 7 images"):
        check_copy_slope(model, few)


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
        OptionError, match=r"needs .*, too; leave the copy slope out with `copy_slope=False`"
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
    with pytest.raises(OptionError, match="studies of drift sample from text alone"):
        service.run("drift search", searched, quiet=True)

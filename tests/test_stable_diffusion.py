"""Stable Diffusion 1.5: drift as the paper shows it (slow; needs the weights)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from latentdrift import config, service
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.evaluate.images.brightness import levels
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.sample.generate import SamplingOptions
from latentdrift.study.benchmarks.sensitivity import GRID, Answer, answers
from latentdrift.study.drift.search import load_fit
from latentdrift.study.model_images import draw_images, prompts_of_split

SD = os.environ.get("LATENTDRIFT_SD")
COHORT = os.environ.get("LATENTDRIFT_COHORT")
STEPS = int(os.environ.get("LATENTDRIFT_STEPS", "500"))  # of a fine-tune
SAMPLING = SamplingOptions(seed=0, steps=50, guidance=7.5, sampler="ddim")
PROMPTS = {
    0: "Elon Musk on a mountain",
    1: "Barack Obama on a plane",
}  # (Yeganeh et al. 2025, fig. 2)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SD, reason="LATENTDRIFT_SD names no folder with Stable Diffusion 1.x"),
]


with_cohort = pytest.mark.skipif(not COHORT, reason="LATENTDRIFT_COHORT names no cohort")


@pytest.fixture(scope="module")
def plain() -> list[Answer]:
    base = Base.load(str(SD))
    return answers(Model.of_base(base), PROMPTS, SAMPLING)


@pytest.fixture(scope="module", params=["none", "0.1"])
def fitted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, config.FitOptions]:
    """A full fine-tune without and with drift."""
    out = tmp_path_factory.mktemp("fits") / request.param
    asked = config.FitOptions(
        cohort=Path(str(COHORT)),
        base=str(SD),
        method="full",
        drift=request.param,
        steps=STEPS,
        preview_every=0,
        out=out,
    )
    service.run("fit", asked)
    return request.param, asked


def test_a_drifted_start_tints_green_or_purple(plain: list[Answer]) -> None:
    """Latents (1, 1, 1, 1) are RGB (0.14, 0.41, 0.17) in SD 1.x's usual linear map."""
    tint = {
        answer.delta: answer.picture[..., 1].mean() - answer.picture[..., [0, 2]].mean()
        for answer in plain
    }
    assert tint[0.2] > tint[0.0] + 10
    assert tint[-0.2] < tint[0.0] - 10


def test_a_drifted_start_is_magnified_to_the_end(plain: list[Answer]) -> None:
    """Figure 3 without drift in training: the latent mean ends at 1.95 for 0.2, 0.68 for 0.1 and
    -1.45 for -0.2; to 20 %."""
    ends = {answer.delta: answer.mean[-1] for answer in plain}
    for delta, expected in [(0.2, 1.95), (0.1, 0.68), (-0.2, -1.45)]:
        assert ends[delta] - ends[0.0] == pytest.approx(expected, rel=0.2, abs=0.1)


@pytest.fixture(scope="module")
def spread() -> dict[str, float]:
    """Range of the latent mean over the grid, by drift in training."""
    return {}


@with_cohort
def test_drift_in_training_makes_the_start_matter_less(
    fitted: tuple[str, config.FitOptions], spread: dict[str, float]
) -> None:
    drift, asked = fitted
    subject = load_fit(asked)
    found = answers(subject, subject.prompts(Cohort.load(asked.cohort), "test", 4), SAMPLING, GRID)
    ends = [answer.mean[-1] for answer in found]
    spread[drift] = max(ends) - min(ends)
    if len(spread) == 2:
        assert spread["0.1"] < 0.5 * spread["none"]


@pytest.fixture(scope="module")
def behind() -> dict[str, float]:
    """How far the background is from the real one in grey levels, by drift."""
    return {}


@with_cohort
def test_drift_brings_the_background_nearer_to_the_real_one(
    fitted: tuple[str, config.FitOptions], behind: dict[str, float]
) -> None:
    drift, asked = fitted
    subject = load_fit(asked)
    cohort = Cohort.load(asked.cohort)
    real = (np.moveaxis(cohort.batch(cohort.rows("test"), subject.info.side), 1, -1) + 1) / 2
    pictures = np.stack(
        list(
            draw_images(
                subject, subject.drift, prompts_of_split(subject, cohort, "test", 16), SAMPLING
            )
        )
    )
    found = levels(pictures, real)
    if found["background"] is None or found["real_background"] is None:
        pytest.skip("the cohort has no common background")
    behind[drift] = abs(found["background"] - found["real_background"])
    if len(behind) == 2:
        assert behind["0.1"] < behind["none"]

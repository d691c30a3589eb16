"""Sensitivity to the start's drift: the latents' mean moves as the start does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.sample.generate import SamplingOptions
from latentdrift.study.benchmarks.sensitivity import FEW, answers, figure

GRID = (-0.2, 0.0, 0.2)


@pytest.fixture(scope="module")
def model(tiny_base_folder: Path) -> Model:
    return Model.of_base(Base.load(tiny_base_folder, device="cpu", precision="fp32"))


def test_each_delta_has_its_picture_and_its_curve(model: Model) -> None:
    sampling = SamplingOptions(steps=3, guidance=1.0, resolution=32)
    prompts = dict.fromkeys(range(FEW + 4), "a brain MRI")
    found = answers(model, prompts, sampling, GRID)
    assert [answer.delta for answer in found] == list(GRID)
    for answer in found:
        assert answer.picture.shape == (32, 32, 3) and answer.picture.dtype == np.uint8
        assert len(answer.mean) == len(answer.sd) == 3
    first = [answer.mean[0] for answer in found]
    assert first[0] < first[1] < first[2]
    assert found[1].mean == answers(model, prompts, sampling, (0.0,))[0].mean
    drawing = figure({"plain": found}, "ddim")
    titles = [ax.get_title() for ax in drawing.axes]
    assert titles[:3] == ["-0.2", "+0", "+0.2"]
    assert titles[3].startswith("plain: mean of xt over the steps")

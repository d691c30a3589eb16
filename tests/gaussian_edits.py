"""Edits of data of known mean: the prompt is a number that is added to the mean."""

from __future__ import annotations

import torch
from gaussian import channels, gaussian, randn, sd_schedule

from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.editors.editors import Task
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift

DELTA = (0.1, -0.05, 0.2, 0.0)
UNIT = randn(1, 4, 16, 16)
STD = 0.2


def number(*values: float) -> Conditioning:
    return Conditioning(torch.tensor(values, dtype=torch.float64))


def task(
    kind: str = "epsilon", *, target: float = 0.5, drifted: bool = False, **options: object
) -> Task:
    """The source has mean 0; the context, a number, is added to it."""
    schedule = sd_schedule(kind)
    network = gaussian(schedule, 0.0, STD, delta=channels(*DELTA) if drifted else 0.0)
    values = {
        "denoiser": Drift.of(DELTA).wrap(network, schedule) if drifted else network,
        "changed": Drift.of(DELTA).wrap(network, schedule) if drifted else network,
        "schedule": schedule,
        "x0": STD * UNIT,
        "source": number(0.0),
        "target": number(target),
        "empty": number(0.0),
        "strength": 1.0,
        "steps": 50,
        "guidance": 1.0,
        "generator": torch.Generator().manual_seed(0),
        "starts": (UNIT, UNIT),
        "parts": (number(target),),
        "spec": EditSpec(focus=0.0),
        **options,
    }
    return Task(**values)

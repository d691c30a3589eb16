"""Inversions of data of known mean, and the error of their way back."""

from __future__ import annotations

import torch
from gaussian import channels, gaussian, randn, sd_schedule

from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.core.task import Task
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift

DELTA = (0.1, -0.05, 0.2, 0.0)


def task(
    kind: str = "epsilon", *, drifted: bool = False, source: float = 0.3, **options: object
) -> Task:
    """The prompt is a number that is added to the mean; the empty one's is 0."""
    schedule = sd_schedule(kind)
    network = gaussian(schedule, delta=channels(*DELTA) if drifted else 0.0)
    network = Drift.of(DELTA).wrap(network, schedule) if drifted else network
    contexts = {
        name: Conditioning(torch.tensor([value], dtype=torch.float64))
        for name, value in (("source", source), ("empty", 0.0))
    }
    values = {
        "denoiser": network,
        "changed": network,
        "schedule": schedule,
        "x0": -0.2 + 0.35 * randn(1, 4, 8, 8),
        "target": Conditioning(torch.tensor([9.0], dtype=torch.float64)),
        "strength": 0.8,
        "steps": 50,
        "guidance": 3.0,
        "generator": torch.Generator().manual_seed(0),
        "spec": EditSpec(),
        **contexts,
        **options,
    }
    return Task(**values)


def error(asked: Task, inversion: str) -> float:
    """Of the reconstruction, at the task's guidance."""
    found = INVERSIONS[inversion].invert(asked)
    back = asked.along(asked.reconstructs(found.references), found)
    return (back - asked.x0).abs().max().item()

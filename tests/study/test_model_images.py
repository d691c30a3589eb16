"""Images that a study draws from a model: starts under another delta."""

from __future__ import annotations

from latentdrift.model.drift import Drift, Group
from latentdrift.study.model_images import with_start


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

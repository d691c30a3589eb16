"""Early stopping keeps the best checkpoint, also over interrupts."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import KilledError, entries, killer, same, weights
from safetensors.torch import load_file

from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.optimization.early_stopping import Patience
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, OptionError


def test_patience_counts_checkpoints_without_a_lower_loss() -> None:
    found = Patience(2)
    seen = []
    for step, loss in enumerate([3.0, 2.0, 2.0, 1.5, float("nan"), 1.6], start=1):
        found = found.after(step, loss)
        seen.append((found.step, found.loss, found.waited, found.over))
    assert seen == [
        (1, 3.0, 0, False),
        (2, 2.0, 0, False),
        (2, 2.0, 1, False),
        (4, 1.5, 0, False),
        (4, 1.5, 1, False),
        (4, 1.5, 2, True),
    ]
    assert Patience(**found.to_dict()) == found


def held_out_losses(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Have the held-out losses of steps 0, 1, 2, ... be these."""
    original = Trainer.watch

    def watch(self: Trainer, batches: Any) -> float | None:
        before = self.patience
        self.patience = None
        original(self, batches)
        loss = values[self.done]
        self.patience = before.after(self.done, loss) if before and self.done else before
        return loss

    monkeypatch.setattr(Trainer, "watch", watch)


@pytest.mark.parametrize("ema", [None, 0.5])
def test_the_adapter_is_the_best_checkpoint(
    ema: float | None, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out_losses(monkeypatch, [9, 5, 4, 6, 7, 8, 1, 1, 1])
    stopped = run(patience=3, checkpoint_every=1, ema=ema)
    stored = load_file(tmp_path / "run" / "checkpoints" / "step-000002" / "state.safetensors")
    kind = "average" if ema else "weight"
    assert all(
        torch.equal(stored[f"{kind}/{name.removeprefix('unet.')}"], value)
        for name, value in weights(stopped).items()
    )
    assert stopped.info.to_dict()["early_stopping"] == {
        "limit": 3,
        "step": 2,
        "loss": 4,
        "waited": 3,
        "stopped": 5,
    }
    assert stopped.info.to_dict()["losses"]["held_out"] == 4
    assert entries(tmp_path / "run")[-1] == {"step": 5, "kept": 2, "kept_held_out": 4, "waited": 3}
    assert {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()} == {
        f"step-00000{step}" for step in (2, 4, 5)
    }


def test_a_run_that_is_never_stopped_keeps_its_best_checkpoint_too(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held_out_losses(monkeypatch, [9, 9, 9, 3, 9, 9, 4, 9, 5])
    with caplog.at_level(logging.INFO):
        result = run(patience=3)
    assert result.info.to_dict()["early_stopping"] == {
        "limit": 3,
        "step": 3,
        "loss": 3,
        "waited": 2,
        "stopped": 8,
    }
    assert "finished after 8 steps; the adapter is the checkpoint of step 3" in caplog.text


def test_patience_needs_something_to_watch(run: Any, cohort: Cohort, tmp_path: Path) -> None:
    shutil.copytree(cohort.folder, tmp_path / "all")
    cohort.rows().assign(split="train").to_csv(tmp_path / "all" / "metadata.csv", index=False)
    with pytest.raises(
        CohortError, match=r"`patience` watches the held-out loss, .* has none in its validation"
    ):
        run(data=Cohort.load(tmp_path / "all"), patience=2)


def test_with_patience_checkpoints_shape_the_result(run: Any) -> None:
    with pytest.raises(KilledError):
        run(patience=2, on_step=killer(4))
    with pytest.raises(OptionError, match=r"checkpoint_every \(3 there, 2 now\)"):
        run(patience=2, checkpoint_every=2)


def test_an_interrupt_before_the_look_at_the_held_out_loss_does_not_skip_it(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = run("straight", patience=1)

    def interrupted(self: Trainer, batches: Any) -> float | None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        run(patience=1, on_step=lambda done, loss: patch.setattr(Trainer, "watch", interrupted))
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000003"]
    resumed = run(patience=1)
    assert same(straight, resumed)
    assert resumed.info == straight.info

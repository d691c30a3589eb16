"""A checkpoint brings everything back to the bit; damaged ones are passed over."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from latentdrift.adapt.training.loop import checkpoint
from latentdrift.adapt.training.optimization.early_stopping import Patience


def run(steps: int, parameters: dict, optimizer: torch.optim.Optimizer, begin: int = 0) -> None:
    for step in range(begin, steps):
        loss = sum((parameter * (step + 1)).cos().sum() for parameter in parameters.values())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def fresh() -> tuple[dict[str, torch.nn.Parameter], torch.optim.Optimizer]:
    source = torch.Generator().manual_seed(0)
    shapes = {"a": (3, 4), "b.c": (5,)}
    parameters = {
        name: torch.nn.Parameter(torch.randn(shape, generator=source))
        for name, shape in shapes.items()
    }
    return parameters, torch.optim.AdamW(list(parameters.values()), lr=0.1, fused=True)


def test_going_on_is_exact(tmp_path: Path) -> None:
    straight, optimizer = fresh()
    run(9, straight, optimizer)

    parameters, optimizer = fresh()
    run(4, parameters, optimizer)
    checkpoint.write(tmp_path, 4, parameters, optimizer)
    parameters, optimizer = fresh()
    last = checkpoint.newest(tmp_path)
    assert last
    assert last.step == 4
    last.restore(parameters, optimizer)
    run(9, parameters, optimizer, begin=4)
    assert all(torch.equal(parameters[name], straight[name]) for name in straight)


def written(root: Path, *steps: int) -> None:
    parameters, optimizer = fresh()
    run(1, parameters, optimizer)
    for step in steps:
        checkpoint.write(root, step, parameters, optimizer)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    written(tmp_path, 1, 2, 3, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000003", "step-000010"]


def test_the_state_of_early_stopping_comes_back_and_its_best_checkpoint_is_kept(
    tmp_path: Path,
) -> None:
    parameters, optimizer = fresh()
    run(1, parameters, optimizer)
    patience = Patience(limit=3)
    for step, loss in enumerate([0.5, 0.25, 0.75, 0.5], start=1):
        patience = patience.after(step, loss)
        checkpoint.write(tmp_path, step, parameters, optimizer, watched=step, patience=patience)
    last = checkpoint.newest(tmp_path)
    assert last is not None and last.watched == 4
    assert last.patience == patience == Patience(limit=3, step=2, loss=0.25, waited=2)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["step-000002", "step-000003", "step-000004"]


def test_a_checkpoint_of_an_earlier_version_was_watched_at_its_step(tmp_path: Path) -> None:
    written(tmp_path, 7)
    (tmp_path / "step-000007" / "state.json").write_text('{"step": 7}')
    last = checkpoint.newest(tmp_path)
    assert last is not None and (last.watched, last.patience) == (7, None)


def test_the_step_at_which_the_loss_was_measured_comes_back(tmp_path: Path) -> None:
    """It lies before the step of a checkpoint between two measurements."""
    parameters, optimizer = fresh()
    run(1, parameters, optimizer)
    checkpoint.write(tmp_path, 7, parameters, optimizer, watched=5)
    last = checkpoint.newest(tmp_path)
    assert last is not None and (last.step, last.watched) == (7, 5)


DAMAGED_STATES = [
    "[]",
    "3",
    "null",
    "{",
    "",
    "{}",
    '{"step": "6"}',
    '{"step": null}',
    '{"step": 6.5}',
    '{"step": true}',
    '{"step": 6, "watched": null}',
    '{"step": 6, "watched": "6"}',
    '{"step": 6, "best": "6"}',
    '{"step": 6, "patience": 3}',
    '{"step": 6, "patience": []}',
    '{"step": 6, "patience": {}}',
    '{"step": 6, "patience": {"limit": "x"}}',
    '{"step": 6, "patience": {"limit": 2, "step": null}}',
    '{"step": 6, "patience": {"limit": 2, "loss": "y"}}',
    '{"step": 6, "patience": {"limit": 2, "waited": null}}',
    '{"step": 6, "patience": {"limit": 2, "later": 1}}',
]


@pytest.mark.parametrize("state", DAMAGED_STATES)
def test_a_checkpoint_with_a_damaged_state_is_skipped_on_reading_and_on_writing(
    state: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path, 5, 6)
    (tmp_path / "step-000006" / "state.json").write_text(state)
    with caplog.at_level(logging.WARNING):
        last = checkpoint.newest(tmp_path)
    assert last is not None and last.step == 5
    assert "step-000006 cannot be read" in caplog.text
    written(tmp_path, 7)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000006", "step-000007"]


def test_a_state_that_is_no_text_is_damage(tmp_path: Path) -> None:
    written(tmp_path, 5, 6)
    (tmp_path / "step-000006" / "state.json").write_bytes(b'{"step": 6, "later": "\xff"}')
    last = checkpoint.newest(tmp_path)
    assert last is not None and last.step == 5


def test_names_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    written(tmp_path, 5)
    (tmp_path / "step-000005" / "state.json").write_text('{"step": 5, "watched": 4, "later": 1}')
    last = checkpoint.newest(tmp_path)
    assert last is not None and (last.step, last.watched) == (5, 4)


def test_none_yet(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / "none") is None


def test_a_half_written_one_is_ignored_with_a_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path, 5)
    (tmp_path / ".step-000006.partial").mkdir()
    with caplog.at_level(logging.WARNING):
        last = checkpoint.newest(tmp_path)
    assert last
    assert last.step == 5
    assert "only half written" in caplog.text
    assert not (tmp_path / ".step-000006.partial").exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_a_damaged_one_falls_back_to_the_one_before(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path, 5, 6)
    path = tmp_path / "step-000006" / "state.safetensors"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100] if damage == "cut" else b"")
    with caplog.at_level(logging.WARNING):
        last = checkpoint.newest(tmp_path)
    assert last
    assert last.step == 5
    assert "step-000006 cannot be read" in caplog.text


def test_a_checkpoint_holds_whole_numbers_and_shared_tables(tmp_path: Path) -> None:
    """As the state of 8-bit optimisers is."""
    parameters = {name: torch.nn.Parameter(torch.randn(4)) for name in "ab"}
    optimizer = torch.optim.SGD(list(parameters.values()), lr=0.1)
    table = torch.linspace(-1, 1, 256)
    state = {"step": 3, "table": table, "state1": torch.arange(4, dtype=torch.uint8)}
    for parameter in parameters.values():
        optimizer.state[parameter] = dict(state)
    checkpoint.write(tmp_path, 3, parameters, optimizer)
    again = torch.optim.SGD(list(parameters.values()), lr=0.1)
    last = checkpoint.newest(tmp_path)
    assert last
    last.restore(parameters, again)
    for parameter in parameters.values():
        found = again.state[parameter]
        assert (found["step"], type(found["step"])) == (3, int)
        assert torch.equal(found["table"], table)

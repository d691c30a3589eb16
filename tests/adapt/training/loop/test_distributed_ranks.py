"""Ranks that a launcher gives to its processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift.adapt.training.loop import distributed_ranks
from latentdrift.adapt.training.loop.distributed import Processes
from latentdrift.cli import main
from latentdrift.errors import OptionError
from latentdrift.model.base import Base


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "PMI_RANK"])
def test_a_rank_that_is_no_number_is_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "abc")
    with pytest.raises(OptionError, match=f"the environment variable {name} is 'abc'"):
        distributed_ranks.count() if name == "WORLD_SIZE" else distributed_ranks.rank()
    if name != "WORLD_SIZE":
        assert main.main(["phantom", "--out", str(tmp_path / "out")]) == 1
        assert f"the environment variable {name} is 'abc'" in capsys.readouterr().err


@pytest.mark.parametrize("name", distributed_ranks.REFUSED)
def test_engines_that_share_weights_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "true")
    command, engine = distributed_ranks.REFUSED[name]
    with pytest.raises(OptionError, match=f"{command} asks for {engine}, and `fit`"):
        Processes.join("cpu")


def test_fsdp_is_refused_before_the_base_is_loaded(
    tmp_path: Path,
    tiny_cohort_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setattr(Base, "load", lambda *_, **__: pytest.fail("the base was loaded"))
    assert main.main(["fit", str(tiny_cohort_folder), "--out", str(tmp_path / "run")]) == 1
    assert "accelerate launch --use_fsdp asks for FSDP" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_settings_of_a_launch_without_effect_are_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    distributed_ranks._warn_once.cache_clear()
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "NO")
    for _ in range(2):
        distributed_ranks.check_launch()
    assert caplog.messages == [
        "accelerate launch --mixed_precision bf16 has no effect: give `precision` instead"
    ]

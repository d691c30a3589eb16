"""Ranks that a launcher gives to its processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift.cli import main
from latentdrift.errors import OptionError


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "PMI_RANK"])
def test_a_rank_that_is_no_number_is_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from latentdrift.adapt.training.loop import distributed_ranks

    monkeypatch.setenv(name, "abc")
    with pytest.raises(OptionError, match=f"the environment variable {name} is 'abc'"):
        distributed_ranks.count() if name == "WORLD_SIZE" else distributed_ranks.rank()
    if name != "WORLD_SIZE":
        assert main.main(["phantom", "--out", str(tmp_path / "out")]) == 1
        assert f"the environment variable {name} is 'abc'" in capsys.readouterr().err

"""Files of the drift verbs: written whole, and read by `fit` as a drift."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latentdrift.model.drift import Drift
from latentdrift.study.drift.drift_report import write_json


def test_a_result_is_a_drift_that_fit_takes(tmp_path: Path) -> None:
    (tmp_path / "search.partial").write_text("of a run that was killed")
    write_json(tmp_path / "search.json", {"delta": [0.1, -0.2, 0.0, 0.3], "mode": "both"})
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]
    drift = Drift.parse(str(tmp_path / "search.json"), channels=4, latent_size=64)
    assert drift.train == (0.1, -0.2, 0.0, 0.3) and drift.mode == "both"


def test_numbers_that_are_none_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"delta": float("nan")})
    assert not (tmp_path / "a.json").exists()
    write_json(tmp_path / "a.json", {"what": "Fr\N{LATIN SMALL LETTER E WITH ACUTE}chet"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))

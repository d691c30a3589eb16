"""Files of the drift verbs: written whole, and read by `fit` as a drift."""

from __future__ import annotations

from pathlib import Path

from latentdrift.model.drift import Drift
from latentdrift.storage import write_json


def test_a_result_is_a_drift_that_fit_takes(tmp_path: Path) -> None:
    write_json(tmp_path / "search.json", {"delta": [0.1, -0.2, 0.0, 0.3], "mode": "both"})
    drift = Drift.parse(str(tmp_path / "search.json"), channels=4, latent_size=64)
    assert drift.train == (0.1, -0.2, 0.0, 0.3) and drift.mode == "both"

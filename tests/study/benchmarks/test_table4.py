"""Table 4: edits by pix2pix-zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benches import adapter, results
from tiny import tiny_cohort

from latentdrift import config, service
from latentdrift.cli import dry_run

SMALL: dict[str, Any] = {
    "fit_steps": 1,
    "fit_batch_size": 2,
    "steps": 2,
    "bootstrap": 10,
    "precision": "fp32",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures of thirty patients, six of them to test, who age by a year."""
    return tiny_cohort(tmp_path_factory.mktemp("edits") / "cohort", 60)


def test_table4_edits_by_pix2pix_zero(folder: Path, tiny_base_folder: Path, tmp_path: Path) -> None:
    options = {
        **SMALL,
        "steps": 3,
        "n": 4,
        "seeds": 1,
        "sentences": 2,
        "variants": ("diverse", "no-change"),
    }
    asked = config.BenchTable4Options(
        cohort=folder, base=str(tiny_base_folder), out=tmp_path, **options
    )
    assert dry_run.run("bench table4", asked)["images"] == 4
    service.run("bench table4", asked, quiet=True)
    found = results(tmp_path)
    assert set(found) == {"full-diverse-s0", "no-change-s0"}
    assert (
        found["full-diverse-s0"]["metrics"]["ssim"]["value"]
        != found["no-change-s0"]["metrics"]["ssim"]["value"]
    )
    info = adapter(tmp_path, "full-diverse-s0")
    assert (info["prompt"]["style"], info["prompt"]["patient_info"]) == ("diverse", False)
    assert "| 41.7 | 0.0216 |" in (tmp_path / "bench.md").read_text()

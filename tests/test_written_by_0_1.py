"""Cohorts, adapters, runs and records that version 0.1 wrote: today's code reads them, and they
mean the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from latentdrift import config, service
from latentdrift.adapt.loading import load_adapter
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base

WRITTEN = Path(__file__).parent / "written_by_0_1"
BASE = "e7775435a1125bd7ab8ab659e18edcf833fd14c6ae586ed12bc5a0f008355b3a"
COHORT = "ea819a5bdf616635e28dfe0c7469506fdb1fa62828c0bb2c0ccd5f44d92e8764"
SAME_ARITHMETIC = (
    torch.__version__.split("+")[0] == "2.13.0"
    and torch.backends.cpu.get_cpu_capability() == "AVX512"
    and not torch.cpu._is_amx_tile_supported()
)
"""Whether sums are rounded as on the machine where the files were written."""
ROUNDING = 64
"""Levels of 65535 by which pictures may differ under another arithmetic."""


@pytest.fixture
def world(tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files beside the base that they were made with; commands run in it."""
    folder = shutil.copytree(WRITTEN, tmp_path / "world")
    shutil.copytree(tiny_base_folder, folder / "base")
    if not SAME_ARITHMETIC and Base.load(folder / "base", device="cpu").hash != BASE:
        pytest.skip("the random weights of the tiny base are rounded otherwise on this machine")
    monkeypatch.chdir(folder)
    return folder


def run(verb: str, options: config.Options) -> dict[str, Any]:
    return service.run(verb, options, quiet=True)


def check_pixels(one: Path, other: Path) -> None:
    """Check that two pictures are the same, to the bit where the arithmetic is the same."""
    first = np.asarray(Image.open(one)).astype(int)
    second = np.asarray(Image.open(other)).astype(int)
    levels = 0 if SAME_ARITHMETIC else ROUNDING
    assert first.shape == second.shape and abs(first - second).max() <= levels


def check_weights(one: Path, other: Path) -> None:
    """Check that two files hold the same tensors, to the bit where the arithmetic is the same."""
    first = load_file(one)
    second = load_file(other)
    assert first.keys() == second.keys()
    tolerance = 0.0 if SAME_ARITHMETIC else 1e-4
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=0.0, atol=tolerance)


@pytest.mark.skipif(not SAME_ARITHMETIC, reason="random weights depend on the rounding")
def test_the_tiny_base_is_the_one_of_0_1(tiny_base_folder: Path) -> None:
    assert Base.load(tiny_base_folder, device="cpu").hash == BASE


def test_a_cohort_has_its_rows_and_pixels() -> None:
    cohort = Cohort.load(WRITTEN / "cohort")
    assert cohort.fingerprint == COHORT
    assert cohort.describe == "brain MRI"
    rows = cohort.rows()
    assert rows["split"].value_counts().to_dict() == {"train": 4, "validation": 2, "test": 2}
    assert rows["patient"].nunique() == 4 and set(rows["sex"]) == {"F", "M"}
    assert (rows["age"].min(), rows["age"].max()) == (61.2, 88.6)
    assert set(rows["diagnosis"]) == {"dementia", "no dementia"}
    for row in rows.to_dict("records"):
        png = np.asarray(Image.open(WRITTEN / "cohort" / row["file_name"]))
        assert png.shape == (64, 64) and png.dtype == np.uint16
        assert np.array_equal(cohort.stored(row), png)
        assert cohort.pixels(row) == pytest.approx(png / 65535 * 2 - 1, abs=1e-5)


@pytest.mark.parametrize("record", ["made", "worded"])
def test_an_adapter_draws_the_same_pictures(world: Path, record: str) -> None:
    """A LoRA and a learned word, each by the record of `generate`."""
    again = run("replay", config.ReplayOptions(record=Path(record), out=Path("again")))
    old = sorted((WRITTEN / record / "images").glob("*.png"))
    assert len(old) == {"made": 2, "worded": 1}[record]
    for picture in old:
        check_pixels(picture, world / "again" / "images" / picture.name)
    if SAME_ARITHMETIC:
        assert again["same"] and again["files"] == len(old) + 1


@pytest.mark.parametrize(("folder", "method"), [("run", "lora"), ("word", "textual-inversion")])
def test_an_adapter_keeps_its_facts(world: Path, folder: str, method: str) -> None:
    adapted = load_adapter(folder, device="cpu", precision="fp32")
    written = json.loads((WRITTEN / folder / "adapter" / "adapter.json").read_text())
    assert adapted.info.method == method
    assert adapted.info.cohort and adapted.info.cohort.fingerprint == COHORT
    assert list(adapted.drift.train) == written["drift"]["train"]
    assert list(adapted.drift.infer) == written["drift"]["infer"]
    assert adapted.statistics is not None
    assert adapted.without().base.hash == BASE


def test_an_edit_replays(world: Path) -> None:
    again = run("replay", config.ReplayOptions(record=Path("edited"), out=Path("again")))
    for name in ("original", "reconstruction", "counterfactual"):
        check_pixels(
            WRITTEN / "edited" / "000000" / f"{name}.png",
            world / "again" / "000000" / f"{name}.png",
        )
    if SAME_ARITHMETIC:
        assert again["same"] and again["files"] == 5


def fit_options() -> config.FitOptions:
    """The options of the run, as its record holds them."""
    return config.FitOptions(**json.loads((WRITTEN / "run" / "record.json").read_text())["options"])


def test_a_finished_run_says_so(world: Path) -> None:
    before = (world / "run" / "adapter" / "pytorch_lora_weights.safetensors").stat().st_mtime_ns
    assert run("fit", fit_options())["already finished"] is True
    after = (world / "run" / "adapter" / "pytorch_lora_weights.safetensors").stat().st_mtime_ns
    assert before == after


def test_an_interrupted_run_goes_on_to_the_same_weights(world: Path) -> None:
    """Stopped after its second step: without an adapter, and with the log of two steps."""
    shutil.rmtree(world / "run" / "adapter")
    (world / "run" / "record.json").unlink()
    log = (world / "run" / "log.jsonl").read_text().splitlines()
    (world / "run" / "log.jsonl").write_text("\n".join(log[:4]) + "\n")
    assert run("fit", fit_options())["already finished"] is False
    steps = [json.loads(line) for line in (world / "run" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in steps if "loss" in entry] == [1, 2, 3, 4]
    name = "pytorch_lora_weights.safetensors"
    check_weights(WRITTEN / "run" / "adapter" / name, world / "run" / "adapter" / name)


def test_a_fit_replays_from_its_record(world: Path) -> None:
    run("replay", config.ReplayOptions(record=Path("word"), out=Path("again")))
    name = "learned_embeds.safetensors"
    check_weights(WRITTEN / "word" / "adapter" / name, world / "again" / "adapter" / name)

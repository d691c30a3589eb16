"""adapter.json: found in runs and folders, read, written as text, and refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from infos import info_of

from latentdrift.adapt.adapters import adapter_files
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.adapter_info import FORMAT
from latentdrift.model.drift import Drift
from latentdrift.record import sha256


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with the files of an adapter that no test loads."""
    folder = tmp_path / "run" / "adapter"
    folder.mkdir(parents=True)
    drift = {**Drift().to_dict(), "source": "none"}
    info = info_of(format=FORMAT, method="lora", drift=drift)
    (folder / "adapter.json").write_text(adapter_files.text(info))
    METHODS["lora"].file_in(folder).write_bytes(b"matrices")
    return tmp_path / "run"


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(
        AdapterError, match=r"there is no adapter at .*nowhere; give the folder that `fit` made"
    ):
        load_adapter(tmp_path / "nowhere", device="cpu", precision="fp32")


def test_a_run_and_its_folder_are_one_adapter(run: Path) -> None:
    assert adapter_files.locate(run) == adapter_files.locate(run / "adapter") == run / "adapter"
    info = adapter_files.read(run)
    assert (info.method, info.base.name) == ("lora", "tiny")
    assert adapter_files.text(info) == (run / "adapter" / "adapter.json").read_text()


def test_a_folder_without_an_adapter_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"is not an adapter: it has no adapter\.json"):
        adapter_files.locate(tmp_path)
    (tmp_path / "weights.ckpt").touch()
    with pytest.raises(AdapterError, match=r"weights\.ckpt is a pickle, which can run code"):
        adapter_files.locate(tmp_path)
    (tmp_path / "fit.json").touch()
    with pytest.raises(AdapterError, match="is not finished and has no adapter yet"):
        adapter_files.locate(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": FORMAT + 1}, f"has format {FORMAT + 1}; this latentdrift reads {FORMAT}"),
        ({"method": "hypernetwork"}, "is of method 'hypernetwork'; this latentdrift knows"),
    ],
)
def test_an_adapter_of_a_later_version_is_refused(run: Path, change: dict, message: str) -> None:
    file = run / "adapter" / "adapter.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(AdapterError, match=message):
        adapter_files.read(run)


def test_a_reference_is_a_folder_and_a_weight(run: Path) -> None:
    assert adapter_files.parse_reference(str(run)) == (run / "adapter", 1.0)
    assert adapter_files.parse_reference(f"{run}=0.7") == (run / "adapter", 0.7)
    with pytest.raises(OptionError, match="is neither a folder nor RUN=WEIGHT"):
        adapter_files.parse_reference(f"{run}=much")
    with pytest.raises(AdapterError, match="there is no adapter at"):
        adapter_files.parse_reference(f"{run}-2=0.7")
    reference = adapter_files.reference_to(run / "adapter", "lora", 0.5)
    assert reference.sha256 == sha256(METHODS["lora"].file_in(run / "adapter"))
    assert (Path(reference.adapter), reference.weight) == (run / "adapter", 0.5)

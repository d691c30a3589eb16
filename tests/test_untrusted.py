"""Files of strangers: adapters, pickles, records and cohorts that would reach elsewhere, grow, or
draw nothing."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from latentdrift import config, record, service
from latentdrift.adapt.adapters import adapter_files, checkpoint_reader
from latentdrift.adapt.loading import load_adapter
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import (
    AdapterError,
    BaseModelError,
    CohortError,
    InputError,
    LatentDriftError,
    OptionError,
)

WEIGHTS = "pytorch_lora_weights.safetensors"
CPU: dict[str, Any] = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    how: dict[str, Any] = {
        "method": "lora",
        "rank": 1,
        "steps": 1,
        "batch_size": 1,
        "preview_every": 0,
        "drift": "0.1",
    }
    service.run(
        "fit",
        config.FitOptions(
            cohort=tiny_cohort_folder, base=str(tiny_base_folder), out=out, **how, **CPU
        ),
        quiet=True,
    )
    return out / "adapter"


@pytest.fixture
def adapter(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "adapter"))


def change(adapter: Path, **values: Any) -> None:
    info = json.loads((adapter / "adapter.json").read_text())
    (adapter / "adapter.json").write_text(json.dumps(info | values))


# --- adapters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("file", [WEIGHTS, "start.safetensors"])
def test_weights_that_are_no_numbers_are_refused(adapter: Path, file: str, value: float) -> None:
    tensors = load_file(adapter / file)
    name = next(key for key, tensor in tensors.items() if tensor.numel())
    tensors[name].view(-1)[0] = value
    save_file(tensors, adapter / file)
    with pytest.raises(
        AdapterError, match=rf"{file} holds weights that are no numbers \(in {name}\)"
    ):
        load_adapter(adapter, **CPU)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_drift_of_another_number_of_channels_is_refused(adapter: Path, count: int) -> None:
    drift = json.loads((adapter / "adapter.json").read_text())["drift"]
    change(adapter, drift=drift | {"infer": [0.1] * count, "train": [0.1] * count})
    with pytest.raises(
        AdapterError, match=rf"the drift of .* has {count}, {count} values, and latents 4 channels"
    ):
        load_adapter(adapter, **CPU)


def test_statistics_of_another_number_of_channels_are_refused(adapter: Path) -> None:
    tensors = load_file(adapter / "start.safetensors")
    save_file(
        {name: torch.cat([tensor, tensor]) for name, tensor in tensors.items()},
        adapter / "start.safetensors",
    )
    with pytest.raises(
        AdapterError, match=r"the statistics of .* are of 8 channels, and latents have 4"
    ):
        load_adapter(adapter, **CPU)


def test_a_hub_id_in_an_adapter_is_not_fetched(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def fetch(repository: str, *, local_files_only: bool, **_: Any) -> str:
        asked.append(not local_files_only)
        raise OSError("not in the cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    change(
        adapter,
        base=json.loads((adapter / "adapter.json").read_text())["base"]
        | {"name": "stranger/model"},
    )
    with pytest.raises(
        BaseModelError,
        match=r"'stranger/model' is not on this machine, and downloads are off by default",
    ):
        load_adapter(adapter, **CPU)
    with pytest.raises(BaseModelError, match="could not be fetched"):
        load_adapter(adapter, base="stranger/model", **CPU)
    assert asked == [False, True]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"format": "1"}, "`format`"),
    ({"method": None}, "`method`"),
    ({"base": []}, "`base`"),
    ({"base": {"name": "x"}}, "`base.hash`"),
    ({"drift": 3}, "`drift`"),
    (
        {"drift": {"form": "noise_mean", "mode": "off", "train": "0.1", "infer": []}},
        "`drift.train`",
    ),
    ({"tokens": "word"}, "`tokens`"),
    ({"tokens": [1]}, "`tokens.0`"),
    ({"resolution": "32"}, "`resolution`"),
    ({"resolution": 0}, "`resolution`"),
    ({"attributes": ["age"]}, "`attributes`"),
    ({"prompt": "simple"}, "`prompt`"),
    ({"attributes": {"age": {"type": "date"}}}, "`attributes.age.type`"),
    ({"start": [{"adapter": 3}]}, "`start.0.adapter`"),
    ({"attributes": {"sex": {"type": "category"}}}, "has a vocabulary"),
    ({"schedule": {"zero_snr": "yes"}}, "`schedule.zero_snr`"),
]


@pytest.mark.parametrize(("values", "finding"), WRONG)
def test_an_adapter_of_wrong_types_is_a_sentence(
    adapter: Path, values: dict[str, Any], finding: str
) -> None:
    change(adapter, **values)
    with pytest.raises(AdapterError, match="no adapter of latentdrift") as error:
        adapter_files.read(adapter)
    assert finding in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[]", "3", "null", "{", "[" * 50_000, '{"format": 1}', "\x00"])
def test_an_adapter_or_cohort_that_is_no_table_is_a_sentence(
    adapter: Path, tiny_cohort_folder: Path, tmp_path: Path, text: str
) -> None:
    (adapter / "adapter.json").write_text(text)
    with pytest.raises(AdapterError, match="no adapter of latentdrift"):
        adapter_files.read(adapter)
    cohort = Path(shutil.copytree(tiny_cohort_folder, tmp_path / "cohort"))
    (cohort / "cohort.json").write_text(text)
    with pytest.raises(CohortError, match="no cohort of latentdrift"):
        Cohort.load(cohort)


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"describe": 3}, "`describe`"),
        ({"attributes": []}, "`attributes`"),
        ({"attributes": {"age": 3}}, "`attributes.age`"),
        ({"kept": {"x": {"type": 1}}}, "`kept.x.type`"),
        ({"splits": [1]}, "`splits`"),
        ({"rejected": "none"}, "`rejected`"),
        ({"format": True}, "`format`"),
        ({"notes": {"a": "b"}}, "`notes.a`"),
    ],
)
def test_a_cohort_of_wrong_types_is_a_sentence(
    tiny_cohort_folder: Path, tmp_path: Path, values: dict[str, Any], finding: str
) -> None:
    cohort = Path(shutil.copytree(tiny_cohort_folder, tmp_path / "cohort"))
    info = json.loads((cohort / "cohort.json").read_text())
    (cohort / "cohort.json").write_text(json.dumps(info | values))
    with pytest.raises(CohortError, match="no cohort of latentdrift") as error:
        Cohort.load(cohort)
    assert finding in str(error.value)


# --- pickles --------------------------------------------------------------------------------------


def nested(levels: int) -> Any:
    value: Any = torch.zeros(2)
    for _ in range(levels):
        value = [value]
    return value


def doubled(levels: int) -> Any:
    value: Any = [torch.zeros(2)]
    for _ in range(levels):
        value = [value, value]
    return value


def circular() -> Any:
    value: list[Any] = [torch.zeros(2)]
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [doubled(60), doubled(18), nested(200), circular()],
    ids=["60 doublings", "18", "deep", "circle"],
)
def test_a_pickle_whose_parts_are_shared_is_not_walked_for_ever(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(
        AdapterError, match=r"cannot be read as tensors \(it holds more than|recursion"
    ):
        checkpoint_reader.read(tmp_path / "a.pt")


def test_a_packed_pickle_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    torch.save({"<s>": torch.zeros(4)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as plain,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
        packed.writestr("archive/data/9", bytes(50_000_000))
    assert checkpoint_reader.read(tmp_path / "a.pt").tensors
    with pytest.raises(AdapterError, match="would grow when it is opened"):
        checkpoint_reader.read(tmp_path / "b.pt")


def test_a_tensor_that_claims_more_than_is_stored_is_refused(tmp_path: Path) -> None:
    torch.save({"<s>": torch.zeros(1).expand(1_000_000, 1_000_000)}, tmp_path / "a.pt")
    with pytest.raises(AdapterError, match="claims more numbers in <s> than it stores"):
        checkpoint_reader.read(tmp_path / "a.pt")


@pytest.mark.parametrize("cut", [10, 200, 700, 1000])
def test_a_cut_pickle_is_a_sentence(tmp_path: Path, cut: int) -> None:
    torch.save({"<s>": torch.zeros(4)}, tmp_path / "a.pt")
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:cut])
    with pytest.raises(AdapterError):
        checkpoint_reader.read(tmp_path / "a.pt")


# --- records


def recorded(tmp_path: Path, verb: str, asked: config.Options, **values: Any) -> Path:
    record.write(tmp_path, verb, asked, inputs={}, results={"outputs": {}})
    found = json.loads((tmp_path / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(found | values))
    return tmp_path / "record.json"


def test_a_replay_writes_below_out_alone_and_reaches_for_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = config.EditOptions(
        adapter="pocket",
        source=tmp_path,
        out=tmp_path / "a",
        inversions=tmp_path / "elsewhere",
        set=("age=1",),
    )
    old = record.read(recorded(tmp_path, "edit", where))
    asked = service.replayed(old, config.ReplayOptions(record=tmp_path, out=tmp_path / "b"))
    paths = {name: value for name, value in asked if name in ("out", "inversions")}
    assert paths == {"out": tmp_path / "b", "inversions": None}
    drawn = config.GenerateOptions(adapter="pocket", out=tmp_path / "a", prompt=("a",), slots=1)
    old = record.read(recorded(tmp_path, "generate", drawn))
    assert (
        service.replayed(old, config.ReplayOptions(record=tmp_path, out=tmp_path / "b")).slots == 1
    )
    del old["options"]["slots"]  # as before the number was recorded: 4 of every base
    assert (
        service.replayed(old, config.ReplayOptions(record=tmp_path, out=tmp_path / "b")).slots == 4
    )
    fitted = config.FitOptions(
        cohort=tmp_path, out=tmp_path / "a", base="stranger/model", tracker="wandb"
    )
    old = record.read(recorded(tmp_path, "fit", fitted))
    with pytest.raises(BaseModelError, match="downloads are off by default"):
        service.replayed(old, config.ReplayOptions(record=tmp_path, out=tmp_path / "b"))


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"results": {}}, "no hashes of outputs"),
        ({"results": {"outputs": []}}, "no hashes"),
        ({"options": {}}, "(cohort: "),
        ({"options": {"cohort": "c", "out": "o", "steps": "many"}}, "(steps: "),
        ({"options": {"colour": 3}}, "`fit` does not take"),
    ],
)
def test_a_record_that_cannot_be_replayed_says_why(
    tmp_path: Path, values: dict[str, Any], finding: str
) -> None:
    path = recorded(
        tmp_path, "fit", config.FitOptions(cohort=tmp_path, out=tmp_path / "a"), **values
    )
    with pytest.raises(InputError) as error:
        service.replay(config.ReplayOptions(record=path, out=tmp_path / "b"))
    assert finding in str(error.value) and isinstance(error.value, LatentDriftError)


@pytest.mark.parametrize(
    ("values", "error", "finding"),
    [
        ({"inputs": {"adapters": None}}, InputError, "entry `inputs.adapters`"),
        ({"inputs": {"adapters": [3]}}, InputError, "entry `inputs.adapters.0`"),
        ({"editor": "nope"}, OptionError, "unknown editor 'nope'; known: "),
        ({"editor": 3}, InputError, "`edit` does not take (editor: "),
        ({"editor": ["ddim"]}, InputError, "`edit` does not take (editor: "),
    ],
)
def test_a_record_of_an_edit_with_wrong_values_says_so(
    tmp_path: Path, values: dict[str, Any], error: type[LatentDriftError], finding: str
) -> None:
    scan = tmp_path / "scan.png"
    Image.new("L", (8, 8)).save(scan)
    options = config.EditOptions(adapter="pocket", source=scan, out=tmp_path / "a", set=("age=1",))
    path = recorded(tmp_path, "edit", options)
    found = json.loads(path.read_text())
    found["inputs"] = values.get("inputs", {})
    found["options"]["editor"] = values.get("editor")
    path.write_text(json.dumps(found))
    with pytest.raises(error) as raised:
        service.replay(config.ReplayOptions(record=path, out=tmp_path / "b"))
    assert finding in str(raised.value)


def test_an_adapter_of_a_record_without_a_method_replays(tmp_path: Path) -> None:
    options = config.EditOptions(adapter="pocket", source=tmp_path, out=tmp_path / "a")
    path = recorded(tmp_path, "edit", options, inputs={"adapters": [{}]})
    again = service.replayed(
        record.read(path), config.ReplayOptions(record=path, out=tmp_path / "b")
    )
    assert again.adapter == "pocket"


def test_a_replay_is_not_compared_with_itself(tmp_path: Path) -> None:
    path = recorded(tmp_path, "fit", config.FitOptions(cohort=tmp_path, out=tmp_path / "a"))
    with pytest.raises(OptionError, match="is the folder of the record"):
        service.replay(
            config.ReplayOptions(record=path, out=path if path.is_dir() else path.parent)
        )

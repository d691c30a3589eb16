"""Adapters on one another: in sampling, and as what a fit begins from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import short_fit

from latentdrift.adapt.adapters.adapter_stack import add
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods import lora
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.model import Model


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)


@pytest.fixture(scope="module")
def runs(
    tiny_base_folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Finished runs whose changes are large enough to be seen."""
    root = tmp_path_factory.mktemp("stack")
    found = {}
    given: dict[str, dict[str, Any]] = {
        "lora": {"rank": 2},
        "other": {"rank": 3, "targets": "cross-attention", "seed": 1},
        "word": {"method": "textual-inversion"},
        "second": {"method": "textual-inversion", "token": "<second>", "vectors": 3},
        "full": {"method": "full", "train_text_encoder": True},
        "drifted": {"drift": "0.1"},
    }
    for name, more in given.items():
        short_fit(
            tiny_base_folder,
            cohort,
            root / name,
            **{"steps": 4, "learning_rate": 1e-2, "drift": "none", **more},
        )
        found[name] = root / name
    return found


def load(path: Path | str) -> Model:
    return load_adapter(path, device="cpu", precision="fp32")


def predict(base: Base, prompt: str = "a brain MRI") -> torch.Tensor:
    xt = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return base.denoiser()(xt, 500, base.embed([prompt]))


def plain(folder: Path) -> Base:
    return Base.load(folder, device="cpu", precision="fp32")


def layer_sum(base: Base, *parts: tuple[Path, float]) -> Base:
    """The base with w alpha / r B A of each file added to its weights by hand."""
    for folder, weight in parts:
        for name, pair in lora.read(folder / "adapter" / lora.FILE).items():
            module = base.network.get_submodule(name.removeprefix("unet."))
            with torch.no_grad():
                change = pair.b.flatten(1) @ pair.a.flatten(1)
                scale = weight * pair.alpha / pair.rank
                module.weight += scale * change.reshape(module.weight.shape)
    return base


def test_two_loras_add_up_with_their_weights(runs: dict[str, Path], tiny_base_folder: Path) -> None:
    stacked = add(load(runs["lora"]), [f"{runs['other']}=0.5"])
    expected = predict(
        layer_sum(plain(tiny_base_folder), (runs["lora"], 1.0), (runs["other"], 0.5))
    )
    torch.testing.assert_close(predict(stacked.base), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(expected, predict(load(runs["lora"]).base), atol=1e-4)
    assert [(part.method, part.weight) for part in stacked.adapters] == [
        ("lora", 1.0),
        ("lora", 0.5),
    ]
    assert stacked.info.also[0].sha256 == stacked.adapters[1].sha256
    assert torch.equal(predict(stacked.without().base), predict(plain(tiny_base_folder)))


def test_an_adapter_that_says_no_schedule_follows_the_base(
    runs: dict[str, Path], tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    other = shutil.copytree(runs["other"] / "adapter", tmp_path / "other")
    info = json.loads((other / "adapter.json").read_text())
    del info["schedule"]  # as of what other tools made
    (other / "adapter.json").write_text(json.dumps(info))
    assert len(add(load(runs["lora"]), [str(other)]).adapters) == 2
    more = {"prediction": "v_prediction", "method": "full", "steps": 1, "drift": "none"}
    short_fit(tiny_base_folder, cohort, tmp_path / "v", **more)
    with pytest.raises(
        AdapterError,
        match=r"were trained with another schedule \(\{'prediction': 'epsilon', 'zero SNR': False",
    ):
        add(load(tmp_path / "v"), [str(other)])


def test_words_and_matrices_lie_on_a_whole_network(
    runs: dict[str, Path], tiny_base_folder: Path
) -> None:
    stacked = add(load(runs["full"]), [str(runs["lora"]), str(runs["word"]), str(runs["second"])])
    assert stacked.info.to_dict()["tokens"] == ["<cohort>", "<second>"]
    both = stacked.base.embed(["a <cohort> and a <second>"])
    word = load(runs["word"]).base
    second = load(runs["second"]).base
    ids = stacked.base.tokenizers["tokenizer"](
        "<cohort> <second>", add_special_tokens=False, return_tensors="pt"
    ).input_ids
    rows = stacked.base.text_encoders["text_encoder"].get_input_embeddings()(ids)[0]
    expected = [
        base.text_encoders["text_encoder"].get_input_embeddings().rows for base in (word, second)
    ]
    assert torch.equal(rows, torch.cat(expected).detach())
    assert both.embeddings.isfinite().all()
    assert not torch.equal(predict(stacked.base), predict(load(runs["full"]).base))
    assert torch.equal(predict(stacked.without().base), predict(plain(tiny_base_folder)))


@pytest.mark.parametrize(
    ("below", "above", "error", "message"),
    [
        (
            "lora",
            "full",
            AdapterError,
            "replaces the whole network and would discard the adapters before it; give it first",
        ),
        (
            "lora",
            "word=0.5",
            OptionError,
            "an adapter of method 'textual-inversion' has no weight; those of lora",
        ),
        (
            "lora",
            "lora=much",
            OptionError,
            "is neither a folder nor RUN=WEIGHT; write for example run=0.7",
        ),
        (
            "lora",
            "drifted",
            AdapterError,
            r"were trained with another drift in training \(\[0.1, 0.1, 0.1, 0.1\] and \[\]\)",
        ),
        ("word", "word", OptionError, "'<cohort>' is already a word of this base"),
        ("lora", "nowhere", AdapterError, "there is no adapter at"),
    ],
)
def test_what_cannot_lie_on_what(
    below: str, above: str, error: type, message: str, runs: dict[str, Path]
) -> None:
    name, equals, weight = above.partition("=")
    with pytest.raises(error, match=message):
        add(load(runs[below]), [f"{runs['lora'].with_name(name)}{equals}{weight}"])


def test_a_lora_on_a_fine_tuned_network_needs_it(
    runs: dict[str, Path], tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    below = shutil.copytree(runs["full"], tmp_path / "below")
    made = short_fit(
        tiny_base_folder,
        cohort,
        tmp_path / "top",
        start=(str(below),),
        drift="none",
        steps=3,
        learning_rate=1e-2,
    )
    (start,) = made.info.to_dict()["start"]
    assert (
        start["needed"]
        and start["method"] == "full"
        and "needs another adapter beneath it" in (made.adapter / "README.md").read_text()
    )
    top = load(made.adapter)
    assert [part.method for part in top.adapters] == ["full", "lora"]
    assert not torch.equal(predict(top.base), predict(load(below).base))
    onto = add(load(below), [str(made.adapter)])  # what is there already is not put in twice
    assert torch.equal(predict(onto.base), predict(top.base)) and len(onto.adapters) == 2
    assert torch.equal(predict(top.without().base), predict(plain(tiny_base_folder)))
    shutil.rmtree(below)
    with pytest.raises(
        AdapterError,
        match=r"was trained on top of .*below.*, which is not there; put that one back",
    ):
        load(made.adapter)


def test_a_whole_network_stands_alone_and_begins_where_it_was_told(
    runs: dict[str, Path], tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    start = shutil.copytree(runs["lora"], tmp_path / "start")
    begun: list[float] = []
    made = short_fit(
        tiny_base_folder,
        cohort,
        tmp_path / "top",
        method="full",
        start=(f"{start}=0.5",),
        drift="none",
        steps=1,
        learning_rate=1e-12,
        on_step=lambda done, loss: begun.append(loss),
    )
    assert not made.info.to_dict()["start"][0]["needed"]
    shutil.rmtree(start)
    expected = predict(
        layer_sum(plain(tiny_base_folder), (runs["lora"], 0.5))
    )  # nothing moves at this rate
    torch.testing.assert_close(predict(load(made.adapter).base), expected, rtol=0, atol=1e-5)


def test_another_start_is_another_run(
    runs: dict[str, Path], tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    from fits import KilledError, killer

    with pytest.raises(KilledError):
        short_fit(
            tiny_base_folder,
            cohort,
            tmp_path / "run",
            start=(str(runs["lora"]),),
            on_step=killer(4),
        )
    with pytest.raises(OptionError, match=r"holds a run with other settings: start \("):
        short_fit(tiny_base_folder, cohort, tmp_path / "run", start=(str(runs["other"]),))

"""What is learned of a cohort: a sentence per image, and a word per class where that is asked
for."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from fits import asked, short_fit, weights
from variants import some_at_once

from latentdrift import prompts
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods import textual_inversion
from latentdrift.adapt.training.setup.training_setup import job
from latentdrift.config import PRESETS, FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.sample.synthetic_cohort import follow_cohort


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


def todo(base: Base, cohort: Cohort, **more: Any) -> Any:
    return job(base, cohort, asked(Path(base.name), cohort, Path("unused"), **more))


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("lora", "a brain MRI of a 60 year old female with no dementia"),
        ("textual-inversion", "a <cohort> of a 60 year old female with no dementia"),
        ("custom-diffusion", "a <cohort> brain MRI of a 60 year old female with no dementia"),
        ("dreambooth", "a sks brain MRI of a 60 year old female with no dementia"),
    ],
)
def test_what_the_pictures_are_called(method: str, first: str, base: Base, cohort: Cohort) -> None:
    said = todo(base, cohort, method=method).train[0].caption
    assert said.replace("axial ", "") == first


@pytest.mark.parametrize("style", ["simple", "diverse"])
def test_captions_are_those_of_the_rows_one_by_one(
    style: str, base: Base, cohort: Cohort, tmp_path: Path
) -> None:
    """Rows with equal cells share a sentence, and rows without an age have one of their own."""
    folder = tmp_path / "ages"
    shutil.copytree(cohort.folder, folder)
    table = pd.read_csv(folder / "metadata.csv", dtype=str, keep_default_na=False)
    table["age"] = ["", "61", "61"] * (len(table) // 3) + [""] * (len(table) % 3)
    table["split"] = "train"
    table.to_csv(folder / "metadata.csv", index=False)
    changed = Cohort.load(folder)
    manner = prompts.Manner(style)
    rows = changed.rows("train").to_dict("records")
    expected = [
        manner.words(changed.describe, row, changed.attributes, position)
        for position, row in enumerate(rows)
    ]
    found = todo(base, changed, method="lora", prompt_style=style).train
    assert [(example.row, example.caption) for example in found] == [*enumerate(expected)]


def test_each_value_of_a_category_has_a_word_which_says_it(base: Base, cohort: Cohort) -> None:
    made = todo(base, cohort, method="textual-inversion", concept_by="diagnosis")
    assert made.words == {
        "<cohort-dementia>": "brain MRI dementia",
        "<cohort-no-dementia>": "brain MRI no dementia",
    }
    rows = cohort.rows()
    for example in made.train:
        word = f"<cohort-{prompts.slug(rows['diagnosis'].iloc[example.row])}>"
        assert word in example.caption and "dementia" not in example.caption.replace(word, "")
        assert f"{rows['age'].iloc[example.row]:.0f} year old" in example.caption


def test_images_without_the_value_are_left_out_and_counted(
    base: Base, cohort: Cohort, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(cohort.folder, tmp_path / "some")
    table = cohort.rows().copy()
    table.loc[[0, 3], "diagnosis"] = None
    table.to_csv(tmp_path / "some" / "metadata.csv", index=False)
    with caplog.at_level(logging.WARNING):
        made = todo(
            base, Cohort.load(tmp_path / "some"), method="textual-inversion", concept_by="diagnosis"
        )
    assert [example.row for example in made.train] == [1, 2, 4, 5, 6, 7]
    assert "2 of 8 train images say no diagnosis" in caplog.text


@pytest.mark.parametrize("method", ["textual-inversion", "custom-diffusion"])
def test_both_words_get_gradients_and_generate_and_edit_speak_them(
    method: str, tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    made = short_fit(
        tiny_base_folder, cohort, tmp_path / "run", method=method, concept_by="diagnosis", vectors=2
    )
    adapted = load_adapter(made.adapter, device="cpu", precision="fp32")
    start = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    table = start.text_encoders["text_encoder"].get_input_embeddings().weight
    for word, rows in textual_inversion.collect(adapted.base).items():
        text = f"brain MRI {'no ' if 'no-' in word else ''}dementia"
        ids = start.tokenizers["tokenizer"](text, add_special_tokens=False).input_ids[:2]
        assert rows.shape == (2, 32) and not torch.equal(rows, table[ids])
    assert made.info.to_dict()["tokens"] == ["<cohort-dementia>", "<cohort-no-dementia>"]
    spoken = [request.prompt for request in follow_cohort(cohort, "test", 2, made.info)]
    assert all("<cohort-" in text and "{" not in text for text in spoken)
    known = {"age": 70.0, "diagnosis": "no dementia"}
    source, target = prompts.pair(made.info.to_dict()["describe"], known, {"diagnosis": "dementia"})
    assert source.replace("<cohort-no-dementia>", "<cohort-dementia>") == target
    with pytest.raises(
        OptionError,
        match="by a word for each diagnosis, and that of this one is not known: give it",
    ):
        prompts.pair(made.info.to_dict()["describe"], {"age": 70.0}, {"age": 80.0})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"method": "lora", "concept_by": "diagnosis"},
            "`method=lora` learns none; take textual-inversion or custom-diffusion",
        ),
        (
            {"method": "textual-inversion", "concept_by": "age"},
            "unknown category for `concept_by` 'age'; known: diagnosis, sex",
        ),
        (
            {"method": "textual-inversion", "train_text_encoder": True},
            "`train_text_encoder` does not go with `method=textual",
        ),
        (
            {"method": "lora", "targets": "attn"},
            "unknown row of TARGETS for `targets` 'attn'; known: all, attention",
        ),
    ],
)
def test_what_does_not_go_together_is_said(
    given: dict[str, Any], message: str, tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        short_fit(tiny_base_folder, cohort, tmp_path / "run", **given)


def test_a_preset_gives_defaults_and_what_is_said_wins() -> None:
    where = {"cohort": Path("c"), "out": Path("o")}
    paper = FitOptions(preset="ti-budget", **where)
    assert (
        paper.method,
        paper.vectors,
        paper.learning_rate,
        paper.rate_schedule,
        paper.warm_up,
    ) == (
        "textual-inversion",
        64,
        0.005,
        "constant",
        0,
    )
    assert FitOptions(preset="ti-budget", steps=10, **where).steps == 10
    with pytest.raises(OptionError, match="unknown preset 'ti-budgte'; known: ti-budget, ti-small"):
        FitOptions(preset="ti-budgte", **where)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_the_word_alone(
    preset: str, tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    options = FitOptions(
        cohort=cohort.folder,
        out=tmp_path / "run",
        base=str(tiny_base_folder),
        preset=preset,
        steps=2,
    )
    made = job(Base.load(tiny_base_folder, device="cpu", precision="fp32"), cohort, options)
    assert {example.caption for example in made.train} == {"<cohort>"} or {
        e.caption for e in made.train
    } == {"axial <cohort>"}


def test_targets_alpha_and_the_text_encoder_reach_the_file(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    def names(to: str, **more: Any) -> dict[str, torch.Tensor]:
        return weights(short_fit(tiny_base_folder, cohort, tmp_path / to, steps=2, **more))

    plain = names("plain", targets="attention")
    cross = names("cross", targets="cross-attention")
    every = names("all")
    assert cross.keys() == {name for name in plain if ".attn2." in name}
    assert plain.keys() < every.keys() and any("conv1" in name for name in every)
    text = names("text", targets="attention", train_text_encoder=True)
    assert {
        name for name in text if name.startswith("text_encoder.")
    } and text.keys() > plain.keys()
    assert all(
        text[name].abs().sum() > 0
        for name in text
        if name.startswith("text_encoder.") and "lora_B" in name
    )
    first = next(iter(plain))
    assert not torch.equal(plain[first], names("alpha", targets="attention", alpha=8.0)[first])


@pytest.mark.parametrize(
    "method", some_at_once(("full", "dreambooth", "lora", "dreambooth-lora"), ("lora",))
)
def test_a_trained_text_encoder_comes_back_and_leaves(
    method: str, tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    made = short_fit(
        tiny_base_folder, cohort, tmp_path / "run", method=method, train_text_encoder=True, steps=3
    )
    plain = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    adapted = load_adapter(made.adapter, device="cpu", precision="fp32")
    assert not adapted.base.embed(["a brain MRI"]).equals(plain.embed(["a brain MRI"]))
    if method in ("full", "dreambooth"):
        from transformers import CLIPTextModel

        stock = CLIPTextModel.from_pretrained(made.adapter / "text_encoder")
        ids = plain.tokens(["a brain MRI"])
        assert torch.equal(
            stock(ids).last_hidden_state, adapted.base.embed(["a brain MRI"]).embeddings
        )
    assert adapted.without().base.embed(["a brain MRI"]).equals(plain.embed(["a brain MRI"]))

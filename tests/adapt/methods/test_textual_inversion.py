"""Textual inversion: new words, their first vectors, and their gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from infos import info_of
from method_fits import job, load, prepared, prompts

from latentdrift.adapt.methods import textual_inversion
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.batches import Batch
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.setup.training_start import begin
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.drift import Drift


def test_a_word_is_found_that_another_one_stands_for(tiny_base_folder: Path) -> None:
    """The target is what the network predicts under other vectors of the word, where the loss is 0:
    the fit gets nearly there."""
    todo = job("textual-inversion", steps=30)
    source = torch.Generator().manual_seed(2)
    base, parameters = begin(load(tiny_base_folder), todo)
    (word,), texts = parameters.values(), prompts("textual-inversion")
    contexts = latent_cache.live_contexts(base, texts)
    start = word.detach().clone()
    xt = torch.randn((2, 4, 8, 8), generator=source)
    t = torch.tensor([300, 800])
    with torch.no_grad():
        word.copy_(start.std() * torch.randn(start.shape, generator=source))
        eps = base.denoiser()(xt, t, contexts(texts))
        word.copy_(start)
    a, s = base.schedule.scales(t, xt)
    batch = Batch((xt - s * eps) / a, eps, t, tuple(texts), tuple(texts))
    trainer = Trainer(base, parameters, contexts, Drift(), todo, base.dtype)
    losses = [trainer.update(batch).loss for _ in range(30)]
    assert losses[-1] < 0.1 * losses[0]


def test_a_new_word_starts_as_the_words_it_stands_for(tiny_base_folder: Path) -> None:
    base = load(tiny_base_folder)
    plain = base.embed(["a brain mri with dementia"])
    count = len(base.tokenizers["tokenizer"]("brain MRI", add_special_tokens=False).input_ids)
    taught, parameters = prepared(base, "textual-inversion", vectors=count)
    assert taught.embed(["a <cohort> with dementia"]).equals(plain)
    assert parameters["<cohort>"].shape == (count, 32)


def test_rows_kept_apart_have_the_gradients_that_they_have_in_the_whole_table(
    tiny_base_folder: Path,
) -> None:
    base, parameters = prepared(load(tiny_base_folder), "textual-inversion")
    ids = base.tokenizers["tokenizer"](["a <cohort>"], return_tensors="pt").input_ids
    base.text_encoders["text_encoder"](ids).last_hidden_state.square().sum().backward()

    other = load(tiny_base_folder)
    old = other.text_encoders["text_encoder"].get_input_embeddings().weight.detach()
    whole = torch.nn.Embedding.from_pretrained(
        torch.cat([old, parameters["<cohort>"].detach()]), freeze=False
    )
    other.text_encoders["text_encoder"].set_input_embeddings(whole)
    other.text_encoders["text_encoder"](ids).last_hidden_state.square().sum().backward()
    torch.testing.assert_close(
        parameters["<cohort>"].grad, whole.weight.grad[len(old) :], rtol=0, atol=1e-6
    )


def test_an_embedding_of_another_width_is_refused(tmp_path: Path, tiny_base_folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({"<cohort>": torch.zeros(8, 512)}, tmp_path / textual_inversion.FILE)
    with pytest.raises(
        AdapterError,
        match=r"'<cohort>' in .* is 512 wide and the text encoder of .* is 32 wide; it was made",
    ):
        METHODS["textual-inversion"].apply(load(tiny_base_folder), tmp_path, info_of(), 1.0)


def test_a_word_that_the_base_knows_is_refused(tiny_base_folder: Path) -> None:
    taught, _ = prepared(load(tiny_base_folder), "textual-inversion")
    with pytest.raises(OptionError, match="'<cohort>' is already a word of this base"):
        prepared(taught, "textual-inversion")

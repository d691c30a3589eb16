"""Textual inversion: a new word of V vectors, everything else frozen (Gal et al. 2022; de Wilde et
al. 2024 for medical images).

Only the new rows are parameters, kept apart from the token table: no optimiser state for 49,408
rows that never move. The word `<cohort>` of V vectors is V tokens `<cohort> <cohort>_1 <cohort>_2
...`, which is how stock diffusers reads the file.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from latentdrift.config import FitOptions
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.base import Base

FILE = "learned_embeds.safetensors"  # the name that `pipe.load_textual_inversion(folder)` looks for


class Rows(nn.Module):
    """A token table with further rows: ids from `first` on are the new ones."""

    def __init__(self, table: Any, first: int, rows: Tensor) -> None:
        super().__init__()
        self.table = table
        self.first = first
        self.rows = nn.Parameter(rows)

    @property
    def weight(self) -> Tensor:
        """The token table [N, D] without the new rows."""
        result: Tensor = self.table.weight
        return result

    def forward(self, ids: Tensor) -> Tensor:
        """Embeddings [..., D] of ids [...]."""
        known = self.table(ids.clamp(max=self.first - 1))
        new = nn.functional.embedding((ids - self.first).clamp(min=0), self.rows)
        return torch.where((ids >= self.first)[..., None], new.to(known.dtype), known)


class Words:
    """A tokenizer that reads new words as their tokens; all else is the tokenizer's own."""

    def __init__(self, tokenizer: Any, vectors: Mapping[str, int]) -> None:
        self.plain = tokenizer
        self.names = {
            word: [word, *(f"{word}_{i}" for i in range(1, count))]
            for word, count in vectors.items()
        }
        names = [name for tokens in self.names.values() for name in tokens]
        existing = set(names) & set(tokenizer.get_vocab())
        if existing:
            raise OptionError(
                f"'{min(existing)}' is already a word of this base; choose another `token`, such "
                "as <my-cohort>"
            )
        self.wide = copy.deepcopy(tokenizer)
        self.wide.add_tokens(names)
        self.first = self.wide.convert_tokens_to_ids(names[0])

    def __call__(self, text: str | list[str], **options: Any) -> Any:
        """Token ids, as the tokenizer returns them."""
        expanded = [text] if isinstance(text, str) else text
        for word, tokens in self.names.items():
            expanded = [part.replace(word, " ".join(tokens)) for part in expanded]
        return self.wide(expanded[0] if isinstance(text, str) else expanded, **options)

    def add_tokens(self, names: list[str]) -> int:
        """Add tokens to the tokenizer; returns how many were new."""
        result: int = self.wide.add_tokens(names)
        return result

    def convert_tokens_to_ids(self, token: str) -> int:
        """Id of one token."""
        result: int = self.wide.convert_tokens_to_ids(token)
        return result

    def decode(self, ids: list[int]) -> str:
        """Text of token ids."""
        result: str = self.wide.decode(ids)
        return result

    def get_vocab(self) -> dict[str, int]:
        """Vocabulary: token -> id."""
        result: dict[str, int] = self.wide.get_vocab()
        return result

    @property
    def model_max_length(self) -> int:
        """Number of tokens that the text encoder reads."""
        result: int = self.wide.model_max_length
        return result


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, nn.Parameter]]:
    """Add new words to the text encoder, and train their vectors.

    A word starts as the tokens of its text in turn, or as the mean of the table without a text.

    Args:
        base: The base; its text encoder is changed in place.
        options: Options of `fit`: the number of vectors.
        words: New word -> text that it starts as.

    Returns:
        The base with the words, and the trained parameters by name.
    """
    encoder, tokenizer = _taught(base)
    embeddings = encoder.get_input_embeddings()
    rows = {}
    for word, text in words.items():
        ids = (
            tokenizer(text, add_special_tokens=False, return_tensors="pt")
            .input_ids[0]
            .long()
            .to(base.device)
        )
        start = (
            embeddings(ids).detach().float()
            if len(ids)
            else embeddings.weight.detach().float().mean(0, keepdim=True)
        )
        rows[word] = start[torch.arange(options.vectors or 1) % len(start)].clone()
    base = insert(base, rows)
    return base, {" ".join(words): _rows(base)}


def save(base: Base, folder: Path) -> None:
    """Write a float32 tensor [V, D] for each learned word; vectors are not normalised."""
    save_file(collect(base), folder / FILE, metadata={"format": "pt"})


def apply(base: Base, folder: Path, info: AdapterInfo, weight: float = 1.0) -> Base:
    """Add the words of an adapter to a base.

    Args:
        base: The base; its text encoder is changed in place.
        folder: Adapter folder.
        info: adapter.json.
        weight: Not used.

    Raises:
        AdapterError: The vectors have another width than the text encoder.
    """
    words = {
        word: rows.reshape(-1, rows.shape[-1]) for word, rows in load_file(folder / FILE).items()
    }
    width = _taught(base)[0].get_input_embeddings().weight.shape[1]
    for word, rows in words.items():
        if rows.shape[1] != width:
            known = [f"{name} is {size} wide" for size, name in base.family.text_widths.items()]
            examples = f" ({', '.join(known)})" if known else ""
            raise AdapterError(
                f"the embedding '{word}' in {folder} is {rows.shape[1]} wide and the text encoder "
                f"of base '{base.name}' is {width} wide; it was made for another base{examples}: "
                "give that one with `base`"
            )
    applied = insert(base, words)
    freeze(applied)
    return applied


def remove(base: Base) -> Base:
    """Remove the words that were added last."""
    encoder, tokenizer = _taught(base)
    if not isinstance(tokenizer, Words):
        # an adapter above has brought the base back as it lies on the disk
        return base
    encoder.set_input_embeddings(encoder.get_input_embeddings().table)
    return _with_tokenizer(base, tokenizer.plain)


def has_words(base: Base) -> bool:
    """Whether a base has learned words."""
    return any(isinstance(tokenizer, Words) for tokenizer in base.tokenizers.values())


def freeze(base: Base) -> None:
    """Stop the training of the words that were added last."""
    _rows(base).requires_grad_(False)


def insert(base: Base, words: Mapping[str, Tensor]) -> Base:
    """Add words to a base.

    Args:
        base: The base; its text encoder is changed in place.
        words: Word -> vectors [V, D].
    """
    encoder, plain = _taught(base)
    tokenizer = Words(plain, {word: len(rows) for word, rows in words.items()})
    rows = torch.cat(list(words.values())).to(base.device)
    encoder.set_input_embeddings(Rows(encoder.get_input_embeddings(), tokenizer.first, rows))
    return _with_tokenizer(base, tokenizer)


def collect(base: Base) -> dict[str, Tensor]:
    """Vectors [V, D] of each word that was added last, float32 on the CPU."""
    names = _taught(base)[1].names
    rows = _rows(base).detach().float().cpu()
    counts = [len(tokens) for tokens in names.values()]
    return {word: part.contiguous() for word, part in zip(names, rows.split(counts), strict=True)}


def _taught(base: Base) -> tuple[Any, Any]:
    """The text encoder that learns words, and its tokenizer; the first, where a family has
    several."""
    encoder, tokenizer = next(iter(base.family.word_encoders.items()))
    return base.text_encoders[encoder], base.tokenizers[tokenizer]


def _rows(base: Base) -> nn.Parameter:
    """Vectors of the words that were put in last."""
    result: nn.Parameter = _taught(base)[0].get_input_embeddings().rows
    return result


def _with_tokenizer(base: Base, tokenizer: Any) -> Base:
    """The base with another tokenizer before the text encoder that learns words."""
    name = next(iter(base.family.word_encoders.values()))
    return replace(base, tokenizers={**base.tokenizers, name: tokenizer})

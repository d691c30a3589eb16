"""Textual inversion: a new word of V vectors, everything else frozen (Gal et al. 2022; de Wilde et al. 2024 for medical images).

Only the new rows are parameters, kept apart from the token table: no optimiser state for 49,408 rows that never move.
The word `<cohort>` of V vectors is V tokens `<cohort> <cohort>_1 <cohort>_2 ...`, which is how stock diffusers reads the file.
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
from latentdrift.model.base import Base

FILE = "learned_embeds.safetensors"  # the name that `pipe.load_textual_inversion(folder)` looks for


class Rows(nn.Module):
    """A token table with further rows: ids from `first` on are the new ones."""

    def __init__(self, table: nn.Module, first: int, rows: Tensor) -> None:
        super().__init__()
        self.table, self.first, self.rows = table, first, nn.Parameter(rows)

    def forward(self, ids: Tensor) -> Tensor:
        """Embeddings [..., D] of ids [...]."""
        known = self.table(ids.clamp(max=self.first - 1))
        new = nn.functional.embedding((ids - self.first).clamp(min=0), self.rows)
        return torch.where((ids >= self.first)[..., None], new.to(known.dtype), known)


class Words:
    """A tokenizer that reads the new word as its tokens; all else is the tokenizer's own."""

    def __init__(self, tokenizer: Any, token: str, vectors: int) -> None:
        self.plain, self.token, self.names = tokenizer, token, [token, *(f"{token}_{i}" for i in range(1, vectors))]
        taken = set(self.names) & set(tokenizer.get_vocab())
        if taken:
            raise OptionError(f"'{min(taken)}' is already a word of this base; choose another --token, such as <my-cohort>")
        self.wide = copy.deepcopy(tokenizer)
        self.wide.add_tokens(self.names)

    def __call__(self, text: str | list[str], **options: Any) -> Any:
        """Token ids, as the tokenizer returns them."""
        spelled = " ".join(self.names)
        texts = [text] if isinstance(text, str) else text
        expanded = [part.replace(self.token, spelled) for part in texts]
        return self.wide(expanded[0] if isinstance(text, str) else expanded, **options)

    def decode(self, ids: list[int]) -> str:
        """The text of token ids."""
        return self.wide.decode(ids)

    def get_vocab(self) -> dict[str, int]:
        """Token -> id."""
        return self.wide.get_vocab()

    @property
    def model_max_length(self) -> int:
        """Tokens that the text encoder reads."""
        return self.wide.model_max_length


def prepare(base: Base, options: FitOptions, describe: str) -> tuple[Base, dict[str, nn.Parameter]]:
    """The new word, which starts as the words of `describe` in turn (the mean of the table, if it has none)."""
    words = Words(base.tokenizer, options.token, options.vectors)
    table = base.text_encoder.get_input_embeddings().weight.detach().float()
    ids = base.tokenizer(describe, add_special_tokens=False).input_ids
    start = table[ids] if ids else table.mean(0, keepdim=True)
    rows = start[torch.arange(options.vectors) % len(start)].clone()
    return _insert(base, words, rows)


def save(base: Base, folder: Path) -> None:
    """One tensor [V, D] in float32 under the word's name; the vectors' length is learned and stays."""
    rows = base.text_encoder.get_input_embeddings().rows
    save_file({base.tokenizer.token: rows.detach().float().cpu().contiguous()}, folder / FILE, metadata={"format": "pt"})


def apply(base: Base, folder: Path, info: Mapping[str, Any]) -> Base:
    """The base with the word in its vocabulary.

    Raises:
        AdapterError: The vectors are of another width than this text encoder's.
    """
    ((token, rows),) = load_file(folder / FILE).items()
    rows = rows.reshape(-1, rows.shape[-1])
    width = base.text_encoder.get_input_embeddings().weight.shape[1]
    if rows.shape[1] != width:
        raise AdapterError(
            f"the embedding '{token}' in {folder} is {rows.shape[1]} wide and the text encoder of base '{base.name}' is {width} "
            "wide; it was made for another base (SD 1.x is 768 wide, SD 2.x 1024): give that one with --base"
        )
    applied, parameters = _insert(base, Words(base.tokenizer, token, len(rows)), rows)
    parameters[token].requires_grad_(False)
    return applied


def remove(base: Base) -> Base:
    """The base with its own table and tokenizer."""
    base.text_encoder.set_input_embeddings(base.text_encoder.get_input_embeddings().table)
    return replace(base, tokenizer=base.tokenizer.plain)


def _insert(base: Base, words: Words, rows: Tensor) -> tuple[Base, dict[str, nn.Parameter]]:
    first = words.wide.convert_tokens_to_ids(words.token)
    table = Rows(base.text_encoder.get_input_embeddings(), first, rows.to(base.device))
    base.text_encoder.set_input_embeddings(table)
    return replace(base, tokenizer=words), {words.token: table.rows}

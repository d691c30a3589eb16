"""Batching of conditionings: every field goes along, and None stays None."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from latentdrift.model.conditioning import Conditioning


def full(images: int, value: float = 0.0) -> Conditioning:
    return Conditioning(
        torch.full((images, 5, 3), value),
        torch.full((images, 7), value + 1),
        torch.ones(images, 5, dtype=torch.long),
        torch.full((images, 6), value + 2),
        torch.full((images, 4, 2, 2), value + 3),
        (torch.full((images, 3, 8, 8), value + 4), torch.full((images, 3, 8, 8), value + 5)),
        torch.full((images, 9), value + 6),
    )


def shapes(read: Conditioning) -> list[int]:
    tensors = [read.embeddings, read.pooled, read.mask, read.size_ids, read.source, read.numbers]
    tensors += read.hints
    return [len(tensor) for tensor in tensors if tensor is not None]


def test_every_field_is_joined_cut_and_repeated() -> None:
    joined = Conditioning.cat([full(2), full(1, 10.0)])
    assert len(joined) == 3 and shapes(joined) == [3] * 8
    assert joined[2:].equals(full(1, 10.0))
    assert torch.equal(joined[[2, 0]].hints[1][:, 0, 0, 0], torch.tensor([15.0, 5.0]))
    assert shapes(full(1).expand(4)) == [4] * 8


def test_fields_that_are_not_used_stay_none() -> None:
    plain = Conditioning(torch.zeros(1, 5, 3))
    for read in (Conditioning.cat([plain, plain]), plain[:1], plain.expand(3)):
        assert read.pooled is read.mask is read.size_ids is read.source is read.numbers is None
        assert read.hints == ()


def test_conditionings_with_different_numbers_of_hints_are_not_joined() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        Conditioning.cat([full(1), replace(full(1), hints=())])


def test_the_number_format_changes_all_but_the_mask() -> None:
    moved = full(1).to(torch.device("cpu"), torch.bfloat16)
    assert moved.embeddings.dtype == moved.hints[0].dtype == torch.bfloat16
    assert moved.mask is not None and moved.mask.dtype == torch.long


def test_equality_is_of_the_text() -> None:
    assert full(1).equals(full(1)) and not full(1).equals(full(1, 1.0))
    assert not full(1).equals(Conditioning(torch.zeros(1, 5, 3)))
    assert not full(1).equals(full(2))
    assert not full(1).equals(replace(full(1), numbers=None))


def test_a_change_of_the_text_reaches_embeddings_and_pooled_vectors() -> None:
    moved = full(1).map_text(lambda tensor, other: tensor + other, full(1, 10.0))
    assert moved.pooled is not None
    assert moved.embeddings.unique().item() == 10.0 and moved.pooled.unique().item() == 12.0
    assert moved.source is not None and moved.source.unique().item() == 3.0

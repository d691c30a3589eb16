"""Which token is which, in lists whose correspondence is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latentdrift.adapt.methods import textual_inversion
from latentdrift.edit.core.token_alignment import (
    EXCHANGES,
    Alignment,
    align,
    of_prompts,
)
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.prompts import parse_emphasis

FIRST = 90
LAST = 91
LENGTH = 8


def of(source: list[int], target: list[int], exchange: str = "replace") -> Alignment:
    padded = [[FIRST, *ids, *[LAST] * (LENGTH - 1 - len(ids))] for ids in (source, target)]
    return align(*padded, (len(source), len(target)), exchange)


def taken(alignment: Alignment, target: int) -> dict[int, float]:
    """Source token -> share of it that a target token takes over."""
    return {
        int(i): float(alignment.matrix[i, target])
        for i in alignment.matrix[:, target].nonzero().flatten()
    }


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_same_prompt_takes_over_everything(exchange: str) -> None:
    same = of([1, 2, 3], [1, 2, 3], exchange)
    assert (
        torch.equal(same.matrix, torch.eye(LENGTH))
        and same.takes_over.all()
        and not same.gone
        and not same.new
    )
    maps = torch.rand(2, 5, LENGTH)
    own = torch.rand(2, 5, LENGTH)
    assert torch.equal(same.apply(maps, own), maps)


def test_a_word_in_anothers_place() -> None:
    replaced, refined = (of([1, 2, 3], [1, 7, 3], exchange) for exchange in ("replace", "refine"))
    assert replaced.gone == refined.gone == (2,) and replaced.new == refined.new == (2,)
    assert taken(replaced, 2) == {2: 1.0} and replaced.takes_over[2] == 1
    assert taken(refined, 2) == {} and refined.takes_over[2] == 0
    maps = torch.rand(2, 5, LENGTH)
    own = torch.rand(2, 5, LENGTH)
    made = refined.apply(maps, own)
    assert torch.equal(made[..., 2], own[..., 2]) and torch.equal(
        made[..., [0, 1, 3, 4]], maps[..., [0, 1, 3, 4]]
    )


@pytest.mark.parametrize(("target", "count"), [([1, 7, 8, 9, 3], 3), ([1, 7, 3], 1)])
def test_words_of_other_lengths_share_what_the_old_ones_had(target: list[int], count: int) -> None:
    """`seventy-seven` (two tokens) for `80` (one) and the other way: the attention over the place
    stays as much as it was."""
    made = of([1, 5, 6, 3], target)
    assert made.gone == (2, 3) and made.new == tuple(range(2, 2 + count))
    assert made.matrix[2:4].sum() == pytest.approx(2.0)
    for token in made.new:
        assert taken(made, token) == pytest.approx({2: 1 / count, 3: 1 / count})


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_words_that_come_and_go(exchange: str) -> None:
    longer = of([1, 2], [1, 8, 2], exchange)
    shorter = of([1, 8, 2], [1, 2], exchange)
    assert (longer.gone, longer.new) == ((), (2,)) and (shorter.gone, shorter.new) == ((2,), ())
    assert longer.takes_over[2] == 0 and taken(longer, 3) == {2: 1.0}
    assert taken(shorter, 2) == {3: 1.0} and shorter.takes_over.all()


def test_the_end_and_the_padding_follow_one_another() -> None:
    made = of([1, 2, 3], [1])
    assert taken(made, 2) == {4: 1.0} and taken(made, 3) == {5: 1.0}
    assert taken(made, LENGTH - 1) == {LENGTH - 1: 1.0} and taken(made, 0) == {0: 1.0}


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


def test_prompts_of_a_base(base: Base) -> None:
    made = of_prompts(
        base,
        "a brain MRI of a 70 year old",
        "a brain MRI of an 85 year old with dementia",
        "replace",
        ("dementia=2.5",),
    )
    ids = base.tokens(["a brain MRI of an 85 year old with dementia"])[0]
    (word,) = base.tokenizers["tokenizer"]("dementia", add_special_tokens=False).input_ids
    assert made.factors[ids == word].tolist() == [2.5] and made.factors.sum() == len(ids) + 1.5
    assert len(made.gone) == 3 and len(made.new) == 5  # a, 7, 0 for an, 8, 5; with dementia


def test_a_learned_word_of_several_vectors_is_several_tokens(base: Base) -> None:
    wide = textual_inversion.insert(base, {"<ill>": torch.randn(3, 32)})
    try:
        made = of_prompts(wide, "a brain MRI", "a brain MRI with <ill>", "replace", ("<ill>=0",))
        assert len(made.new) == 4 and (made.factors == 0).sum() == 3
    finally:
        textual_inversion.remove(wide)


@pytest.mark.parametrize("text", ["", "x", "=2", "x=", "x=y", "x=-1", "x=nan", "x=inf"])
def test_an_emphasis_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(OptionError, match="WORD=FACTOR"):
        parse_emphasis(text)


def test_an_emphasis_may_hold_an_equals_sign() -> None:
    assert parse_emphasis("a=b=0.5") == ("a=b", 0.5)

"""Alignment of the tokens of two prompts by token ids, so words of several vectors align like any
other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import torch
from torch import Tensor

from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.prompts import parse_emphasis

EXCHANGES = ("replace", "refine")
"""Attention of a word that replaces another: it takes over the old word's attention, or has its own
(Hertz et al. 2023, section 3.2)."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Alignment of the L tokens of a source prompt and a target prompt."""

    matrix: Tensor
    """[L, L]: the share of a source token's (row) attention that a target token (column) takes
    over."""
    takes_over: Tensor
    """[L]: 1 where a target token takes over attention, 0 where it has its own."""
    gone: tuple[int, ...]
    """Positions in the source of what the target does not say."""
    new: tuple[int, ...]
    """Positions in the target of what the source does not say."""
    factors: Tensor
    """[L]: what a target token's attention is multiplied by."""

    def apply(self, source: Tensor, target: Tensor) -> Tensor:
        """Replace attention to unchanged tokens by that of the source.

        Args:
            source: Attention probabilities [..., L] under the source prompt.
            target: Attention probabilities [..., L] under the target prompt.

        Returns:
            Attention probabilities [..., L] under the target prompt.
        """
        matrix = self.matrix.to(source)
        unchanged = self.takes_over.to(source)
        return source @ matrix * unchanged + target * (1 - unchanged)


def align(
    source: Sequence[int],
    target: Sequence[int],
    lengths: tuple[int, int],
    exchange: str,
    factors: Tensor | None = None,
) -> Alignment:
    """Align two padded lists of token ids.

    Args:
        source: [L], a first token, as many as `lengths` says, a last one, padding.
        target: Token ids of the target prompt.
        lengths: Tokens of either prompt without the first and the last.
        exchange: A row of EXCHANGES.
        factors: [L], default ones.
    """
    total, (n, m) = len(source), lengths
    matrix = torch.zeros(total, total)
    unchanged = torch.zeros(total)
    gone: list[int] = []
    new: list[int] = []
    blocks = SequenceMatcher(
        None, list(source[1 : n + 1]), list(target[1 : m + 1]), autojunk=False
    ).get_opcodes()
    for kind, i, i_end, j, j_end in blocks:
        rows = list(range(i + 1, i_end + 1))
        columns = list(range(j + 1, j_end + 1))
        if kind == "equal":
            matrix[rows, columns] = 1.0
            unchanged[columns] = 1.0
            continue
        gone = gone + rows
        new = new + columns
        if (
            kind == "replace" and exchange == "replace"
        ):  # all that the old words had, in equal parts
            matrix[rows[0] : rows[-1] + 1, columns] = 1.0 / len(columns)
            unchanged[columns] = 1.0
    for k in range(total - m - 1):  # the last token and the padding behind it
        matrix[min(n + 1 + k, total - 1), m + 1 + k] = 1.0
    matrix[0, 0], unchanged[0], unchanged[m + 1 :] = 1.0, 1.0, 1.0
    return Alignment(
        matrix,
        unchanged,
        tuple(gone),
        tuple(new),
        torch.ones(total) if factors is None else factors,
    )


def of_prompts(
    base: Base, source: str, target: str, exchange: str, emphasis: Sequence[str]
) -> Alignment:
    """Align the tokens of two prompts.

    Args:
        base: Base with the tokenizer.
        source: Prompt.
        target: Prompt.
        exchange: A row of EXCHANGES.
        emphasis: `WORD=FACTOR`, words of the target.

    Raises:
        OptionError: A prompt is too long, or a word is not in the target.
    """
    first, second = base.tokens([source, target]).tolist()
    factors = torch.ones(len(second))
    for text in emphasis:
        word, factor = parse_emphasis(text)
        wanted = base.tokens([word])[0, 1 : base.count(word) + 1].tolist()
        places = [i for i in range(len(second)) if wanted and second[i : i + len(wanted)] == wanted]
        if not places:
            raise OptionError(
                f"`emphasis={text}`: the changed prompt '{target}' has no '{word}'; give a word of "
                "it"
            )
        for place in places:
            factors[place : place + len(wanted)] = factor
    return align(first, second, (base.count(source), base.count(target)), exchange, factors)

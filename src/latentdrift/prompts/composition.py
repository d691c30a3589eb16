"""Several prompts in one picture: `a chest X-ray with effusion:0.5 AND a chest X-ray with
pneumonia:0.5`.

The way in which AUTOMATIC1111's web interface writes a composition of conditions (Liu et al. 2022),
and de Wilde et al. 2024 theirs; scores are mixed, never embeddings. A prompt without AND is one
prompt, whatever colons it holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from latentdrift.errors import OptionError

AND = " AND "
WEIGHTED = re.compile(r"^(?P<text>.*?)\s*:\s*(?P<weight>[-+]?(?:\d+\.?\d*|\.\d+))\s*$", re.DOTALL)

Part = tuple[str, float]
"""A prompt and its weight; a negative one leads away from it."""


def weighted(text: str) -> Part:
    """`effusion:0.5` -> (effusion, 0.5); a missing weight is 1."""
    found = WEIGHTED.match(text)
    return (found["text"].strip(), float(found["weight"])) if found else (text.strip(), 1.0)


def parts(prompt: str) -> list[Part]:
    """The prompts that a prompt is composed of, and their weights.

    Raises:
        OptionError: one of them is empty.
    """
    if AND not in prompt:
        return [(prompt, 1.0)]
    found = [weighted(text) for text in prompt.split(AND)]
    if not all(text for text, _ in found):
        raise OptionError(
            f"the prompt '{prompt}' has an AND with nothing on one side; write `one:0.5 AND "
            "other:0.5`"
        )
    return found


def compose(found: Sequence[Part]) -> str:
    """Back from `parts`."""
    if len(found) == 1 and found[0][1] == 1:
        return found[0][0]
    return AND.join(f"{text}:{weight:g}" for text, weight in found)

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
    """Parse a weighted prompt, `effusion:0.5` -> ("effusion", 0.5); a missing weight is 1."""
    match = WEIGHTED.match(text)
    return (match["text"].strip(), float(match["weight"])) if match else (text.strip(), 1.0)


def parts(prompt: str) -> list[Part]:
    """Split a composed prompt at AND into prompts with weights; `compose` undoes it.

    Raises:
        OptionError: One of the prompts is empty.
    """
    if AND not in prompt:
        return [(prompt, 1.0)]
    weighted_parts = [weighted(text) for text in prompt.split(AND)]
    if not all(text for text, _ in weighted_parts):
        raise OptionError(
            f"the prompt '{prompt}' has an AND with nothing on one side; write `one:0.5 AND "
            "other:0.5`"
        )
    return weighted_parts


def compose(parts: Sequence[Part]) -> str:
    """Join prompts with weights into a composed prompt; `parts` undoes it."""
    if len(parts) == 1 and parts[0][1] == 1:
        return parts[0][0]
    return AND.join(f"{text}:{weight:g}" for text, weight in parts)

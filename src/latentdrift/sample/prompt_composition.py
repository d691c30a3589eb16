"""Requests with several prompts at once: combined, or interpolated in steps, in an adapter's
words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from latentdrift import prompts
from latentdrift.attributes.specification import AttributeValues, words_of
from latentdrift.errors import OptionError
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.prompts import composition
from latentdrift.sample.synthetic_cohort import Request


def combined(texts: Sequence[str], n: int, info: AdapterInfo) -> list[Request]:
    """n images of all conditions together, `effusion:0.5`, `pneumonia:0.5` (Liu et al. 2022; de
    Wilde et al. 2024).

    An image is labelled with the findings that it is drawn towards.

    Args:
        texts: Conditions with their weights; without one it is 1.
        n: Number of images.
        info: adapter.json, whose words turn a finding or `diagnosis=dementia` into a prompt;
            anything else is one as it is.

    Raises:
        OptionError: Fewer than two.
    """
    if len(texts) < 2:
        raise OptionError(
            f"`compose={' '.join(texts)}` is one condition; give two or more, such as effusion:0.5 "
            "pneumonia:0.5"
        )
    conditions = [
        (*_condition(text, info), weight) for text, weight in map(composition.weighted, texts)
    ]
    _differ([text for text, _, _ in conditions])
    prompt = composition.compose([(text, weight) for text, _, weight in conditions])
    findings = [
        str(known["findings"])
        for _, known, weight in conditions
        if weight > 0 and "findings" in known
    ]
    return [Request.of(prompt, {"findings": "|".join(findings)} if findings else {})] * n


def between(ends: Sequence[str], n: int, info: AdapterInfo) -> list[Request]:
    """Requests for n images from one condition to another (de Wilde et al. 2024).

    The weights are (1 - a, a), with a from 0 to 1 in equal steps. Only the two ends have
    attributes.

    Args:
        ends: The two conditions.
        n: Number of images, 2 or more.
        info: adapter.json; gives the words of the prompts.

    Raises:
        OptionError: Not two different conditions, or fewer than two images.
    """
    if len(ends) != 2 or n < 2:
        raise OptionError(
            f"`interpolate` takes two conditions and `n` 2 or more, and got {len(ends)} and {n}; "
            "write `interpolate='No Finding' effusion` and `n=5`"
        )
    (first, one), (last, other) = (_condition(text, info) for text in ends)
    _differ([first, last])
    requests = []
    for i in range(n):
        a = i / (n - 1)
        shares = [(text, weight) for text, weight in ((first, 1 - a), (last, a)) if weight]
        requests.append(
            Request.of(composition.compose(shares), one if i == 0 else other if i == n - 1 else {})
        )
    return requests


def _differ(texts: Sequence[str]) -> None:
    """Check that the adapter tells conditions apart.

    Raises:
        OptionError: Two read the same.
    """
    if len(set(texts)) < len(texts):
        raise OptionError(
            f"the conditions read the same to this adapter: '{max(texts, key=texts.count)}'; it "
            "was trained without what tells them apart, so give prompts of your own, or fit again "
            "with it or with `concept_by`"
        )


def _condition(text: str, info: AdapterInfo) -> tuple[str, AttributeValues]:
    """A prompt, and what it says of an image: of a finding, of `name=value`, or of nothing that is
    known."""
    spec = info.attributes
    findings = {word.lower(): word for word in words_of(spec, "findings")}
    if text.lower() in findings:
        known: AttributeValues = {"findings": findings[text.lower()]}
    elif text.partition("=")[0].strip() in spec:
        known = dict([prompts.parse_assignment(text, spec)])
    else:
        return text, {}
    manner = replace(info.prompt.manner(), caption=None)
    return manner.words(info.describe, known, spec, 0), known

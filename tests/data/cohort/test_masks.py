"""Mask files: every form of a label, and masks that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from boxes import Make, drawn
from PIL import Image

from latentdrift.data.cohort.controlnet_hints import Hint
from latentdrift.errors import CohortError, OptionError

BOX = drawn(8, 8, slice(2, 5), slice(1, 6), 1)


@pytest.mark.parametrize(
    ("form", "labels"),
    [
        (lambda box: Image.fromarray(box * 255), (255,)),
        (lambda box: Image.fromarray(box * 255).convert("1"), (1,)),
        (lambda box: Image.fromarray(box * 255).convert("RGB"), (255,)),
        (lambda box: Image.fromarray(box * 255).convert("RGBA"), (255,)),
        (lambda box: Image.fromarray(box * 255).convert("LA"), (255,)),
        (lambda box: Image.fromarray(box).convert("P"), (1,)),
        (lambda box: Image.fromarray(box.astype(np.uint16) * 300), (300,)),
    ],
)
def test_masks_are_read_in_every_form_that_says_the_same(
    make: Make, form: Callable[[np.ndarray], Any], labels: tuple
) -> None:
    cohort = make([np.zeros((8, 8), np.uint8)], [BOX])
    form(BOX).save(cohort.folder / "masks" / "0.png")
    hint = Hint.of("mask=roi", cohort)
    assert hint.labels == labels
    np.testing.assert_array_equal(hint.picture(cohort, 0, 8)[0], BOX)


def test_labels_are_counted_and_one_written_in_two_ways_is_named(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Of four masks one has the label 1 and two have 255: never together, so they are probably
    one."""
    empty = np.zeros((8, 8), np.uint8)
    cohort = make([empty] * 4, [BOX, BOX * 255, BOX * 255, empty])
    with caplog.at_level("INFO"):
        assert Hint.of("mask=roi", cohort).labels == (1, 255)
    counted, doubt = caplog.messages
    assert counted == "Labels of the 4 masks of column roi: 0 in 4, 1 in 1, 255 in 2."
    assert (
        "1 (1 masks) and 255 (2 masks) of column roi never meet" in doubt
        and "Write it alike" in doubt
    )
    caplog.clear()
    both = BOX.copy()
    both[7] = 255
    Image.fromarray(both).save(cohort.folder / "masks" / "3.png")
    Hint.of("mask=roi", cohort)
    assert not caplog.messages


def test_every_mask_that_cannot_be_used_is_named_at_once(make: Make) -> None:
    picture = np.zeros((8, 8), np.uint8)
    cohort = make([picture] * 3, [BOX, BOX[:4, :4], np.dstack([BOX, BOX * 0, BOX])])
    with pytest.raises(
        CohortError,
        match=r"2 masks cannot be used: .*1\.png has the shape \(4, 4\).*2\.png has the shape",
    ):
        Hint.of("mask=roi", cohort)


def test_masks_that_do_not_fit_are_said(make: Make) -> None:
    picture = np.zeros((8, 8), np.uint8)
    cohort = make([picture, picture], [picture + 1, drawn(8, 6, slice(0, 2), slice(0, 2))])
    with pytest.raises(
        CohortError,
        match=r"1\.png has the shape \(8, 6\) and its image images/000001\.png \(8, 8\)",
    ):
        Hint.of("mask=roi", cohort)
    with pytest.raises(
        OptionError, match=r"unknown column for `hint=mask` 'rio'; known: .*did you mean 'roi'"
    ):
        Hint.of("mask=rio", cohort)
    for place in range(2):
        Image.fromarray(picture).save(cohort.folder / "masks" / f"{place}.png")
    with pytest.raises(
        CohortError, match=r"no mask that column roi of cohort .* names has anything but 0 in it"
    ):
        Hint.of("mask=roi", cohort)
    (cohort.folder / "masks" / "1.png").unlink()
    with pytest.raises(CohortError, match="1 of 2 masks named in column roi are not there"):
        Hint.of("mask=roi", cohort)

"""Hints against known answers: where edges are, how masks lie, which visit was before; nothing
changes sides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from latentdrift.data.cohort.cohort import Cohort, write_cohort
from latentdrift.data.cohort.controlnet_hints import HINTS, Hint, from_file
from latentdrift.errors import CohortError, InputError, OptionError

Make = Callable[..., Cohort]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A cohort of pictures, with masks beside them where they are given; `rows` are further
    cells."""

    def call(
        pictures: list[np.ndarray],
        masks: list[np.ndarray | None] = (),
        rows: list[dict[str, Any]] = (),
    ) -> Cohort:
        table = [
            {"patient": "A", "days": float(place), **(rows[place] if rows else {})}
            for place in range(len(pictures))
        ]
        for row, mask, place in zip(table, masks, range(len(masks)), strict=False):
            row["roi"] = None if mask is None else f"masks/{place}.png"
        info = {"describe": "disc", "kept": ("roi",)}
        cohort = write_cohort(tmp_path / "cohort", zip(pictures, table, strict=True), info)
        (cohort.folder / "masks").mkdir()
        for place, mask in enumerate(masks):
            if mask is not None:
                Image.fromarray(mask).save(cohort.folder / "masks" / f"{place}.png")
        return cohort

    return call


EDGES = Hint("edges")


def drawn(height: int, width: int, rows: slice, columns: slice, value: int = 255) -> np.ndarray:
    """A box on black."""
    picture = np.zeros((height, width), np.uint8)
    picture[rows, columns] = value
    return picture


def test_the_edges_of_a_square_are_its_four_sides(make: Make) -> None:
    cohort = make([drawn(64, 64, slice(16, 48), slice(10, 30))])
    found = Hint.of("edges", cohort).picture(cohort, 0, 64)
    assert found.shape == (1, 64, 64)
    assert found.dtype == np.float32
    assert set(np.unique(found)) == {0, 1}
    rows, columns = np.nonzero(found[0])
    inside = (rows >= 18) & (rows < 46) & (columns >= 12) & (columns < 28)
    outside = (rows < 14) | (rows >= 50) | (columns < 8) | (columns >= 32)
    assert not (inside | outside).any()
    for side, length in ((found[0, 14:18, 12:28].any(0), 16), (found[0, 18:46, 8:12].any(1), 28)):
        assert side.sum() == length  # no gaps
    assert not Hint("edges").picture(make_flat(cohort), 0, 64).any()


def make_flat(cohort: Cohort) -> Cohort:
    Image.new("L", (64, 64), 90).save(cohort.folder / "images" / "000000.png")
    return cohort


@pytest.mark.parametrize(
    ("height", "width", "spacing"), [(20, 40, 1.0), (40, 20, 1.0), (15, 40, 1.0), (20, 20, 2.0)]
)
def test_a_mask_lies_where_its_image_lies(
    height: int, width: int, spacing: float, make: Make
) -> None:
    mask = drawn(height, width, slice(2, height // 2), slice(3, width - 5), 1)
    cohort = make([mask * 255], [mask], [{"row_mm": spacing, "col_mm": 1.0}])
    hint = Hint.of("mask=roi", cohort).picture(cohort, 0, 80)
    image = cohort.batch(cohort.rows(), 80)[0, 0]
    assert np.array_equal(hint[0] == 1, image > 0)


def test_padding_is_outside_of_a_mask_to_the_pixel(make: Make) -> None:
    cohort = make([np.zeros((20, 40), np.uint8)], [np.full((20, 40), 255, np.uint8)])
    expected = np.zeros((80, 80), np.float32)
    expected[20:60] = 1
    assert np.array_equal(Hint.of("mask=roi", cohort).picture(cohort, 0, 80)[0], expected)


def test_labels_are_evenly_spread_greys_and_alike_in_every_cohort(
    make: Make, tmp_path: Path
) -> None:
    masks = [drawn(8, 8, slice(0, 4), slice(0, 4), label) for label in (1, 7, 40)]
    cohort = make([np.zeros((8, 8), np.uint8)] * 3, masks)
    hint = Hint.of("mask=roi", cohort)
    assert hint.labels == (1, 7, 40)
    assert [hint.picture(cohort, row, 8).max() for row in range(3)] == pytest.approx(
        [1 / 3, 2 / 3, 1]
    )
    assert np.array_equal(hint.mask(cohort, 2, 8), masks[2])
    assert hint.mask(cohort, 2, 8).dtype == np.uint8
    assert Hint.from_dict(hint.to_dict()) == hint
    fewer = Hint("mask", "roi", (1, 7))
    with pytest.raises(
        CohortError,
        match=r"2\.png has the label 40, and masks that were trained on have 0, 1, 7; write it",
    ):
        fewer.picture(cohort, 2, 8)


def test_images_without_a_mask_or_an_earlier_visit_have_no_hint(make: Make) -> None:
    picture = np.zeros((8, 8), np.uint8)
    rows = [{"patient": name, "days": days} for name, days in (("A", 9.0), ("B", 1.0), ("A", 2.0))]
    cohort = make([picture, picture + 100, picture + 200], [picture + 1, None, picture + 1], rows)
    assert Hint("mask", "roi").sources(cohort) == {0: 0, 2: 2}
    assert Hint("earlier").sources(cohort) == {0: 2}
    assert Hint("edges").sources(cohort) == {0: 0, 1: 1, 2: 2}
    assert Hint("earlier").picture(cohort, 2, 8) == pytest.approx(200 / 255)


def test_an_earlier_picture_has_the_colours_and_the_side_of_its_image(make: Make) -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:4, :8] = (255, 128, 0)
    cohort = make([picture, np.zeros((16, 16, 3), np.uint8)])
    found = Hint("earlier").picture(cohort, 0, 16)
    assert np.allclose(found, np.moveaxis(picture, -1, 0) / 255, atol=1e-6)
    assert Hint("earlier").channels(cohort, [0]) == 3
    assert Hint("edges").channels(cohort, [0]) == 1
    edges = Hint("edges").picture(cohort, 0, 16)
    assert edges.any() and not edges[0, 6:].any() and not edges[0, :, 10:].any()


def test_a_file_is_fitted_as_images_are(make: Make, tmp_path: Path) -> None:
    colour = np.zeros((20, 40, 3), np.uint8)
    colour[:, :20] = (255, 0, 102)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    cohort = make([colour])
    assert np.allclose(
        from_file(tmp_path / "colour.png", 80, EDGES),
        (cohort.batch(cohort.rows(), 80)[0] + 1) / 2,
        atol=1e-6,
    )
    Image.fromarray(colour[..., 2]).save(tmp_path / "grey.png")
    grey = from_file(tmp_path / "grey.png", 80, EDGES)
    assert grey.shape == (1, 80, 80)
    assert grey.max() == pytest.approx(0.4)
    Image.fromarray(colour).save(
        tmp_path / "two.tiff", save_all=True, append_images=[Image.fromarray(colour)]
    )
    with pytest.raises(InputError, match=r"two\.tiff holds 2 pictures; a hint is one"):
        from_file(tmp_path / "two.tiff", 80, EDGES)


def test_a_file_of_known_labels_is_a_mask_and_any_other_a_picture(tmp_path: Path) -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[:8], mask[12:] = 1, 3
    Image.fromarray(mask).save(tmp_path / "mask.png")
    known = Hint("mask", "roi", (1, 3))
    found = from_file(tmp_path / "mask.png", 16, known)
    assert (
        np.array_equal(np.unique(found), [0, 0.5, 1])
        and (found[0, :8] == 0.5).all()
        and (found[0, 12:] == 1).all()
    )
    assert from_file(tmp_path / "mask.png", 16, EDGES).max() == pytest.approx(3 / 255)
    Image.fromarray(mask * 85).save(tmp_path / "grey.png")  # levels, as a hint has them
    assert from_file(tmp_path / "grey.png", 16, known)[0, 12:] == pytest.approx(1)


def test_what_is_asked_for_is_a_row_of_the_table() -> None:
    for text in ("edges", "mask=roi", "earlier"):
        assert str(Hint.parse(text)) == text
    assert {"edges", "mask", "earlier"} == set(HINTS)
    for text, message in (
        ("egdes", r"unknown hint 'egdes'; known: earlier, edges, mask \(did you mean 'edges'"),
        ("mask", r"`hint=mask` is not understood; write mask=COLUMN, with a column of the cohort"),
        ("edges=roi", r"`hint=edges=roi` is not understood; write edges alone"),
    ):
        with pytest.raises(OptionError, match=message):
            Hint.parse(text)


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

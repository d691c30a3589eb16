"""Hints against known answers: where edges are, how masks lie, which visit was before; nothing
changes sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from boxes import Make, drawn
from PIL import Image

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.controlnet_hints import HINTS, Hint, from_file
from latentdrift.errors import CohortError, InputError, OptionError

EDGES = Hint("edges")


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

"""Transforms: their parameters, and their cell in a table."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.data.registration.transforms import (
    KINDS,
    Grid,
    affine,
    from_text,
    rigid,
    similarity,
    to_text,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_transform_survives_its_cell(kind: str) -> None:
    transform = KINDS[kind].make(np.linspace(0.01, 0.06, KINDS[kind].parameters))
    again = from_text(to_text(transform))
    assert np.array(again.matrix) == pytest.approx(np.array(transform.matrix), rel=1e-5)
    assert again.shift == pytest.approx(transform.shift, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_no_parameters_are_the_identity(kind: str) -> None:
    transform = KINDS[kind].make(np.zeros(KINDS[kind].parameters))
    points = Grid((5, 7), (1.0, 2.0)).points()
    assert np.array_equal(transform.of(points), points)
    assert (transform.rotation, transform.scale) == (0, 1)


def test_rotation_and_scale_are_those_of_the_parameters() -> None:
    transform = similarity(np.array([3.0, -2.0, np.deg2rad(7), np.log(1.1)]))
    assert transform.shift == (3, -2)
    assert transform.rotation == pytest.approx(7)
    assert transform.scale == pytest.approx(1.1)
    assert rigid(np.array([0.0, 0.0, 0.3])).scale == pytest.approx(1)
    assert affine(np.array([0.0, 0.0, 0.21, 0.0, 0.0, 0.0])).scale == pytest.approx(1.1)


def test_a_turn_leads_from_rows_to_columns() -> None:
    """A quarter turn takes the row's axis onto the column's."""
    moved = rigid(np.array([0.0, 0.0, np.pi / 2])).of(np.array([[[1.0]], [[0.0]]]))
    assert moved.ravel() == pytest.approx([0, 1])


def test_points_lie_about_the_centre_in_mm() -> None:
    grid = Grid((3, 5), (2.0, 0.5))
    points = grid.points()
    assert points[0, :, 0].tolist() == [-2, 0, 2]
    assert points[1, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    rows, columns = grid.indices(points)
    assert rows[:, 0].tolist() == [0, 1, 2] and columns[0].tolist() == [0, 1, 2, 3, 4]
    assert grid.field == 6


def test_a_damaged_cell_is_refused() -> None:
    with pytest.raises(ValueError):
        from_text("1 0 0 1 3")

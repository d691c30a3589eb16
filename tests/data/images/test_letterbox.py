"""Fit: where the padding lies, that nothing flips, and that it can be undone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, gaussian_filter

from latentdrift.data.images.letterbox import Fit, resize
from latentdrift.errors import InputError

SHAPES = [(207, 256), (256, 207), (64, 64), (33, 90), (91, 32), (1, 5)]


@pytest.mark.parametrize(
    ("shape", "corner"),
    [((4, 10), (3, 0)), ((5, 10), (2, 0)), ((10, 5), (0, 2)), ((7, 7), (0, 0)), ((10, 4), (0, 3))],
)
def test_padding_is_centred_and_the_odd_line_goes_below_or_right(
    shape: tuple[int, int], corner: tuple[int, int]
) -> None:
    side = max(shape)
    picture = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    expected = np.full((side, side), -7.0)
    expected[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]] = picture
    np.testing.assert_array_equal(Fit(*shape, side).apply(picture, fill=-7.0), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_without_resizing_the_inverse_is_exact(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).uniform(-1, 1, (*shape, 3)).astype(np.float32)
    fit = Fit(*shape, max(shape))
    assert np.array_equal(fit.invert(fit.apply(picture)), picture)


@pytest.mark.parametrize("shape", SHAPES[:5])
@pytest.mark.parametrize("resolution", [32, 128, 300])
def test_the_inverse_returns_the_shape_and_nearly_the_picture(
    shape: tuple[int, int], resolution: int
) -> None:
    noise = gaussian_filter(np.random.default_rng(1).normal(size=shape), max(shape) / 10)
    picture = (noise / np.abs(noise).max()).astype(np.float32)
    fit = Fit(*shape, resolution)
    back = fit.invert(fit.apply(picture, fill=0.0))
    assert back.shape == shape
    assert np.abs(back - picture)[2:-2, 2:-2].mean() < 0.01


@pytest.mark.parametrize("shape", SHAPES[:5])
@pytest.mark.parametrize("resolution", [48, 128])
@pytest.mark.parametrize("at", [(0.3, 0.35), (0.7, 0.3), (0.35, 0.7)])
def test_nothing_is_flipped_turned_or_shifted(
    shape: tuple[int, int], resolution: int, at: tuple[float, float]
) -> None:
    """A blob stays where the closed form of padding and scaling puts it, to a tenth of a pixel."""
    rows, columns = np.indices(shape)
    centre = np.array([shape[0] * at[0], shape[1] * at[1]])
    picture = np.exp(
        -((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 2 / (min(shape) / 16) ** 2
    )
    fit = Fit(*shape, resolution)
    scale = resolution / max(shape)
    expected = (centre + fit.corner + 0.5) * scale - 0.5
    np.testing.assert_allclose(center_of_mass(fit.apply(picture, fill=0.0)), expected, atol=0.1)
    np.testing.assert_allclose(
        center_of_mass(fit.invert(fit.apply(picture, fill=0.0))), centre, atol=0.15 / min(scale, 1)
    )


def test_a_fine_pattern_does_not_alias_when_shrunk() -> None:
    stripes = np.tile(np.array([[-1.0, 1.0]], dtype=np.float32), (128, 64))
    inner = Fit(128, 128, 31).apply(stripes)[3:-3, 3:-3]
    assert np.abs(inner).max() < 0.1  # the mean of the stripes, not a slower pattern


def test_resizing_stays_within_the_range_of_the_picture() -> None:
    step = np.full((40, 40), -1.0, dtype=np.float32)
    step[:, 20:] = 1.0
    out = resize(step, (100, 100))
    assert out.min() == -1.0 and out.max() == 1.0


def test_voxels_that_are_not_square_keep_the_proportions_in_mm() -> None:
    fit = Fit(54, 191, 128, aspect=2.4 / 0.86)  # a coronal slice, 130 x 164 mm
    rows, columns = fit.padded
    assert columns == 191 and rows * 2.4 == pytest.approx(191 * 0.86, abs=2.4)
    height = (fit.apply(np.ones((54, 191)), fill=0.0)[:, 64] > 0.5).sum()
    assert height / 128 == pytest.approx(54 * 2.4 / (191 * 0.86), abs=0.02)
    assert fit.invert(np.zeros((128, 128))).shape == (54, 191)


def test_a_picture_of_another_shape_is_refused_with_a_sentence() -> None:
    with pytest.raises(InputError, match=r"shape \(4, 4\) came where 5 x 4 pixels"):
        Fit(5, 4, 8).apply(np.zeros((4, 4)))
    with pytest.raises(InputError, match="8 x 8 pixels"):
        Fit(5, 4, 8).invert(np.zeros((5, 4)))

"""Images that do not fit an adapter: colour, modality, and values outside of the window."""

from __future__ import annotations

import numpy as np
import pytest
from infos import info_of

from latentdrift.data.images.image import Image
from latentdrift.edit.core.fitting import check_colour, check_modality, check_window
from latentdrift.errors import InputError

GREY = np.repeat(np.arange(100, dtype=np.uint8).reshape(10, 10, 1), 3, -1)


def tinted(pixels: int) -> np.ndarray:
    """A grey picture of 100 pixels, some of which are red."""
    picture = GREY.copy()
    picture.reshape(100, 3)[:pixels, 0] = 200
    return picture


def test_an_adapter_of_grey_images_refuses_more_than_one_percent_of_colour() -> None:
    grey = info_of(colour=False)
    check_colour(GREY, grey)
    check_colour(GREY[..., 0], grey)
    check_colour(tinted(1), grey)
    with pytest.raises(InputError, match="the adapter was trained on grey images only"):
        check_colour(tinted(2), grey)


@pytest.mark.parametrize("colour", [True, None])
def test_other_adapters_take_colour(colour: bool | None) -> None:
    check_colour(tinted(100), info_of(colour=colour))


def test_an_unknown_modality_is_named(caplog: pytest.LogCaptureFixture) -> None:
    info = info_of(modalities=["MR"])
    image = Image(GREY[..., 0], (0.0, 255.0), modality="CT")
    check_modality(image, info)
    (message,) = caplog.messages
    assert message == "the image is of modality CT, and the adapter was trained on MR"
    check_modality(Image(GREY[..., 0], (0.0, 255.0), modality="MR"), info)
    check_modality(Image(GREY[..., 0], (0.0, 255.0)), info)
    assert len(caplog.messages) == 1


def shares(inside: int, unit: str = "intensity") -> Image:
    """An image of 1000 values, some of which are inside of its window from 0 to 1."""
    pixels = np.full((25, 40), 9.0, np.float32)
    pixels.reshape(-1)[:inside] = 0.5
    return Image(pixels, (0.0, 1.0), unit=unit)


@pytest.mark.parametrize(
    ("inside", "whose", "unit", "outcome"),
    [
        (9, "the image", "intensity", "refused"),
        (11, "the image", "intensity", "said"),
        (99, "the adapter", "HU", "said"),
        (101, "the adapter", "HU", ""),
        (101, "the image", "intensity", ""),
        (499, "the adapter", "intensity", "said"),
        (501, "the adapter", "intensity", ""),
    ],
)
def test_values_outside_of_the_window_are_counted(
    inside: int, whose: str, unit: str, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused below 1 %, and said below 10 %, or below 50 % where the window is another's."""
    image = shares(inside, unit)
    if outcome == "refused":
        with pytest.raises(InputError, match=r"99 % of the image's values .* of the window 0 to 1"):
            check_window(image, whose)
        return
    check_window(image, whose)
    assert bool(caplog.messages) == (outcome == "said")

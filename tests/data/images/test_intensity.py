"""Windows and ranges: closed forms and exact inverses."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.data.images.image import ImageError
from latentdrift.data.images.intensity import (
    Window,
    check_seen,
    choose_range,
    data_range,
    from_unit,
    parse_window,
    to_unit,
    without_gaps,
)
from latentdrift.errors import OptionError


@pytest.mark.parametrize(
    ("text", "window"),
    [
        (None, Window("header")),
        ("voi", Window("voi")),
        (" FULL ", Window("full")),
        ("-160,240", Window("values", -160, 240)),
        (" -1e3 , +2.5 ", Window("values", -1000, 2.5)),
        ("p1,p99", Window("percentiles", 1, 99)),
        ("p0.5,99.5", Window("percentiles", 0.5, 99.5)),
    ],
)
def test_windows_are_understood(text: str | None, window: Window) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lung", "none of: voi, full"),
        ("40", "none of: voi, full"),
        ("240,-160", "not above its start 240"),
        ("5,5", "not above its start 5"),
        ("p1,p101", "outside 0 to 100"),
    ],
)
def test_other_windows_are_refused_with_a_sentence(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_window(text)


def test_the_ends_of_the_range_are_minus_one_and_one_and_what_lies_outside_is_clipped() -> None:
    x = to_unit(np.array([-500.0, -160.0, 40.0, 240.0, 3000.0]), (-160.0, 240.0))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, [-1, -1, 0, 1, 1])


def test_sixteen_bits_survive_the_round_trip() -> None:
    values = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(from_unit(to_unit(values, (0, 65535)), (0, 65535), np.uint16), values)


def test_float_round_trip_is_exact_to_float_precision() -> None:
    values = np.linspace(-1024, 3071, 4096)
    np.testing.assert_allclose(
        from_unit(to_unit(values, (-1024, 3071)), (-1024, 3071)), values, atol=4e-4
    )


def test_integer_types_are_rounded_and_never_wrap() -> None:
    out = from_unit(np.array([-1.0, 0.0, 1.0]), (-10.0, 265.0), np.uint8)
    np.testing.assert_array_equal(out, [0, 128, 255])


def test_percentiles_are_those_of_the_valid_pixels() -> None:
    window = parse_window("p10,p90")
    assert choose_range(window, np.arange(101.0), header=(0, 1), full=(0, 255), path="x") == (
        10.0,
        90.0,
    )


def test_percentiles_of_a_nearly_constant_picture_fall_back_to_its_range() -> None:
    values = np.zeros(1000)
    values[0] = 7
    assert choose_range(parse_window("p5,p95"), values, header=None, full=(0, 255), path="x") == (
        0.0,
        7.0,
    )


@pytest.mark.parametrize(
    ("text", "header", "full", "expected"),
    [
        (None, (-135.0, 214.0), None, (-135.0, 214.0)),
        ("voi", (-135.0, 214.0), (0, 255), (-135.0, 214.0)),
        (None, None, (0.0, 255.0), (0.0, 255.0)),
        (None, None, None, (3.0, 9.0)),
        ("full", (-135.0, 214.0), None, (3.0, 9.0)),
        ("-1,1", (-135.0, 214.0), None, (-1.0, 1.0)),
        (None, (0.0, 1e-310), None, (3.0, 9.0)),
    ],
)
def test_which_range_counts(text: str | None, header: tuple, full: tuple, expected: tuple) -> None:
    assert (
        choose_range(
            parse_window(text), np.array([3.0, np.nan, 9.0]), header=header, full=full, path="x"
        )
        == expected
    )


def test_a_header_window_that_is_not_there_is_refused() -> None:
    with pytest.raises(ImageError, match="ask for full, LOW,HIGH or p1,p99") as error:
        choose_range(parse_window("voi"), np.zeros(3), header=None, full=None, path="scan.dcm")
    assert error.value.reason == "no window"


@pytest.mark.parametrize("constant", [0.0, -1000.0, 1e30, 1e-40])
def test_a_constant_picture_maps_to_the_dark_end(constant: float) -> None:
    values = np.full((3, 3), constant)
    assert np.array_equal(to_unit(values, data_range(values)), np.full((3, 3), -1.0))


def test_gaps_take_the_smallest_value() -> None:
    np.testing.assert_array_equal(
        without_gaps(np.array([np.nan, 2.0, np.inf, -3.0])), [-3, 2, -3, -3]
    )


@pytest.mark.parametrize(
    ("window", "side"),
    [((-20.0, 79.0), "above"), ((2000.0, 3000.0), "below"), ((991.0, 1489.0), None)],
)
def test_a_picture_that_its_window_blanks_is_refused_with_its_values(
    window: tuple, side: str | None
) -> None:
    pixels = np.array([[991.0, 1489.0]])
    if side is None:
        return check_seen(pixels, window, "x")
    with pytest.raises(
        ImageError, match=f"991 to 1489.* lies {side} the window .*; give another with `window`"
    ) as error:
        check_seen(pixels, window, "x")
    assert error.value.reason == "blank"


def test_an_even_picture_is_nobodys_fault() -> None:
    check_seen(np.full((2, 2), 255), (0.0, 255.0), "x")

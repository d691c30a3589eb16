"""Parts of the report's pages: titles, order, tables and thumbnails."""

from __future__ import annotations

from evaluation_inputs import image_set, textures

from latentdrift.evaluate.evaluations.page_style import (
    DISTANCE_TITLES,
    SIMILARITY_TITLES,
    contact_sheet,
    in_reading_order,
    metric_title,
    panel_grid,
    style_panel,
    table_rows,
)
from latentdrift.evaluate.statistics.results import Metric

METRIC = Metric(value=0.5, ci=[0.4, 0.6], n={"real": 9, "synthetic": 8, "train": 7}, floor=None)


def test_a_title_names_the_metric_and_what_it_compares() -> None:
    assert metric_title("ssim.nearest", SIMILARITY_TITLES) == (
        "SSIM, with the nearest training image"
    )
    assert metric_title("kid.pocket", {"kid": "KID"}) == "KID, pocket features"
    assert metric_title("copies", {"copies": "Copies"}) == "Copies"


def test_metrics_that_say_little_of_small_sets_stand_last() -> None:
    names = ("frechet.a", "kid.a", "mifid.a", "recall.a")
    assert list(in_reading_order(dict.fromkeys(names))) == [
        "kid.a",
        "recall.a",
        "frechet.a",
        "mifid.a",
    ]
    rows = table_rows({"frechet.a": METRIC, "kid.a": METRIC}, DISTANCE_TITLES)
    assert [row["n"] for row in rows] == ["9 real, 8 synthetic"] * 2
    assert rows[0]["measure"] == metric_title("kid.a", DISTANCE_TITLES)
    assert rows[0]["synthetic [95 % interval]"] == "0.5 [0.4,\N{NO-BREAK SPACE}0.6]"


def test_a_contact_sheet_is_spread_over_the_set() -> None:
    images = image_set(textures(9, 0))
    assert [caption for _, caption in contact_sheet(images, "real", 3)] == [
        "real: 0",
        "real: 4",
        "real: 8",
    ]
    assert len(contact_sheet(images, "real", 99)) == 9


def test_panels_stand_two_in_a_row() -> None:
    figure, axes = panel_grid(3, 1.5)
    assert len(axes) == len(figure.axes) == 3
    assert figure.get_size_inches()[1] == 3.0
    style_panel(axes[0], "KID", {0: "all", -1: "F"})
    assert axes[0].get_title() == "KID"
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["all", "F"]

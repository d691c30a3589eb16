"""The page is one file: everything inline, everything escaped."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.font_manager import findfont, get_font
from PIL import Image

from latentdrift.display import html_report
from latentdrift.errors import OptionError


class Collector(HTMLParser):
    """Tags, their attributes and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    drawing, (left, right) = html_report.figure(columns=2)
    left.hist([1, 2, 2, 3])
    right.plot([0, 1])
    blocks = [
        html_report.heading("Ages <script>alert(1)</script>"),
        html_report.text("First paragraph & more.\n\nSecond <b>paragraph</b>."),
        html_report.table(
            [{"name": "a<b", "n": 3, "x": 0.123456}, {"name": None, "n": 4, "x": float("nan")}],
            caption="Counts",
        ),
        html_report.table(pd.DataFrame({"who": ["x"], "many": [12]})),
        html_report.picture(
            np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8), 'quote " and <tag>'
        ),
        html_report.picture(drawing, "two plots"),
        html_report.gallery(
            [(np.full((4, 4, 3), 200, np.uint8), "one"), (np.full((4, 4), 65535, np.uint16), "two")]
        ),
        html_report.lights(
            [("copies", "red", "2 images are copies."), ("leaks", "green", "None found.")]
        ),
    ]
    path = tmp_path_factory.mktemp("page") / "deep" / "report.html"
    html_report.write_page(path, "A <title> & more", blocks)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


def test_strips_lie_below_one_another():
    wide = (np.zeros((4, 40), np.uint8), "eight pictures")
    tall = (np.zeros((4, 4), np.uint8), "one picture")
    assert [html_report.gallery(shown).kind for shown in ([tall, wide], [tall, tall], [])] == [
        "strips",
        "gallery",
        "gallery",
    ]


def test_text_is_escaped(html):
    collected = Collector(html)
    assert not [tag for tag, _ in collected.tags if tag in ("script", "b") and tag != "b"]
    words = " ".join(collected.words)
    for expected in (
        "A <title> & more",
        "Ages <script>alert(1)</script>",
        "Second <b>paragraph</b>.",
        "a<b",
    ):
        assert expected in words


def test_nothing_is_fetched(html):
    sources = [attrs["src"] for tag, attrs in Collector(html).tags if tag == "img"]
    assert len(sources) == 4
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"https?://|@import|<link|<script", html)


def test_tables_format_numbers_and_missing_values(html):
    words = [word.strip() for word in Collector(html).words if word.strip()]
    assert "0.1235" in words
    assert words.count("–") == 2
    assert "12" in words


def test_pictures_keep_their_values(html):
    sources = [
        attrs["src"]
        for tag, attrs in Collector(html).tags
        if tag == "img" and attrs["src"].startswith("data:image/png")
    ]
    arrays = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
        for source in sources
    ]
    assert arrays[0].flat[0] == 0 and arrays[0].flat[-1] == 255 and arrays[0].shape == (8, 8)
    assert (arrays[1] == 200).all() and arrays[1].shape == (4, 4, 3)
    assert (arrays[2] == 255).all()


def test_lights_know_their_colours(html):
    assert re.search(r'aria-label="red".*?copies', html, re.S)
    with pytest.raises(OptionError, match="unknown colour 'blue'; known: amber, green, grey, red"):
        html_report.lights([("x", "blue", "y")])


def test_a_value_and_its_interval_are_read_without_powers_of_ten():
    assert (
        html_report.estimate(0.12345, [0.1, 0.2]) == "0.123 [0.1,\u00a00.2]"
        and html_report.estimate(2.0, None) == "2"
    )
    assert (
        html_report.estimate(2613.2, [2.8e-17, 18780.0]) == "2613 [0,\u00a018780]"
        and html_report.estimate(None, None) is None
    )
    assert (
        html_report.estimate(-0.000418, [-7.164e-05, 999.6]) == "-0.000418 [-0.0000716,\u00a01000]"
    )  # no line breaks at "e-05"


def test_a_wide_table_becomes_several_that_fit(tmp_path):
    rows = [
        {"name": f"row {i}"}
        | {f"quantity number {j}": "0.123 [0.012,\u00a00.345]" for j in range(20)}
        for i in range(3)
    ]
    block = html_report.table(rows, "Many")
    parts = [[column.name for column in part["columns"]] for part in block.content]
    assert len(parts) > 2 and all(part[0] == "name" for part in parts)
    assert [name for part in parts for name in part[1:]] == [
        f"quantity number {j}" for j in range(20)
    ]
    assert all(
        sum(column.width for column in part["columns"]) <= html_report.WIDEST
        for part in block.content
    )
    assert all(row[0] == f"row {i}" for part in block.content for i, row in enumerate(part["rows"]))
    two = html_report.table(rows, keys=2).content
    assert all(
        [column.name for column in part["columns"]][:2] == ["name", "quantity number 0"]
        for part in two
    )
    (long,) = html_report.table([{"file": 60 * "x", "a": "b"}]).content
    assert [column.broken for column in long["columns"]] == [True, False]
    assert len(html_report.table([{"a": 1, "b": 2}]).content) == 1 and html_report.table([]).content


def test_a_dollar_in_a_label_is_a_dollar_and_powers_of_ten_are_powers():
    def glyphs(label):
        drawing, (ax,) = html_report.figure()
        ax.bar([0, 1], [1, 1000])
        ax.set_yscale("log")
        ax.set_xticks([0, 1], [label, "other"])
        svg = base64.b64decode(html_report.picture(drawing).content.split(",")[1]).decode()
        return set(re.findall(r'id="[A-Za-z]+-([0-9a-f]+)"', svg))

    font = get_font(findfont("DejaVu Sans"))
    backslash, dollar = (f"{font.get_char_index(ord(sign)):x}" for sign in "\\$")
    assert not {backslash, dollar} & glyphs("plain") and {backslash, dollar} <= glyphs(
        "cost $5 and $\\bad{"
    )


def test_the_same_page_has_the_same_bytes(tmp_path):
    def written(name):
        drawing, (ax,) = html_report.figure()
        ax.plot([0, 1], [1, 0], label="line")
        ax.fill_between([0, 1], [0, 0], [1, 2], alpha=0.2)
        ax.legend()
        html_report.write_page(tmp_path / name, "Title", [html_report.picture(drawing, "a plot")])
        return (tmp_path / name).read_bytes()

    assert written("first.html") == written("second.html")


def test_an_interval_is_one_word_and_a_sentence_is_not(tmp_path):
    blocks = [
        html_report.table(
            [
                {
                    "value": 0.5,
                    "interval": "-0.1 to 0.2",
                    "spread": "1.5 ± 0.2",
                    "reading": "more to come",
                }
            ]
        )
    ]
    html_report.write_page(tmp_path / "page.html", "Title", blocks)
    cells = re.findall("<td[^>]*>(.*?)</td>", (tmp_path / "page.html").read_text())
    assert cells == ["0.5", "-0.1\u00a0to\u00a00.2", "1.5\u00a0±\u00a00.2", "more to come"]

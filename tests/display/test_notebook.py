"""HTML of results: pictures inline, text escaped."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentdrift.display import notebook


def test_a_picture_is_inline_and_its_caption_is_text() -> None:
    html = notebook.picture(Image.new("L", (64, 32), 200), "<b>&")
    assert "&lt;b&gt;&amp;" in html and "<b>" not in html
    data = re.search(r"base64,([^\"]+)", html)
    assert data is not None
    image = Image.open(BytesIO(base64.b64decode(data.group(1))))
    assert image.size == (2 * notebook.TILE_PX, notebook.TILE_PX)
    assert np.unique(np.asarray(image)).tolist() == [200]


def test_16_bits_keep_their_range() -> None:
    values = np.array([[0, 65535], [0, 65535]], dtype=np.uint16)
    html = notebook.picture(Image.fromarray(values), "x")
    data = re.search(r"base64,([^\"]+)", html)
    assert data is not None
    image = np.asarray(Image.open(BytesIO(base64.b64decode(data.group(1)))))
    assert image.min() == 0 and image.max() == 255


def test_a_table_has_a_row_for_each() -> None:
    html = notebook.table([{"a": 1, "b": "<"}, {"a": 2, "b": "x"}])
    assert html.count("<tr>") == 3 and "&lt;" in html
    assert notebook.table([]) == ""


def test_a_page_that_cannot_be_opened_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    page = tmp_path / "report.html"
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    notebook.show("", page)
    assert caplog.text == ""
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    notebook.show("", page)
    assert caplog.messages == [f"No viewer can be opened here; the page is {page}"]

"""One self-contained HTML page: headings, text, tables, pictures, galleries, traffic lights.

Blocks hold plain values; `page.jinja` draws them. Pictures travel inside the page as data URIs, all
text is escaped and nothing is fetched, so a page can be mailed or archived as one file.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from latentdrift.errors import unknown
from latentdrift.storage import write_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

WIDEST = (
    136  # characters of a table's row that fit the page's width, on screen at 1280 px and on A4
)
PADDING = 2  # characters of space beside a column
WORD = 28  # characters from which on words, such as hashes and names of files, are broken
SENTENCE = 14  # characters that a column of longer cells, which wrap, gets at least
BETWEEN_NUMBERS = re.compile(r"(?<=\d) (±|to) (?=-?\d)")  # no line ends there
COLOURS = ("green", "amber", "red", "grey")
Colour = Literal["green", "amber", "red", "grey"]


@dataclass(frozen=True)
class Block:
    """One piece of a page; `kind` names its branch in page.jinja."""

    kind: str
    content: Any
    caption: str = ""


def heading(text: str) -> Block:
    """A section heading."""
    return Block("heading", text)


def text(words: str) -> Block:
    """Plain text; a blank line starts a new paragraph.

    Args:
        words: The text; single line breaks are ignored.
    """
    return Block("text", [" ".join(part.split()) for part in words.split("\n\n") if part.strip()])


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, whether it holds numbers alone, and its cells."""

    name: str
    number: bool
    cells: list[str]

    @property
    def word(self) -> int:
        """Number of characters in the longest word."""
        return max(len(word) for text in (self.name, *self.cells) for word in text.split(" "))

    @property
    def broken(self) -> bool:
        """Whether the page may break words in the column."""
        return self.word > WORD

    @property
    def width(self) -> int:
        """Width in characters: that of the longest word, and more for sentences, which wrap."""
        longest = max(map(len, self.cells), default=0)
        return PADDING + max(min(self.word, WORD), min(longest, SENTENCE))


def table(
    rows: Sequence[dict[str, Any]] | pd.DataFrame, caption: str | None = None, keys: int = 1
) -> Block:
    """A table from records or a data frame; numbers to four figures and right-aligned, missing
    values as a dash.

    A table that is wider than the page is laid out as several, one below the other.

    Args:
        rows: One record for each row.
        caption: Text that describes the table.
        keys: Columns that name a row; every part of a wide table begins with them.
    """
    records = rows if isinstance(rows, Sequence) else rows.to_dict("records")
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = []
    for name in names:
        values = [record.get(name) for record in records]
        number = all(_is_number(value) or _is_missing(value) for value in values)
        columns.append(Column(str(name), number, [_cell(value) for value in values]))
    return Block("table", _parts(columns, keys), caption or "")


def _parts(columns: list[Column], keys: int) -> list[dict[str, Any]]:
    """Parts of a table that fit the page, each with the columns `keys`."""
    named = columns[:keys]
    others = columns[keys:]
    room = WIDEST - sum(column.width for column in named)
    parts: list[list[Column]] = [[]]
    for column in others:
        if parts[-1] and sum(one.width for one in (*parts[-1], column)) > room:
            parts.append([])
        parts[-1].append(column)
    rows = [[*named, *part] for part in parts]
    return [
        {"columns": part, "rows": list(zip(*(one.cells for one in part), strict=True))}
        for part in rows
    ]


def picture(source: np.ndarray | Figure, caption: str = "") -> Block:
    """Image or plot.

    Args:
        source: [H, W] or [H, W, 3], uint8, uint16 or float in [-1, 1]; or a matplotlib figure.
        caption: Text below it.
    """
    if isinstance(source, np.ndarray):
        return Block("image", _png(source), caption)
    return Block("plot", _svg(source), caption)


def gallery(items: Iterable[tuple[np.ndarray, str]]) -> Block:
    """Grid of images with captions; images over three times as wide as high are stacked.

    Args:
        items: (image, caption), images as in `picture`.
    """
    pictures = list(items)
    strips = any(array.shape[1] > 3 * array.shape[0] for array, _ in pictures)
    return Block(
        "strips" if strips else "gallery", [(_png(array), caption) for array, caption in pictures]
    )


def lights(items: Iterable[tuple[str, Colour, str]]) -> Block:
    """Traffic lights.

    Args:
        items: (title, colour, sentence with the finding).

    Raises:
        OptionError: An unknown colour.
    """
    rows = list(items)
    for _, colour, _ in rows:
        if colour not in COLOURS:
            raise unknown("colour", colour, COLOURS)
    return Block("lights", rows)


def figure(width: float = 7.0, height: float = 2.8, columns: int = 1) -> tuple[Figure, list[Any]]:
    """Make a matplotlib figure in the style of the page; no display is needed.

    Args:
        width: Width in inches.
        height: Height in inches.
        columns: Number of axes in a row.

    Returns:
        The figure, and its axes from left to right.
    """
    from matplotlib.figure import Figure

    plot = Figure(figsize=(width, height), layout="constrained")
    axes = list(plot.subplots(1, columns, squeeze=False)[0])
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    return plot, axes


def estimate(value: float | None, ends: Sequence[float] | None) -> str | None:
    """Write a value with its interval: "0.31 [0.22, 0.41]".

    Args:
        value: The value; None gives None.
        ends: Ends of the interval; None: no interval.
    """
    if value is None:
        return None
    return (
        f"{_figures(value)} [{_figures(ends[0])},\u00a0{_figures(ends[1])}]"
        if ends
        else _figures(value)
    )


def _figures(value: float) -> str:
    """Three figures, without powers of ten; what rounding leaves of 0 is 0."""
    if abs(value) < 1e-9:
        return "0"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return np.format_float_positional(float(f"{value:.3g}"), trim="-")


def write_page(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """Write a self-contained HTML page, whole or not at all.

    Args:
        path: File to write.
        title: Title of the page.
        blocks: Its blocks, from top to bottom.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("latentdrift.display", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("page.jinja").render(title=title, blocks=blocks)
    write_text(path, html)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or value == ""
        or (isinstance(value, (float, np.floating)) and math.isnan(value))
    )


def _cell(value: Any) -> str:
    if _is_missing(value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        real = float(value)
        return f"{int(real)}" if real.is_integer() and abs(real) < 1e9 else f"{real:.4g}"
    return BETWEEN_NUMBERS.sub("\u00a0\\1\u00a0", str(value))


def _png(array: np.ndarray) -> str:
    from PIL import Image

    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype != np.uint8:
        array = np.rint((np.clip(array.astype(np.float64), -1, 1) + 1) * 127.5).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _svg(drawing: Figure) -> str:
    from matplotlib import rc_context
    from matplotlib.text import Text

    buffer = io.BytesIO()
    for words in drawing.findobj(Text):
        words.set_parse_math(False)  # a dollar in a finding or a name is a dollar
    for axis in (
        axis for ax in drawing.axes for axis in (ax.xaxis, ax.yaxis) if axis.get_scale() == "log"
    ):
        for words in axis.get_ticklabels(which="both"):
            words.set_parse_math(True)  # powers of ten
    with rc_context(
        {"svg.hashsalt": "latentdrift"}
    ):  # the same figure has the same ids, and the page the same bytes
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


DASH = "–"


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Write a table as Markdown.

    Args:
        rows: Rows with equal keys, at least one.
    """
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return (
        "\n".join(lines + ["| " + " | ".join(row[name] for name in head) + " |" for row in rows])
        + "\n"
    )


def bounds(pair: Sequence[float] | None) -> str | None:
    """Write an interval in words, "1.2 to 3.4"; None gives None."""
    return f"{pair[0]:.4g} to {pair[1]:.4g}" if pair else None

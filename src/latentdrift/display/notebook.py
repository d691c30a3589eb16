"""How objects show themselves in a notebook: HTML without scripts or styles of their own."""

from __future__ import annotations

import base64
import logging
import sys
import webbrowser
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image as Pillow

log = logging.getLogger(__name__)
TILE_PX = 128
"""Height of a picture in a strip."""


def picture(image: Pillow.Image, caption: str) -> str:
    """HTML of an image with its caption, TILE_PX high.

    Args:
        image: Image of 8 or 16 bits.
        caption: Text below it.
    """
    small = image.convert("L") if image.mode.startswith(("I", "F")) else image
    if image.mode.startswith("I"):  # 16 bits
        small = image.point(lambda value: value / 257).convert("L")
    width = max(1, round(small.width * TILE_PX / small.height))
    file = BytesIO()
    small.resize((width, TILE_PX)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return (
        '<figure style="display:inline-block;margin:4px;text-align:center">'
        f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def strip(images: Iterable[tuple[Pillow.Image, str]], title: str) -> str:
    """HTML of images with captions side by side, under a line of text.

    Args:
        images: (image, caption) for each.
        title: The line of text.
    """
    figures = "".join(picture(image, caption) for image, caption in images)
    return f"<div><p>{escape(title)}</p>{figures}</div>"


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """HTML table of rows with equal keys; empty text without rows."""
    rows = list(rows)
    if not rows:
        return ""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in rows[0])
    lines = [
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row.values()) + "</tr>"
        for row in rows
    ]
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def is_notebook() -> bool:
    """Whether the code runs in a notebook that shows HTML; IPython in a terminal does not."""
    ipython = sys.modules.get("IPython")  # a notebook has it loaded
    shell = ipython and ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def show(html: str, page: Path) -> None:
    """Show HTML in a notebook; elsewhere, open a file with the system's viewer.

    Args:
        html: HTML for the notebook.
        page: Page or image for the viewer.
    """
    if is_notebook():
        from IPython.display import HTML, display

        display(HTML(html))
    elif not webbrowser.open(page.resolve().as_uri()):
        log.warning("No viewer can be opened here; the page is %s", page.resolve())

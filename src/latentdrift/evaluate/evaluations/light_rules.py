"""Colours from intervals of a share, and sentences that list parts by colour. Thresholds are ours.

Green needs the whole interval on the good side. An interval that is too wide to say anything is
grey. An interval that lies wholly on the bad side is red, however little else is known. The worst
part decides the colour of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from latentdrift.display.html_report import Colour

GREEN_FROM = 0.75
"""Share of what is seen in real images: a green interval begins above it."""
RED_BELOW = 0.5
"""Limit of the share: a red interval ends below it."""
MAX_WIDTH = 0.5
"""Limit of the interval's width: a wider one, neither green nor red, allows no conclusion."""
WORST_FIRST: tuple[Colour, ...] = ("red", "amber", "grey", "green")
"""The first colour that a part has is the colour of the whole."""


def colour_of_share(low: float, high: float) -> Colour:
    """Colour of a share by its 95 % interval.

    Args:
        low: Green from GREEN_FROM on.
        high: Red below RED_BELOW. Between, a wide interval is grey and a narrow one amber.
    """
    if low >= GREEN_FROM:
        return "green"
    if high < RED_BELOW:
        return "red"
    return "grey" if high - low > MAX_WIDTH else "amber"


def worst_colour(colours: Iterable[Colour]) -> Colour:
    """The worst of several colours; grey for none."""
    present = set(colours)
    return next((colour for colour in WORST_FIRST if colour in present), "grey")


def list_by_colour(parts: Mapping[Colour, list[str]]) -> str:
    """List the parts of all colours in one sentence, the worst colour first."""
    names = [name for colour in WORST_FIRST for name in parts.get(colour, ())]
    return f"{'; '.join(names)}." if names else "Nothing could be judged."

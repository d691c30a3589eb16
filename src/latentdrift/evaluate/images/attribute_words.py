"""Attributes and changes of attributes in words."""

from __future__ import annotations

FOLLOW_UP = {
    "ssim": "SSIM",
    "ms-ssim": "MS-SSIM",
    "psnr": "PSNR (dB)",
    "difference_ssim": "SSIM of the change with the true change",
    "effect": "share of the true change (1: all, 0: none, below 0: the wrong way)",
}
"""Measure of `truth.against_visit` -> its title."""


WAYS = {
    "up": "{} increased",
    "down": "{} decreased",
    "set": "{} set",
    "added": "{} added",
    "removed": "{} removed",
}
"""Last word of a kind of change -> the change in words."""


def attribute(name: str) -> str:
    """Title of an attribute: "sex: F" for `sex=F`, "Effusion" for `findings=Effusion`."""
    column, _, value = name.partition("=")
    return name if not value else value if column == "findings" else f"{column}: {value}"


def change(kind: str) -> str:
    """Describe a kind of change: "age increased" for `age up`, "sex changed to M" for `sex=M`."""
    name, _, way = kind.rpartition(" ")
    if name and way in WAYS:
        return WAYS[way].format(attribute(name))
    column, _, value = kind.partition("=")
    return f"{column} changed to {value}" if value else kind

"""NAMES: names that an option takes, known before any heavy import.

The tables behind these names lie with the code that they call: METHODS in
`adapt/methods/methods.py`, and so on. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from latentdrift.config.base import Options
from latentdrift.errors import unknown


@dataclass(frozen=True)
class Names:
    """Names of an option, a row of NAMES."""

    kind: str
    """Noun for the names in an error."""
    known: tuple[str, ...]
    others: bool = False
    """Whether other values, such as a path or an id, are allowed."""


METHODS = Names(
    "method",
    (
        "full",
        "lora",
        "textual-inversion",
        "custom-diffusion",
        "dreambooth",
        "dreambooth-lora",
        "controlnet",
        "instruct-pix2pix",
    ),
)
EDITORS = Names(
    "editor",
    (
        "sdedit",
        "ddim",
        "prompt-to-prompt",
        "null-text",
        "pix2pix-zero",
        "edit-friendly",
        "ledits",
        "inpaint",
        "diffedit",
        "controlnet",
        "instruct-pix2pix",
    ),
)
SAMPLERS = Names(
    "sampler",
    (
        "ddim",
        "ddim-eta1",
        "ddpm",
        "pndm",
        "dpmpp-2m",
        "dpmpp-2m-sde",
        "unipc",
        "deis",
        "euler",
        "euler-a",
        "heun",
        "lms",
        "lcm",
    ),
)

# Option of any verb -> its names. In `name=value`, the name counts.
NAMES: dict[str, Names] = {
    "method": METHODS,
    "methods": METHODS,
    "editor": EDITORS,
    "editors": EDITORS,
    "sampler": SAMPLERS,
    "inversion": Names(
        "inversion",
        ("direct", "ddim", "negative-prompt", "null-text", "regularised", "edit-friendly"),
    ),
    "rate_schedule": Names("rate schedule", ("constant", "cosine", "linear")),
    "optimizer": Names("optimizer", ("adamw", "adamw-8bit")),
    "tracker": Names("tracker", ("tensorboard", "mlflow", "wandb", "none")),
    "targets": Names(
        "row of TARGETS for `targets`", ("attention", "cross-attention", "attention-mlp", "all")
    ),
    "noise": Names("noise", ("pyramid", "offset", "input-perturbation")),
    "hint": Names("hint", ("edges", "mask", "earlier")),
    "to": Names("format", ("diffusers", "a1111", "kohya")),
    "features": Names(
        "features", ("pocket", "ssl", "squeezenet", "inception", "huggingface"), others=True
    ),
}


def check_names(options: Options) -> None:
    """Check that every name in the options is a row of its table.

    Raises:
        OptionError: A name is unknown; the message suggests the nearest known one.
    """
    for option, names in NAMES.items():
        for name in _given(getattr(options, option, None)):
            if name not in names.known and not names.others:
                raise unknown(names.kind, name, names.known)


def _given(value: object) -> Iterator[str]:
    """The names in an option's value, which may be one text, several, or nothing."""
    texts = value if isinstance(value, tuple) else () if value is None else (value,)
    yield from (str(text).partition("=")[0].strip() for text in texts)

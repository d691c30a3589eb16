"""Signatures of functions that take the options of a verb."""

from __future__ import annotations

import inspect
from pathlib import Path

from latentdrift.config.base import Options
from latentdrift.config.signature import document


class Small(Options):
    """Options of a verb."""

    cohort: Path
    """Cohort folder."""
    steps: int = 5
    """Number of steps,
    at least 1."""
    method: str = "lora"
    """Fine-tuning method."""
    out: Path = Path("o")
    """Folder."""


def test_a_function_has_the_options_as_keywords() -> None:
    def verb(cohort: Path, *, progress: bool = True, **options: object) -> None:
        """Do it."""

    document(verb, Small, "out")
    parameters = inspect.signature(verb).parameters
    assert list(parameters) == ["cohort", "progress", "steps", "method"]
    assert parameters["steps"].default == 5 and parameters["steps"].annotation is int
    assert parameters["steps"].kind is inspect.Parameter.KEYWORD_ONLY
    assert verb.__doc__ == (
        "Do it.\n\nOptions:\n    steps: Number of steps, at least 1.\n"
        "    method: Fine-tuning method. "
        "{full, lora, textual-inversion, custom-diffusion, dreambooth, dreambooth-lora, "
        "controlnet, instruct-pix2pix}"
    )

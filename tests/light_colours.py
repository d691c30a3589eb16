"""Colours of the lights of evaluations that train networks."""

from __future__ import annotations

from typing import Any

from partial_results import training_lights


def colour(answers: dict[str, Any], title: str) -> str:
    return next(found for label, found, _ in training_lights(answers) if label.startswith(title))

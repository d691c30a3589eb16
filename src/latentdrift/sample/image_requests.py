"""Images that `generate` draws: from prompts, from a cohort's table, combined or in between."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from latentdrift.config import GenerateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.model import Model
from latentdrift.prompts import departures, of_text
from latentdrift.sample.prompt_composition import between, combined
from latentdrift.sample.synthetic_cohort import Request, follow_cohort, follow_prompts, readable

log = logging.getLogger(__name__)


def image_requests(
    options: GenerateOptions, model: Model, rows_with_hints: Callable[[Cohort], Sequence[int]]
) -> list[Request]:
    """The images to draw, with prompts that the text encoder reads to their end.

    Args:
        options: The options of `generate`.
        model: The model that draws.
        rows_with_hints: Positions of a cohort's rows that have every hint of the model's
            ControlNets; called only where the hints come from the cohort.

    Raises:
        OptionError: Nothing says what to draw, or two options do, or the network does not draw from
            words alone.
    """
    if model.base.sees_source:
        raise OptionError(
            f"{options.adapter} is for editing: its network needs a source image, and "
            f"`generate` has none; run latentdrift edit {options.adapter} IMAGE --set "
            "age=85 --out FOLDER"
        )
    given = [
        f"`{name}`"
        for name in ("prompt", "like", "compose", "interpolate")
        if getattr(options, name)
    ]
    if len(given) > 1:
        raise OptionError(f"{' and '.join(given)} both say what to draw; give one of them")
    info = model.info
    if options.like:
        like = Cohort.load(options.like)
        from_hints = model.base.controls and not options.hint_image
        rows = rows_with_hints(like) if from_hints else None
        requests = follow_cohort(like, options.split, options.n, info, rows)
    elif options.compose:
        requests = combined(options.compose, options.n, info)
    elif options.interpolate:
        requests = between(options.interpolate, options.n, info)
    else:
        requests = follow_prompts(options.prompt, options.n)
    _warn_of_departures(options, model, requests)
    return readable(requests, model.base.readable)


def _warn_of_departures(
    options: GenerateOptions, model: Model, requests: Sequence[Request]
) -> None:
    """Log where the prompts depart from those of training."""
    training = model.info.training
    sentences = [sentence for text in options.prompt for sentence in of_text(text, training)]
    if options.like:
        sentences += departures([request.attributes for request in requests], training)
    for sentence in dict.fromkeys(sentences):
        log.warning(sentence)

"""Images that a study draws of a model: prompts that follow a cohort's table, the drift of the
start, and checks that the model draws from text alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from latentdrift.adapt.methods.methods import METHODS, method
from latentdrift.attributes.specification import ImageRow
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.errors import OptionError
from latentdrift.model.drift import Drift
from latentdrift.model.model import Model
from latentdrift.sample.generate import SamplingOptions, Watch, generate
from latentdrift.sample.synthetic_cohort import follow_cohort, follow_rows

LoadModel = Callable[[], Model]
"""Opens a model, once per process."""


def prompts_of_split(model: Model, cohort: Cohort, split: str, n: int) -> dict[int, str]:
    """Prompts of n images that follow the rows of a split, by index.

    Args:
        model: Model whose words the prompts use.
        cohort: The cohort.
        split: Its split; rows are repeated in turn.
        n: Number of images.
    """
    requests = follow_cohort(cohort, split, n, model.info)
    return {index: request.prompt for index, request in enumerate(requests)}


def prompts_of_rows(model: Model, rows: Sequence[ImageRow]) -> dict[int, str]:
    """Prompts of images, one for each row of a cohort's table, by index.

    Args:
        model: Model whose words the prompts use.
        rows: Rows by column name.
    """
    requests = follow_rows(rows, model.info)
    return {index: request.prompt for index, request in enumerate(requests)}


def draw_images(
    model: Model,
    drift: Drift,
    prompts: Mapping[int, str],
    sampling: SamplingOptions,
    watch: Watch | None = None,
) -> Iterator[np.ndarray]:
    """Sample images [R, R, 3] in [0, 1] in the order of their index, grey where the cohort is.

    Args:
        model: The model.
        drift: Drift of the start and of the network, in place of the model's own.
        prompts: Index -> prompt.
        sampling: Options of sampling.
        watch: Called after each step.
    """
    sampled = generate(model.base, drift, prompts, sampling, model.statistics, watch=watch)
    for _, image in sampled:
        unit = (image + 1) / 2
        yield unit if model.info.colour else np.repeat(unit.mean(-1, keepdims=True), 3, -1)


def check_method(name: str) -> None:
    """Check that a method's network reads only noise and text, as studies of drift need.

    Args:
        name: Row of METHODS.

    Raises:
        OptionError: There is no such method, or its network reads further images.
    """
    if method(name).image_input:
        able = ", ".join(other for other, row in METHODS.items() if not row.image_input)
        raise OptionError(
            f"studies of drift sample from text alone, and a network of method '{name}' "
            f"needs further inputs; take {able}"
        )


def check_editing(name: str, editor: str) -> None:
    """Check that a method's network fits an editor.

    Args:
        name: Row of METHODS.
        editor: Row of EDITORS.

    Raises:
        OptionError: There is no such method, or it does not fit.
    """
    image_input = "source" if EDITORS[editor].takes_instruction else None
    if method(name).image_input != image_input:
        able = ", ".join(other for other, row in METHODS.items() if row.image_input == image_input)
        raise OptionError(
            f"editor '{editor}' does not fit the network of method '{name}'; take {able}"
        )


def check_text_alone(model: Model, advice: str = "") -> None:
    """Check that a model draws from text alone.

    Args:
        model: The model.
        advice: Remedy, as the end of the message.

    Raises:
        OptionError: Its network reads further images.
    """
    if model.base.sees_source or model.base.controls:
        raise OptionError(
            "studies of drift sample from text alone, and this network needs "
            f"{model.base.shows}, too{advice}"
        )


def with_start(drift: Drift, delta: float, channels: int) -> Drift:
    """Replace the start by one of mean delta in every channel and class; the trained drift stays.

    Args:
        drift: Drift of the model.
        delta: Mean in standard deviations of unit noise.
        channels: Number of latent channels.
    """
    values = (delta,) * channels
    return replace(
        drift,
        infer=values,
        start="shift",
        groups=tuple(replace(group, infer=values) for group in drift.groups),
    )

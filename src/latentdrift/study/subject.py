"""The model that is asked: a base or an adapter, how it is prompted about a cohort, and the
pictures that it draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from latentdrift.adapt.methods.methods import METHODS, method
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.sample.generate import SamplingOptions, Watch, generate
from latentdrift.sample.synthetic_cohort import follow_cohort, follow_rows


@dataclass(frozen=True)
class Subject:
    """A base with an adapter in it, or alone."""

    base: Base
    drift: Drift
    info: Mapping[str, Any]
    """adapter.json; of a base alone what there is to say of it."""
    statistics: Statistics | None = None

    @classmethod
    def alone(cls, base: Base, resolution: int | None = None) -> Subject:
        """A base as it is, and what there is to say of it."""
        return cls(
            base,
            Drift(),
            {
                "method": None,
                "base": {"name": base.name, "hash": base.hash},
                "resolution": resolution or base.resolution,
                "colour": True,
                "describe": "image",
                "pictures": "image",
                "attributes": {},
                "prompt": {"style": "simple", "patient_info": True},
                "drift": {"source": "none"},
            },
        )

    def about(self, cohort: Cohort) -> Subject:
        """The same; a base alone is prompted in the cohort's words and draws grey pictures of a
        grey cohort."""
        if self.info["method"] is not None:
            return self
        first = cohort.stored(cohort.rows().iloc[0].to_dict())
        words = {
            "describe": cohort.describe,
            "attributes": cohort.attributes,
            "colour": first.ndim == 3,
        }
        return replace(self, info={**self.info, **words})

    def prompts(self, cohort: Cohort, split: str, n: int) -> dict[int, str]:
        """Index -> prompt of n images that follow a split's table."""
        return {
            i: wanted.prompt for i, wanted in enumerate(follow_cohort(cohort, split, n, self.info))
        }

    def prompts_of(self, rows: Sequence[Mapping[str, Any]]) -> dict[int, str]:
        """Index -> prompt of images that follow rows of a cohort's table."""
        return {i: wanted.prompt for i, wanted in enumerate(follow_rows(rows, self.info))}

    def pictures(
        self,
        drift: Drift,
        prompts: Mapping[int, str],
        sampling: SamplingOptions,
        watch: Watch | None = None,
    ) -> Iterator[np.ndarray]:
        """Sample images [R, R, 3] in [0, 1] in the order of their index, grey where the cohort is.

        Args:
            drift: Drift of the start and of the network.
            prompts: Index -> prompt.
            sampling: Options of sampling.
            watch: Called after each step.
        """
        sampled = generate(self.base, drift, prompts, sampling, self.statistics, watch=watch)
        for _, picture in sampled:
            unit = (picture + 1) / 2
            yield unit if self.info["colour"] else np.repeat(unit.mean(-1, keepdims=True), 3, -1)


Load = Callable[[], Subject]
"""Opens a model, once per process."""


def check_method(name: str) -> None:
    """See that what a method makes draws from text alone, as studies do.

    Raises:
        OptionError: There is no such method, or its network is shown more.
    """
    if method(name).shown:
        able = ", ".join(other for other, row in METHODS.items() if not row.shown)
        raise OptionError(
            f"studies of drift draw from text alone, and a network of method '{name}' is shown "
            f"more; take {able}"
        )


def check_editing(name: str, editor: str) -> None:
    """See that what a method makes can be edited by an editor.

    Raises:
        OptionError: There is no such method, or its network is shown another thing.
    """
    shown = "source" if EDITORS[editor].instructed else None
    if method(name).shown != shown:
        able = ", ".join(other for other, row in METHODS.items() if row.shown == shown)
        raise OptionError(
            f"editor '{editor}' is not for the network of method '{name}'; take {able}"
        )


def check_words(subject: Subject, instead: str = "") -> None:
    """See that a model draws from text alone.

    Args:
        subject: The model.
        instead: What else could be done, as the end of the sentence.

    Raises:
        OptionError: It is shown more.
    """
    if subject.base.sees_source or subject.base.controls:
        raise OptionError(
            "studies of drift draw from text alone, and this network is shown "
            f"{subject.base.shows} beside it{instead}"
        )


def starting(drift: Drift, delta: float, channels: int) -> Drift:
    """The drift with a start of mean delta in every channel and class; what was trained in
    stays."""
    values = (delta,) * channels
    return replace(
        drift,
        infer=values,
        start="shift",
        groups=tuple(replace(group, infer=values) for group in drift.groups),
    )

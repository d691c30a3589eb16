"""VariantResult: what one seed of a variant measured, as its file in `results/` holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from latentdrift.model.drift import Drift


class RunMetric(BaseModel):
    """Metric of one run with its interval; what else a metric knows is kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    value: int | float | None
    ci: Sequence[float] | None
    """95 % interval: low and high; None where it is not known."""
    floor: int | float | None = None
    """Value between two halves of the real patients."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values, in the order in which they were given."""
        return self.model_dump(exclude_unset=True)


MetricValue = RunMetric | float | list[float] | None
"""A metric with its interval, a number, one number per latent channel, or None: not known."""

Metrics = dict[str, MetricValue]
"""Metrics by name. Names of metrics of the real images begin with `real_`."""


@dataclass(frozen=True)
class VariantResult:
    """Metrics of the images of one variant under one seed."""

    method: str | None
    """None: nothing is fitted."""
    variant: str
    seed: int
    n: int
    """Number of synthetic images."""
    metrics: Mapping[str, MetricValue]
    drift: Drift | None = None
    """Drift of sampling or editing; None of real images and of baselines."""
    prompt: str | None = None
    """Prompt of the first image; None of edits."""

    @property
    def name(self) -> str:
        """Name of its files."""
        return name_of(self.method, self.variant, self.seed)

    def to_dict(self) -> dict[str, Any]:
        """JSON values for its file, in the order of the first version that wrote them."""
        run = {"method": self.method, "variant": self.variant, "seed": self.seed, "n": self.n}
        metrics = {
            name: metric.to_dict() if isinstance(metric, RunMetric) else metric
            for name, metric in self.metrics.items()
        }
        drift = {} if self.drift is None else {"drift": self.drift.to_dict()}
        if self.prompt is None:
            return {**run, **drift, "metrics": metrics}
        return {**run, "metrics": metrics, **drift, "prompt": self.prompt}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> VariantResult:
        """Build a result from the JSON values of its file."""
        drift = stored.get("drift")
        return cls(
            method=stored["method"],
            variant=stored["variant"],
            seed=stored["seed"],
            n=stored["n"],
            metrics={
                name: RunMetric.model_validate(metric) if isinstance(metric, Mapping) else metric
                for name, metric in stored["metrics"].items()
            },
            drift=None if drift is None else Drift.from_dict(drift),
            prompt=stored.get("prompt"),
        )


def name_of(method: str | None, variant: str, seed: int) -> str:
    """Name of the files of a variant's result."""
    name = f"{method}-{variant}" if method else variant
    return f"{name}-s{seed}"

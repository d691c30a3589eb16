"""Results of a bench -> the rows of its table: means over seeds with their intervals, and the
paper's numbers beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from latentdrift.display.html_report import DASH
from latentdrift.study.benchmarks.benchmark_spec import Table
from latentdrift.study.benchmarks.variant_result import MetricValue, RunMetric, VariantResult

AUC = {"auc": "AUC"}


@dataclass(frozen=True)
class SeedMean:
    """Mean of a metric over seeds."""

    mean: float
    half: float | None
    """Half-width of the 95 % interval (Student's t); None for one seed."""
    values: Sequence[float]
    """Value of each seed."""
    ci: Sequence[Sequence[float] | None] | None = None
    """95 % interval of each seed; None of a metric without intervals."""

    def to_dict(self) -> dict[str, Any]:
        """Content for bench.json."""
        intervals = {} if self.ci is None else {"ci": self.ci}
        return {"mean": self.mean, "half": self.half, "values": self.values, **intervals}


@dataclass(frozen=True)
class VariantSummary:
    """Row of a bench's table: a method and a variant, over seeds."""

    method: str | None
    variant: str
    seeds: Sequence[int]
    metrics: Mapping[str, SeedMean | None]
    latent_dc: list[float] | None = None
    """Mean of the latents per channel; None where it was not measured."""

    def to_dict(self) -> dict[str, Any]:
        """Content for bench.json."""
        metrics = {
            name: None if metric is None else metric.to_dict()
            for name, metric in self.metrics.items()
        }
        row = {"method": self.method, "variant": self.variant, "seeds": self.seeds}
        latent_dc = {} if self.latent_dc is None else {"latent_dc": self.latent_dc}
        return {**row, "metrics": metrics, **latent_dc}


@dataclass(frozen=True)
class RealSummary:
    """The real images that variants are compared with."""

    spread: float | None = None
    """Standard deviation over images of an image's mean grey level, 0 to 255."""
    background: float | None = None
    """Mean grey level of the background, 0 to 255; None without a background."""
    latent_dc: list[float] | None = None
    """Mean of the latents per channel."""
    floors: Mapping[str, float | None] | None = None
    """Distance between two halves of the real images, by name."""

    def to_dict(self) -> dict[str, Any]:
        """Content for bench.json."""
        return {
            "spread": self.spread,
            "background": self.background,
            "latent_dc": self.latent_dc,
            "floors": self.floors or {},
        }


def summarise(results: Iterable[VariantResult]) -> list[VariantSummary]:
    """Average the results over seeds: a row for each method and variant.

    Args:
        results: Results of all cells, one for each method, variant and seed.
    """
    grouped: dict[tuple[str | None, str], list[VariantResult]] = {}
    for result in results:
        grouped.setdefault((result.method, result.variant), []).append(result)
    return [_summary(method, variant, of_row) for (method, variant), of_row in grouped.items()]


def _summary(method: str | None, variant: str, results: Sequence[VariantResult]) -> VariantSummary:
    first = results[0].metrics
    names = [name for name in first if not name.startswith("real_") and name != "latent_dc"]
    per_seed = [result.metrics.get("latent_dc") for result in results]
    latents = [latent for latent in per_seed if isinstance(latent, list)]
    return VariantSummary(
        method,
        variant,
        seeds=sorted(result.seed for result in results),
        metrics={name: _metric([result.metrics[name] for result in results]) for name in names},
        latent_dc=np.mean(latents, axis=0).tolist() if latents else None,
    )


def _metric(values: Sequence[MetricValue]) -> SeedMean | None:
    """Mean of a metric over seeds, with each seed's own interval where it has them."""
    over = over_seeds([scalar(value) for value in values])
    if over is None or not isinstance(values[0], RunMetric):
        return over
    return replace(over, ci=[_interval(value) for value in values])


def _interval(metric: MetricValue) -> Sequence[float] | None:
    return metric.ci if isinstance(metric, RunMetric) else None


def real(results: Iterable[VariantResult]) -> RealSummary:
    """Summary of the real images: spread, background, latents, and distances between two halves.

    Args:
        results: Results of all cells.
    """
    metrics = next((result.metrics for result in results if "real_spread" in result.metrics), None)
    if metrics is None:
        return RealSummary()
    latent_dc = metrics.get("real_latent_dc")
    return RealSummary(
        spread=scalar(metrics.get("real_spread")),
        background=scalar(metrics.get("real_background")),
        latent_dc=latent_dc if isinstance(latent_dc, list) else None,
        floors={
            name: metric.floor
            for name, metric in metrics.items()
            if isinstance(metric, RunMetric) and "floor" in metric.model_fields_set
        },
    )


def scalar(metric: MetricValue) -> float | None:
    """Value of a metric; None where it is not known.

    Raises:
        TypeError: It has a number per latent channel.
    """
    if isinstance(metric, list):
        raise TypeError("a metric per latent channel is no single number")
    return metric.value if isinstance(metric, RunMetric) else metric


def over_seeds(values: Sequence[float | None]) -> SeedMean | None:
    """Average a metric over seeds.

    Args:
        values: One for each seed; None is skipped.

    Returns:
        The mean; None without any value.
    """
    from scipy import stats

    known = [value for value in values if value is not None]
    if not known:
        return None
    half = None
    if len(known) > 1:
        half = float(stats.t.ppf(0.975, len(known) - 1) * np.std(known, ddof=1) / len(known) ** 0.5)
    return SeedMean(float(np.mean(known)), half, known)


def cell(metric: SeedMean | None) -> str:
    """Table cell of a metric: `2.03 ± 0.41` over seeds, `2.03 [1.7, 2.5]` for one seed, a dash for
    None."""
    if metric is None:
        return DASH
    if metric.half is not None:
        return f"{metric.mean:.3g} ± {metric.half:.2g}"
    return run(metric.mean, next(iter(metric.ci or ()), None))


def run(value: float, ci: Sequence[float] | None) -> str:
    """Table cell of one run: its value and, if known, its 95 % interval."""
    return f"{value:.3g}" + (f" [{ci[0]:.3g}, {ci[1]:.3g}]" if ci else "")


def people(rows: Sequence[VariantSummary], table: Table) -> list[dict[str, str]]:
    """Table for readers: titles and formatted cells, with the paper's numbers.

    Args:
        rows: From `summarise`.
        table: Table of the bench.
    """
    titles = _titles([row.metrics for row in rows], table)
    return [
        {"method": row.method or DASH, "variant": row.variant}
        | {title: cell(row.metrics.get(name)) for name, title in titles.items()}
        | paper(table, row.method, row.variant)
        for row in rows
    ]


def runs(results: Sequence[VariantResult], table: Table) -> list[dict[str, str | int]]:
    """Table of every run with its own intervals.

    Args:
        results: Results of all cells.
        table: Table of the bench.
    """
    every = [result.metrics for result in results]
    titles = {
        name: title
        for name, title in _titles(every, table).items()
        if any(isinstance(one.get(name), RunMetric) for one in every)
    }
    return [
        {
            "method": result.method or DASH,
            "variant": result.variant,
            "seed": result.seed,
            **{title: _cell_of_run(result.metrics.get(name)) for name, title in titles.items()},
        }
        for result in results
    ]


def _cell_of_run(metric: MetricValue) -> str:
    value = scalar(metric)
    return DASH if value is None else run(value, _interval(metric))


def paper(table: Table, method: str | None, variant: str) -> dict[str, str]:
    """Numbers of the paper for a row: "paper: title" -> number, or a dash where it has none.

    Args:
        table: Table of the bench.
        method: Method of the row; None: without a fit.
        variant: Variant of the row.
    """
    numbers = (
        table.paper.get((method, variant))
        or table.paper.get((None, variant))
        or (None,) * len(table.paper_columns)
    )
    return {
        f"paper: {title}": DASH if number is None else f"{number:g}"
        for title, number in zip(table.paper_columns, numbers, strict=True)
    }


def _titles(metrics: Sequence[Mapping[str, object]], table: Table) -> dict[str, str]:
    """Titles of a table's columns, distances and AUC, as far as they exist."""
    names = dict.fromkeys(name for one in metrics for name in one)
    distances = {
        name: name.replace("_", ", ") for name in names if name.startswith(("frechet_", "kid_"))
    }
    titles = {name: title for name, title in table.metric_titles.items() if name in names}
    return titles | distances | {name: title for name, title in AUC.items() if name in names}

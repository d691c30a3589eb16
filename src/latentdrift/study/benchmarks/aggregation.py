"""Results of a bench -> the rows of its table: means over seeds with their intervals, and the
paper's numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift.display.html_report import DASH
from latentdrift.study.benchmarks.benchmark_spec import Table

AUC = {"auc": "AUC"}


def summarise(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Average the results over seeds: a row for each method and variant.

    Args:
        results: Results of all cells, one for each method, variant and seed.

    Returns:
        Rows with method, variant and metrics; every metric is as in `over_seeds`.
    """
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        grouped.setdefault((result["method"], result["variant"]), []).append(result)
    rows = []
    for (method, variant), runs_of_row in grouped.items():
        names = [
            name
            for name in runs_of_row[0]["metrics"]
            if not name.startswith("real_") and name != "latent_dc"
        ]
        metrics = {
            name: over_seeds([scalar(one["metrics"][name]) for one in runs_of_row])
            for name in names
        }
        for name, metric in metrics.items():
            if metric and isinstance(runs_of_row[0]["metrics"][name], Mapping):
                metric["ci"] = [one["metrics"][name]["ci"] for one in runs_of_row]
        row = {
            "method": method,
            "variant": variant,
            "seeds": sorted(one["seed"] for one in runs_of_row),
            "metrics": metrics,
        }
        if "latent_dc" in runs_of_row[0]["metrics"]:
            row["latent_dc"] = np.mean(
                [one["metrics"]["latent_dc"] for one in runs_of_row], axis=0
            ).tolist()
        rows.append(row)
    return rows


def real(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summary of the real images: spread, background, latents, and distances between two halves.

    Args:
        results: Results of all cells.
    """
    judged: Mapping[str, Any] = next(
        (result["metrics"] for result in results if "real_spread" in result["metrics"]), {}
    )
    floors = {
        name: metric["floor"]
        for name, metric in judged.items()
        if isinstance(metric, Mapping) and "floor" in metric
    }
    return {
        **{name: judged.get(f"real_{name}") for name in ("spread", "background")},
        "latent_dc": judged.get("real_latent_dc"),
        "floors": floors,
    }


def scalar(metric: Any) -> float | None:
    """Value of a metric that is a number, or a mapping with `value`; None if unknown."""
    result: float | None = metric["value"] if isinstance(metric, Mapping) else metric
    return result


def over_seeds(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Average a metric over seeds.

    Args:
        values: One for each seed; None is skipped.

    Returns:
        mean; half, the half-width of the 95 % interval (Student's t), None for one seed; the
        values. None without any value.
    """
    from scipy import stats

    known = [value for value in values if value is not None]
    if not known:
        return None
    half = None
    if len(known) > 1:
        half = float(stats.t.ppf(0.975, len(known) - 1) * np.std(known, ddof=1) / len(known) ** 0.5)
    return {"mean": float(np.mean(known)), "half": half, "values": known}


def cell(metric: Mapping[str, Any] | None) -> str:
    """Table cell of a metric: `2.03 ± 0.41` over seeds, `2.03 [1.7, 2.5]` for one seed, a dash for
    None."""
    if metric is None:
        return DASH
    if metric["half"] is not None:
        return f"{metric['mean']:.3g} ± {metric['half']:.2g}"
    return run(metric["mean"], next(iter(metric.get("ci", [])), None))


def run(value: float, ci: Sequence[float] | None) -> str:
    """Table cell of one run: its value and, if known, its 95 % interval."""
    return f"{value:.3g}" + (f" [{ci[0]:.3g}, {ci[1]:.3g}]" if ci else "")


def people(rows: Sequence[Mapping[str, Any]], table: Table) -> list[dict[str, str]]:
    """Table for readers: titles and formatted cells, with the paper's numbers.

    Args:
        rows: From `summarise`.
        table: Table of the bench.
    """
    titles = _titles([row["metrics"] for row in rows], table)
    return [
        {"method": row["method"] or DASH, "variant": row["variant"]}
        | {title: cell(row["metrics"].get(name)) for name, title in titles.items()}
        | paper(table, row["method"], row["variant"])
        for row in rows
    ]


def runs(results: Sequence[Mapping[str, Any]], table: Table) -> list[dict[str, Any]]:
    """Table of every run with its own intervals.

    Args:
        results: Results of all cells.
        table: Table of the bench.
    """
    every = [result["metrics"] for result in results]
    titles = {
        name: title
        for name, title in _titles(every, table).items()
        if any(isinstance(one.get(name), Mapping) for one in every)
    }
    return [
        {"method": result["method"] or DASH, "variant": result["variant"], "seed": result["seed"]}
        | {
            title: run(metric["value"], metric["ci"])
            if (metric := result["metrics"].get(name))
            else DASH
            for name, title in titles.items()
        }
        for result in results
    ]


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


def _titles(metrics: Sequence[Mapping[str, Any]], table: Table) -> dict[str, str]:
    """Titles of a table's columns, distances and AUC, as far as they exist."""
    names = dict.fromkeys(name for one in metrics for name in one)
    distances = {
        name: name.replace("_", ", ") for name in names if name.startswith(("frechet_", "kid_"))
    }
    titles = {name: title for name, title in table.metric_titles.items() if name in names}
    return titles | distances | {name: title for name, title in AUC.items() if name in names}

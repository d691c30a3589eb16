"""What `bench drift` found: bench.json, a page with pictures, and the table as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift import page
from latentdrift.data.write import SYNTHETIC
from latentdrift.study.bench import Bench, Cell
from latentdrift.study.results import write_json
from latentdrift.study.search import load_fit
from latentdrift.study.sensitivity import FEW, answers, figure
from latentdrift.study.variants import VARIANTS

LEVELS = {
    "background": "background, 0-255",
    "mean_error": "mean error, 0-255",
    "spread": "spread of brightness",
    "latent_dc_error": "error of latent DC",
}


def summarise(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per method and variant: every metric as mean over seeds and its 95 % interval (Student's t)."""
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        grouped.setdefault((result["method"], result["variant"]), []).append(result)
    rows = []
    for (method, variant), found in grouped.items():
        names = [name for name in found[0]["metrics"] if not name.startswith("real_") and name != "latent_dc"]
        metrics = {name: over_seeds([scalar(one["metrics"][name]) for one in found]) for name in names}
        seeds = sorted(one["seed"] for one in found)
        channels = np.mean([one["metrics"]["latent_dc"] for one in found], axis=0).tolist()
        rows.append({"method": method, "variant": variant, "seeds": seeds, "metrics": metrics, "latent_dc": channels})
    return rows


def scalar(metric: Any) -> float | None:
    """A metric's value."""
    return metric["value"] if isinstance(metric, Mapping) else metric


def over_seeds(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Mean, half-width of the 95 % interval of the mean (None for one seed), and the values; None where there are none."""
    from scipy import stats

    known = [value for value in values if value is not None]
    if not known:
        return None
    half = None
    if len(known) > 1:
        half = float(stats.t.ppf(0.975, len(known) - 1) * np.std(known, ddof=1) / len(known) ** 0.5)
    return {"mean": float(np.mean(known)), "half": half, "values": known}


def cell(metric: Mapping[str, Any] | None) -> str:
    """`2.03 ± 0.41`."""
    if metric is None:
        return "–"
    return f"{metric['mean']:.3g}" + (f" ± {metric['half']:.2g}" if metric["half"] is not None else "")


def table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """For people."""
    distances = [name for name in rows[0]["metrics"] if name.startswith(("frechet_", "kid_"))]
    return [
        {"method": row["method"], "variant": row["variant"]}
        | {title: cell(row["metrics"].get(name)) for name, title in LEVELS.items()}
        | {name.replace("_", ", "): cell(row["metrics"][name]) for name in distances}
        for row in rows
    ]


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """The table for a document."""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row[name] for name in head) + " |" for row in rows]) + "\n"


def write_bench(out: Path, asked: Bench, results: Sequence[Mapping[str, Any]], sensitivity: Any) -> Path:
    """bench.json, bench.md, sensitivity.png and bench.html."""
    rows, first = summarise(results), results[0]["metrics"]
    floors = {name: metric["floor"] for name, metric in first.items() if isinstance(metric, Mapping)}
    real = {"spread": first["real_spread"], "latent_dc": first["real_latent_dc"], "floors": floors}
    settings = json.loads(asked.options.model_dump_json())
    told = {"rows": rows, "real": real, "settings": settings, "cohort": asked.cohort.fingerprint}
    write_json(out / "bench.json", told)
    people = table(rows)
    (out / "bench.md").write_text(markdown(people), encoding="utf-8")
    options = asked.options
    halves = ", ".join(f"{name.replace('_', ', ')} {value:.3g}" for name, value in floors.items() if value is not None)
    words = (
        f"{options.seeds} seeds, {options.fit_steps} steps of {options.fit_batch_size} images per fit, {options.n} synthetic "
        f"pictures per variant and seed against {len(asked.cohort.rows('test'))} test images of patients that no fit saw. "
        "Values are means over seeds with the 95 % interval of that mean; spread is the sd of a picture's mean grey level "
        f"({first['real_spread']:.3g} in the real ones), the error of latent DC the mean over channels. "
        f"Real against real, in halves: {halves}."
    )
    blocks = [page.text(words), page.table(people)]
    if sensitivity is not None:
        sensitivity.savefig(out / "sensitivity.png", dpi=110, metadata={"Synthetic": SYNTHETIC})
        blocks += [
            page.heading("Answer to the drift of the start"),
            page.picture(sensitivity, "After Yeganeh et al. 2025, fig. 3."),
        ]
    blocks += [page.heading("Synthetic pictures of the first seed"), page.gallery(list(_strips(asked)))]
    page.write_page(out / "bench.html", "Drift and its rivals", blocks)
    return out / "bench.html"


def sensitivity(asked: Bench) -> Any:
    """The figure for the first method's plain and drifted fits of the first seed; None where neither was made."""
    options, found = asked.options, {}
    for kind, title in (("plain", "trained without drift"), ("drift", f"trained with drift {options.delta}")):
        fitting = asked.fitting(Cell(options.methods[0], kind, options.seed, ()))
        if not (fitting.out / "adapter").is_dir():
            continue
        subject = load_fit(fitting)
        how: Any = {name: getattr(options, name) for name in ("steps", "guidance", "sampler", "batch_size", "seed")}
        how["resolution"] = subject.info["resolution"]
        found[f"{options.methods[0]}, {title}"] = answers(subject, subject.prompts(asked.cohort, "test", FEW), how)
    return figure(found, options.sampler) if found else None


def _strips(asked: Bench) -> Any:
    from PIL import Image

    for name in asked.options.methods:
        for variant in asked.options.variants:
            path = asked.path(Cell(name, VARIANTS[variant].fit, asked.options.seed, ()), variant, "png")
            if path.is_file():
                with Image.open(path) as picture:
                    yield np.asarray(picture), f"synthetic; {name}, {variant}: {VARIANTS[variant].summary}"

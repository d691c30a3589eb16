"""Output of `drift estimate` and `drift search`, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.display import html_report
from latentdrift.storage import write_json
from latentdrift.study.drift.estimate import ChannelDrift, Estimate, MeasuredCopySlope
from latentdrift.study.drift.image_statistics import DECIDES, DISTANCES
from latentdrift.study.drift.search import SearchResult, Stage

LINE = "#d1603d"
FLOOR = "#4878a8"
CHOSEN = "#555555"
HEADINGS = {
    "infer": "The unchanged model, with drift at the start of sampling",
    "train": "One fit per delta, with the same drift in training and sampling",
    "fine": "The best fit, with starts around its own drift",
}
CURVES = (
    "Distance from the real images for each delta. The bands are 95 % intervals, which resample "
    "patients and synthetic images. Blue: distance between two halves of the real patients. Open "
    "circles: distance for as many synthetic images as one half has; compare these with blue. "
    "Dotted: the chosen delta. By the first plot, it is the delta nearest to {anchor} whose "
    "interval overlaps that of the lowest distance."
)


def write_search(out: Path, result: SearchResult) -> None:
    """Write search.json and search.html.

    The page shows the chosen delta, warnings, every curve, and an image for each delta.

    Args:
        out: Folder that exists.
        result: Result of `search`.
    """
    size = result.question.latent_size
    blocks = [
        html_report.lights(_lights(result.stages)),
        html_report.text(_summary(result)),
    ]
    for stage in result.stages:
        anchor = f"the trained one, {result.chosen:g}" if stage.name == "fine" else "0"
        captions = [
            (picture, f"synthetic, delta {delta:+g} ({delta * size:+.2g} sd)")
            for delta, picture in stage.strip
        ]
        blocks += [
            html_report.heading(HEADINGS[stage.name]),
            html_report.picture(_curves(stage, size), CURVES.format(anchor=anchor)),
            html_report.gallery(captions),
            html_report.table(
                _rows(stage),
                ("The same values as a table. The interval belongs to the distance that decides."),
            ),
        ]
    write_json(out / "search.json", result.to_dict())
    html_report.write_page(out / "search.html", "Drift: search", blocks)


def _summary(result: SearchResult) -> str:
    target = result.question.target.summary
    fallback = (
        ""
        if target.split == "validation"
        else " (there is no validation split, and the test split is never used)"
    )
    return (
        f"Chosen drift: {result.chosen:g} in every latent channel "
        f"({result.sd[0]:+.3g} standard deviations of a noise channel's mean), in mode "
        f"'{result.mode}'. The choice is by {DISTANCES[DECIDES].title}. For each "
        f"delta, {result.question.options.n} synthetic images with the same seeds and prompts are "
        f"compared with {target.images} real images of the {target.split} split{fallback}."
    )


def _lights(stages: Sequence[Stage]) -> list[tuple[str, html_report.Colour, str]]:
    flagged = [
        (f"{stage.name}: {flag.name}", flag.sentence) for stage in stages for flag in stage.flags
    ]
    lights: list[tuple[str, html_report.Colour, str]] = [
        (name, "red" if name.endswith("degenerate") else "amber", f"{says[0].upper()}{says[1:]}.")
        for name, says in flagged
    ]
    return lights or [
        (
            "Curve",
            "green",
            "The lowest distance lies inside the grid, and the curve has one minimum.",
        )
    ]


def _curves(stage: Stage, latent_size: int) -> Any:
    """One plot per distance."""
    drawing, axes = html_report.figure(
        width=3.4 * len(DISTANCES), height=2.8, columns=len(DISTANCES)
    )
    deltas = [point.delta for point in stage.points]
    for ax, (name, row) in zip(axes, DISTANCES.items(), strict=True):
        metrics = [point.distances[name] for point in stage.points]
        intervals = [metric.ci for metric in metrics if metric.ci]
        ax.plot(deltas, [metric.value for metric in metrics], "o-", color=LINE, markersize=4)
        if len(intervals) == len(metrics):
            low, high = np.transpose(intervals)
            ax.fill_between(deltas, low, high, color=LINE, alpha=0.2, linewidth=0)
        if metrics[0].floor is not None:
            ax.axhline(metrics[0].floor, color=FLOOR, linewidth=1)
            ax.plot(
                deltas,
                [metric.matched for metric in metrics],
                "o",
                color=LINE,
                markersize=5,
                fillstyle="none",
            )
        ax.axvline(stage.chosen, color=CHOSEN, linestyle=":", linewidth=1)
        ax.set_title(row.title, fontsize=9)
        ax.set_xlabel(f"delta ({1 / latent_size:g} is one sd of a channel's mean)", fontsize=8)
    return drawing


def _rows(stage: Stage) -> list[dict[str, str | float | None]]:
    rows = []
    for point in stage.points:
        ends = point.distances[DECIDES].ci
        row: dict[str, str | float | None] = {
            "delta": point.delta,
            "chosen": "yes" if point.delta == stage.chosen else "",
        }
        row |= {DISTANCES[name].title: metric.value for name, metric in point.distances.items()}
        row["95 % interval"] = f"{ends[0]:.4g} to {ends[1]:.4g}" if ends else None
        rows.append(row)
    return rows


def write_estimate(out: Path, result: Estimate) -> None:
    """Write estimate.json and estimate.html.

    The page shows the closed form per channel, the copy slope, and the calibrated start.

    Args:
        out: Folder that exists.
        result: Result of `estimate`.
    """
    blocks = _closed_form_blocks(result)
    if result.copy_slope:
        blocks += _copy_slope_blocks(result.copy_slope)
    if result.source == "calibrated":
        blocks += _calibration_blocks(result.drift)
    write_json(out / "estimate.json", result.to_dict())
    html_report.write_page(out / "estimate.html", "Drift: estimate", blocks)


def _closed_form_blocks(result: Estimate) -> list[html_report.Block]:
    """Explanation and table of the closed form, one row per latent channel."""
    explanation = (
        "In training, noisy latents have the mean a m at the first timestep; sampling "
        f"starts from noise of mean 0. Here a = {result.a_t0:.4f} at t = "
        f"{result.t0:g}, and m is the mean latent of {result.images} training "
        "images. The missing mean is delta = a m, one number per latent channel, for a "
        "network that was trained without drift. The 95 % intervals resample patients."
    )
    closed_form = result.closed_form
    channels = zip(
        result.latent_mean, closed_form.delta, closed_form.interval, closed_form.sd, strict=True
    )
    rows = [
        {
            "channel": channel,
            "mean latent m": mean,
            "delta": delta,
            "interval": f"{low:.4g} to {high:.4g}",
            "delta in sd": sd,
        }
        for channel, (mean, delta, (low, high), sd) in enumerate(channels)
    ]
    caption = (
        "delta is in standard deviations of unit noise. The last column is in standard "
        f"deviations of a noise channel's mean, 1/{result.latent_size}."
    )
    return [html_report.text(explanation), html_report.table(rows, caption)]


def _copy_slope_blocks(measured: MeasuredCopySlope) -> list[html_report.Block]:
    """Plot and table of the copy slope, one row per latent channel."""
    slope = measured.slope
    channels = zip(slope.slope, slope.interval, slope.r2, strict=True)
    rows = [
        {
            "channel": channel,
            "slope": value,
            "interval": f"{low:.4g} to {high:.4g}",
            "R²": r2,
            "full copy": slope.full,
        }
        for channel, (value, (low, high), r2) in enumerate(channels)
    ]
    caption = (
        f"{slope.sentence} The plot shows the channel means of {slope.n} sampled "
        "latents against those of their starts. The blue line is a full copy."
    )
    return [
        html_report.heading("Does drift matter?"),
        html_report.picture(_slopes(measured), caption),
        html_report.table(rows),
    ]


def _calibration_blocks(drift: ChannelDrift) -> list[html_report.Block]:
    """Explanation and table of the calibrated start, one row per latent channel."""
    channels = zip(drift.delta, drift.interval, drift.sd, strict=True)
    rows = [
        {
            "channel": channel,
            "delta": delta,
            "interval": f"{low:.4g} to {high:.4g}",
            "delta in sd": sd,
        }
        for channel, (delta, (low, high), sd) in enumerate(channels)
    ]
    explanation = (
        "With this start, the line above reaches the mean of the training images. Where "
        "the adapter has not fully learned the cohort, this delta differs from the closed "
        "form. estimate.json gives it as the result. The 95 % intervals resample the "
        "images."
    )
    return [
        html_report.heading("The start that fits this adapter"),
        html_report.text(explanation),
        html_report.table(rows),
    ]


def _slopes(measured: MeasuredCopySlope) -> Any:
    """Output over start, one plot per channel."""
    slope = measured.slope
    starts = np.transpose(measured.starts)
    outputs = np.transpose(measured.outputs)
    drawing, axes = html_report.figure(width=2.4 * len(starts), height=2.4, columns=len(starts))
    for channel, (ax, z, x) in enumerate(zip(axes, starts, outputs, strict=True)):
        ends = np.array([z.min(), z.max()])
        ax.plot(z, x, "o", color=LINE, markersize=3)
        for value, colour in ((slope.slope[channel], LINE), (slope.full, FLOOR)):
            ax.plot(ends, x.mean() + value * (ends - z.mean()), color=colour, linewidth=1)
        ax.set_title(f"channel {channel}: slope {slope.slope[channel]:.2f}", fontsize=8)
        ax.set_xlabel("mean of the start", fontsize=8)
    axes[0].set_ylabel("mean of x0", fontsize=8)
    return drawing

"""README.md of an adapter: model card and datasheet in one, from adapter.json alone.

Counts and ranges, never a row of the cohort: what adapter.json does not say cannot leak here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from latentdrift.attributes.specification import Spec
from latentdrift.display.html_report import estimate
from latentdrift.model import model_files as folders
from latentdrift.model.adapter_info import AdapterInfo, DriftInfo, ScoresInfo
from latentdrift.model.families.families import family_named

NAME = "README.md"
FEW = 5  # a value that fewer images have is not counted out
OLDEST = 90  # years; ages from here on are one class (45 CFR 164.514(b)(2)(i)(C))
SETTINGS = ("steps", "batch_size", "learning_rate", "resolution", "precision", "seed")
USE = {"instruct-pix2pix": "latentdrift edit ADAPTER IMAGE --base BASE --set age=85 --out edits"}
"""How an adapter is used that is no `generate` one."""


def summary(rows: pd.DataFrame, attributes: Spec) -> dict[str, Any]:
    """Summarise a cohort for adapter.json: ranges of numbers, and counts of values.

    Values that few patients have are left out.

    Args:
        rows: Rows of metadata.csv.
        attributes: Attributes of the cohort.
    """
    summaries: dict[str, Any] = {}
    for name, spec in attributes.items():
        values = rows[name].dropna() if name in rows else pd.Series(dtype=object)
        if spec.is_number:
            summaries[name] = _range(values, spec.unit)
        else:
            counts = (
                values.astype(str).str.split("|").explode().value_counts() if len(values) else {}
            )
            summaries[name] = {word: _count(int(counts.get(word, 0))) for word in spec.words}
    return summaries


def bounds(values: pd.Series, unit: str | None) -> tuple[float, float] | None:
    """Range of a number, rounded outwards so that no end is a patient's own value.

    Ages are rounded to tens, others to a tenth of the range or more. Ages from OLDEST on are one
    class, which ends a decade later.

    Args:
        values: Numbers; missing ones are ignored.
        unit: Unit of the number; None: none.

    Returns:
        (low, high); None without values.
    """
    numbers = pd.to_numeric(values, errors="coerce").dropna()
    if numbers.empty:
        return None
    low = float(numbers.min())
    high = float(numbers.max())
    step = (
        10.0 if unit == "years" else 10.0 ** math.floor(math.log10((high - low) or abs(high) or 1))
    )
    first = math.floor(low / step) * step
    last = (math.floor(high / step) + 1) * step
    return (min(first, OLDEST), min(last, OLDEST + step)) if unit == "years" else (first, last)


def _range(values: pd.Series, unit: str | None) -> str | None:
    """The bounds in words."""
    limits = bounds(values, unit)
    if limits is None:
        return None
    first, last = limits
    if unit != "years":
        return f"{first:g} to {last:g}" + (f" {unit}" if unit else "")
    oldest = f"{OLDEST} or more"
    last_word = f"{last:g}"
    if first >= OLDEST:
        return f"{oldest} years"
    return f"{first:g} to {oldest if last > OLDEST else last_word} years"


def _count(number: int) -> str:
    return str(number) if number == 0 or number >= FEW else f"fewer than {FEW}"


def card(info: AdapterInfo) -> str:
    """Text of README.md: the model card of an adapter, from adapter.json alone."""
    name = Path(info.base.name).name
    parts = [
        f"---\nlibrary_name: diffusers\nlicense: {_licence(info)[1]}\n"
        f"tags: [latentdrift, synthetic, medical, {info.method}]\n---\n",
        f"# {info.pictures}: {info.method} for {name}\n",
        _section("What it is", _what(info, name)),
        _section("What it was trained on", _data(info)),
        _section("Drift", _drift(info.drift)),
        _section("Settings and losses", _settings(info)),
        f"## Scores\n\n{_scores(info.scores)}\n",
        f"## How to load it\n\n{_load(info, name)}\n",
        _section("Use and limits", _limits(info)),
    ]
    return "\n".join(parts)


def _section(title: str, lines: Iterator[str]) -> str:
    return f"## {title}\n\n" + "".join(f"- {line}\n" for line in lines)


def _what(info: AdapterInfo, name: str) -> Iterator[str]:
    yield (
        f"Method `{info.method}`, made with latentdrift "
        f"{info.versions.get('latentdrift', '(version unknown)')}."
    )
    yield (
        f"For base `{name}` (hash `{info.base.hash[:12]}`) and no other. Licence of the base: "
        f"{_licence(info)[0]}."
    )
    if any(start.needed for start in info.start):
        yield ("This adapter needs another adapter beneath it; `start` in adapter.json names it.")
    if info.tokens:
        yield f"New words: {', '.join(f'`{token}`' for token in info.tokens)}."
    yield (
        "Licence of this adapter: the owners of the training images decide it, within the "
        "terms of the base and of the images."
    )


def _data(info: AdapterInfo) -> Iterator[str]:
    cohort = info.cohort
    if cohort is None:
        origin = info.adopted.format if info.adopted else "unknown"
        yield (
            "The training data are unknown: the adapter was made with another tool "
            f"({origin}) and imported with `latentdrift adopt`."
        )
        return
    images = ", ".join(f"{number} {split}" for split, number in cohort.images.items())
    yield (
        f"Pictures of: {info.pictures}. Images: {images}. Patients: {cohort.patients}; splits are "
        "by patient."
    )
    for name, counts in (cohort.attributes or {}).items():
        values = (
            ", ".join(f"{value} {number}" for value, number in counts.items())
            if isinstance(counts, Mapping)
            else counts
        )
        yield f"{name} (of the training images): {values or 'not recorded'}"
    yield (
        f"Cohort fingerprint `{cohort.fingerprint[:12]}`. No image, name, date or identifier of a "
        "patient is in this folder."
    )
    yield (
        "The owners of the cohort document how the images were collected and "
        "de-identified. The adapter has no record of it."
    )


def _drift(drift: DriftInfo) -> Iterator[str]:
    if drift.is_none:
        yield "None."
        return
    for name, given in (("train", drift.train), ("infer", drift.infer)):
        values = ", ".join(f"{value:.4g}" for value in given) or "none"
        yield f"{name}: {values} (per latent channel, in standard deviations of unit noise)"
    yield (f"form `{drift.form}`, start `{drift.start}`, source: {drift.source}")
    for group in drift.groups:
        yield (
            f'for "{group.phrase}": train {group.train or "none"}, infer {group.infer or "none"}'
        )


def _settings(info: AdapterInfo) -> Iterator[str]:
    for name in SETTINGS:
        if name in info.model_fields_set:
            yield f"{name.replace('_', ' ')}: {getattr(info, name)}"
    for name, value in {**info.options.to_dict(), **info.trainer}.items():
        if value not in (None, False, ()):
            yield f"{name.replace('_', ' ')}: {value}"
    for name, value in (info.losses or {}).items():
        yield (
            f"loss, {name.replace('_', ' ')}: {value:.5g}"
            if isinstance(value, float)
            else f"loss, {name.replace('_', ' ')}: {value}"
        )
    if info.judgement:
        yield f"At the end of the fit: {info.judgement.line}"


def _scores(scores: ScoresInfo | None) -> str:
    """The latest report on its images: answers, and a table of measures."""
    if scores is None:
        return (
            "Not evaluated yet: `latentdrift evaluate --adapter ADAPTER` writes its scores here.\n"
        )
    answers = "; ".join(f"{question} {colour}" for question, colour in scores.lights)
    rows = [
        f"| {score.title} | {estimate(score.value, score.ci) or '–'} | "
        f"{estimate(score.floor, None) or '–'} |"
        for score in scores.metrics.values()
    ]
    return "\n".join(
        [
            f"{scores.n.synthetic} synthetic images against {scores.n.real} real ones "
            f"({scores.split or 'all'} images of the cohort "
            f"with fingerprint `{scores.cohort[:12]}`), by latentdrift {scores.version}. "
            f"Lights: {answers}.\n",
            "| measure | synthetic [95 % interval] | real vs real |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _load(info: AdapterInfo, name: str) -> str:
    words = {"base": name, "tokens": " ".join(info.tokens)}
    called = (
        (info.tokens or [""])[0] if "{" in info.describe else info.describe
    )  # a word per class: the first
    prompt = f'"a {called}"' + (" --hint-image HINT" if info.hint else "")
    method = str(info.method)
    use = USE.get(
        method,
        f"latentdrift generate ADAPTER --base BASE --prompt {prompt} --n 8 --out pictures",
    )
    lines = [f"```\n{use}\n```"]
    code = family_named(info.base.family).stock_code.get(method)
    if info.prompt.manner().uses_numbers:  # which no stock pipeline passes on
        code = None
    if code:
        lines.append(f"In stock diffusers:\n\n```python\n{code.format(**words)}\n```")
        lines.append(
            "Stock pipelines ignore drift; `docs/export.md` of latentdrift shows the "
            "lines that add it."
        )
    return "\n\n".join(lines)


def _limits(info: AdapterInfo) -> Iterator[str]:
    yield (
        "For research: methods, teaching, augmentation that is itself evaluated. Not a medical "
        "device, not for diagnosis."
    )
    yield (
        "Every generated image is synthetic; label it so wherever it is used. An edited "
        "image is a hypothesis, not a forecast."
    )
    yield (
        "The adapter was trained on the patients above and on no others. Do not expect it "
        "to work for other ages, scanners or hospitals."
    )
    yield (
        "Models trained on few images can repeat them. Search for copies before generated "
        "images, or this adapter, leave the hospital."
    )


def _licence(info: AdapterInfo) -> tuple[str, str]:
    """In words, and as a hub's identifier, where cards.yaml knows the base."""
    name = info.base.name
    rows = folders.cards()
    card = rows.get(name) or next(
        (row for row in rows.values() if row.get("repository") == name), {}
    )
    licence = str(card.get("licence", "unknown"))
    return licence, licence.lower() if licence == "Apache-2.0" else "other" if card else "unknown"

"""Look at a cohort before training on it: counts, ages, visits, intensities, and what leaks from
one split into another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from latentdrift.attributes.specification import Attribute
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.splits import SPLITS
from latentdrift.data.images.near_duplicates import MayPair, near_duplicates
from latentdrift.data.images.thumbnails import thumbnail
from latentdrift.display.counting import count

BINS = 64
"""Bins of the intensity histogram over [-1, 1]."""
FEW = 20
"""Images below which a split says little."""
MANY_CLIPPED = 0.02
"""Share of a picture's pixels at an end of the window that is worth a word (at the upper end; the
lower one is background)."""


def inspect(cohort: Cohort) -> dict[str, Any]:
    """Measure a cohort: counts, ages, visits, intensities and leaks, with `warnings` in sentences.

    Returns:
        Content of inspect.json.
    """
    seen = _look(cohort)
    inspection = {
        "describe": cohort.describe,
        "images": len(cohort.table),
        "patients": int(cohort.table["patient"].nunique()),
        "splits": _splits(cohort),
        "attributes": {
            name: _attribute(cohort, name, spec) for name, spec in cohort.described_columns.items()
        },
        "ages": _ages(cohort),
        "visits": _visits(cohort),
        "modalities": modalities(cohort.table["modality"]),
        "sizes": dict(Counter(seen["size"]).most_common()),
        "spacing_mm": _spacings(cohort),
        "bits": dict(Counter(seen["bits"])),
        "intensity": _intensity(cohort, seen),
        "missing": {
            name: int(number) for name, number in cohort.table.isna().sum().items() if number
        },
        "leaks": leaks(cohort, seen["thumbnail"]),
        "rejected": cohort.info.get("rejected_by_reason", {}),
        "fingerprint": cohort.fingerprint,
    }
    return inspection | {"warnings": cohort.warnings + warnings(inspection, cohort.info)}


def modalities(values: Iterable[object]) -> dict[str, int]:
    """Modality -> number of images, the most frequent first; images without one are not counted."""
    return dict(
        Counter(
            str(value) for value in values if value is not None and value == value
        ).most_common()
    )


def mixed(counts: Mapping[str, int]) -> list[str]:
    """Warning where a cohort has several modalities; else an empty list.

    Args:
        counts: Modality -> number of images.
    """
    each = ", ".join(f"{number} {name}" for name, number in counts.items())
    filtered = "`keep_rows` in the map takes one of them"
    return (
        [f"The images are of {len(counts)} modalities ({each}); {filtered}."]
        if len(counts) > 1
        else []
    )


def leaks(cohort: Cohort, thumbnails: np.ndarray) -> dict[str, list[Any]]:
    """Find leaks between splits: patients, identical pixels, and near-duplicates of different or
    unknown patients.

    Args:
        cohort: The cohort.
        thumbnails: Thumbnails [N, SIDE * SIDE], one per image.
    """
    table = cohort.table
    rows = table.to_dict("records")
    pairs = []
    for i, j, similarity in near_duplicates(
        thumbnails, lambda row: cohort.stored(rows[row]), _may_leak(table)
    ):
        files, splits = ([rows[row][name] for row in (i, j)] for name in ("file_name", "split"))
        pairs.append({"files": files, "splits": splits, "correlation": round(similarity, 4)})
    return {
        "patients": _shared(table, "patient"),
        "pixels": _same_pixels(table),
        "near_duplicates": sorted(pairs, key=lambda pair: -float(pair["correlation"])),
    }


def warnings(inspection: dict[str, Any], info: dict[str, Any]) -> list[str]:
    """Warnings before training, in sentences.

    Args:
        inspection: From `inspect`.
        info: Content of cohort.json.
    """
    sentences = list(info.get("split", {}).get("notes", []))
    leak = inspection["leaks"]
    if leak["patients"]:
        sentences.append(
            f"In more than one split: {count(len(leak['patients']), 'patient')}. Scores on "
            "held-out images will be too good."
        )
    if leak["pixels"]:
        sentences.append(
            f"In more than one split, pixel by pixel: {count(len(leak['pixels']), 'image')}."
        )
    if leak["near_duplicates"]:
        sentences.append(
            "Near-duplicates in different splits: "
            f"{count(len(leak['near_duplicates']), 'pair')}; look at them below."
        )
    for split in SPLITS:
        number = inspection["splits"][split]["images"]
        if 0 < number < FEW:
            sentences.append(f"The {split} split has only {count(number, 'image')}.")
        if not number and not any(
            f"The {split} split is empty" in sentence for sentence in sentences
        ):
            sentences.append(f"The {split} split is empty.")
    for name, attribute in inspection["attributes"].items():
        if attribute["in_prompts"] and attribute["missing"]:
            sentences.append(
                f"{attribute['missing']} of {inspection['images']} images have no {name}; their "
                "prompts leave it out."
            )
        if attribute["in_prompts"] and len(attribute.get("counts", {})) == 1 and name != "view":
            sentences.append(
                f"All images have the same {name}; the model cannot learn what it means."
            )
    sentences += mixed(inspection["modalities"])
    if len(inspection["sizes"]) > 1:
        sentences.append(
            f"The images have {len(inspection['sizes'])} different sizes; each is padded to a "
            "square and resized."
        )
    if inspection["intensity"]["clipped_high"] > MANY_CLIPPED:
        share = inspection["intensity"]["clipped_high"]
        sentences.append(
            f"{share:.1%} of the pixels lie at the upper end of the window; a wider `window` keeps "
            "what is there."
        )
    return sentences


def _look(cohort: Cohort) -> dict[str, Any]:
    """One pass over the pixels."""
    seen: dict[str, list[Any]] = {
        name: [] for name in ("size", "bits", "thumbnail", "histogram", "ends")
    }
    for row in cohort.table.to_dict("records"):
        stored = cohort.stored(row)
        pixels = cohort.pixels(row)
        seen["size"].append(
            f"{stored.shape[0]} x {stored.shape[1]}{' RGB' if stored.ndim == 3 else ''}"
        )
        seen["bits"].append(f"{stored.dtype.itemsize * 8}")
        seen["thumbnail"].append(thumbnail(stored))
        seen["histogram"].append(np.histogram(pixels, bins=BINS, range=(-1, 1))[0] / pixels.size)
        seen["ends"].append([np.mean(pixels == -1), np.mean(pixels == 1)])
    return seen | {"thumbnail": np.stack(seen["thumbnail"])}


def _splits(cohort: Cohort) -> dict[str, dict[str, int]]:
    return {
        split: {"images": len(rows), "patients": int(rows["patient"].nunique())}
        for split, rows in ((split, cohort.rows(split)) for split in SPLITS)
    }


def _attribute(cohort: Cohort, name: str, spec: Attribute) -> dict[str, Any]:
    """A number's distribution, or a category's counts, over all images and by split."""
    values = cohort.table[name]
    summary: dict[str, Any] = {
        "type": spec.type,
        "in_prompts": name in cohort.attributes,
        "missing": int(values.isna().sum()),
    }
    parts = {"all": cohort.table} | {split: cohort.rows(split) for split in SPLITS}
    if spec.is_number:
        return summary | {
            "by_split": {part: _numbers(rows[name].dropna()) for part, rows in parts.items()}
        }
    counts = {
        part: Counter("|".join(map(str, rows[name].dropna())).split("|"))
        for part, rows in parts.items()
    }
    return summary | {
        "counts": {
            word: {part: counts[part][word] for part in parts}
            for word, _ in counts["all"].most_common()
        }
    }


def _numbers(values: pd.Series) -> dict[str, float]:
    if values.empty:
        return {"n": 0}
    exact = {
        "n": len(values),
        "mean": values.mean(),
        "sd": values.std(ddof=0),
        "low": values.min(),
        "median": values.median(),
    }
    return {
        name: round(float(value), 4) for name, value in (exact | {"high": values.max()}).items()
    }


def _ages(cohort: Cohort) -> dict[str, Any] | None:
    """Ages in bins of five years, by split."""
    ages = cohort.table["age"].dropna()
    if ages.empty:
        return None
    edges = np.arange(np.floor(ages.min() / 5) * 5, ages.max() + 5.001, 5)
    return {
        "edges": [float(edge) for edge in edges],
        "counts": {
            split: np.histogram(cohort.rows(split)["age"].dropna(), edges)[0].tolist()
            for split in SPLITS
        },
    }


def _visits(cohort: Cohort) -> dict[str, Any]:
    """Images per patient, and days between one scan of a patient and the next (scans on the same
    day count once)."""
    known = cohort.table.dropna(subset=["patient"])
    gaps = [
        float(gap)
        for _, days in known.dropna(subset=["days"]).groupby("patient")["days"]
        for gap in np.diff(np.unique(days.to_numpy(dtype=float)))
    ]
    per_patient = Counter(int(number) for number in known["patient"].value_counts())
    images = {str(number): per_patient[number] for number in sorted(per_patient)}
    return {
        "images_per_patient": images,
        "days_between": gaps,
        "days_between_median": float(np.median(gaps)) if gaps else None,
    }


def _spacings(cohort: Cohort) -> dict[str, int]:
    rows = cohort.table[["row_mm", "col_mm"]].itertuples(index=False)
    return dict(
        Counter(
            "unknown" if np.isnan(r) or np.isnan(c) else f"{r:.4g} x {c:.4g}" for r, c in rows
        ).most_common()
    )


def _intensity(cohort: Cohort, seen: dict[str, Any]) -> dict[str, Any]:
    """Histograms over [-1, 1] as shares of pixels, every image counting the same, and how much lies
    at the window's ends."""
    histograms = np.stack(seen["histogram"])
    ends = np.array(seen["ends"])
    windows = Counter(
        f"{low:g} to {high:g}"
        for low, high in cohort.table[["window_low", "window_high"]].itertuples(index=False)
    )
    where = {split: np.flatnonzero(cohort.table["split"] == split) for split in SPLITS}
    return {
        "edges": np.linspace(-1, 1, BINS + 1).tolist(),
        "by_split": {
            split: np.round(histograms[rows].mean(axis=0), 6).tolist()
            for split, rows in where.items()
            if len(rows)
        },
        "clipped_low": float(ends[:, 0].mean()),
        "clipped_high": float(ends[:, 1].mean()),
        "windows": dict(windows.most_common()),
        "units": cohort.info.get("source", {}).get("units", {}),
    }


def _shared(table: pd.DataFrame, column: str) -> list[Any]:
    """Values of a column that more than one split has."""
    sets = [set(table.loc[table["split"] == split, column].dropna()) for split in SPLITS]
    return sorted(set().union(*_overlaps(sets)))


def _same_pixels(table: pd.DataFrame) -> list[str]:
    """Hashes of PNGs that more than one split has under one window; under another, their
    intensities differ."""
    windows = table[["window_low", "window_high"]].astype(str).agg(" ".join, axis=1)
    shared = _shared(table.assign(picture=table["sha256"] + " " + windows), "picture")
    return sorted({picture.split()[0] for picture in shared})


def _may_leak(table: pd.DataFrame) -> MayPair:
    """Whether two rows lie in two splits, and are neither the same picture nor the same
    patient's."""
    splits = table["split"].to_numpy()
    patients = pd.factorize(table["patient"])[0]  # -1 where there is none
    pictures = (
        table.groupby(["sha256", "window_low", "window_high"], dropna=False).ngroup().to_numpy()
    )

    def may_pair(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        strangers = (patients[first] < 0) | (patients[first] != patients[second])
        return np.asarray(
            (splits[first] != splits[second]) & (pictures[first] != pictures[second]) & strangers
        )

    return may_pair


def _overlaps(sets: list[set[Any]]) -> Iterable[set[Any]]:
    return (a & b for a, b in combinations(sets, 2))

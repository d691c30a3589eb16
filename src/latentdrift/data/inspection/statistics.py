"""Look at a cohort before training on it: counts, ages, visits, intensities, and what leaks from
one split into another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from latentdrift.attributes.specification import Attribute
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.description import SplitInfo
from latentdrift.data.cohort.splits import SPLITS
from latentdrift.data.images.near_duplicates import MayPair, near_duplicates
from latentdrift.data.images.thumbnails import thumbnail
from latentdrift.data.inspection.registered_visits import registration_statistics
from latentdrift.data.inspection.results import (
    AgeHistogram,
    CategoryAttribute,
    Inspection,
    IntensityStatistics,
    NearDuplicatePair,
    NumberAttribute,
    NumberSummary,
    SplitLeaks,
    SplitSize,
    VisitStatistics,
)
from latentdrift.data.registration import columns
from latentdrift.display.counting import count

BINS = 64
"""Bins of the intensity histogram over [-1, 1]."""
FEW = 20
"""Images below which a split says little."""
MANY_CLIPPED = 0.02
"""Share of a picture's pixels at an end of the window that is worth a word (at the upper end; the
lower one is background)."""


@dataclass(frozen=True)
class PixelStatistics:
    """Measurements of the pixels of N images, in the order of the table."""

    sizes: list[str]
    bits: list[str]
    thumbnails: np.ndarray
    """[N, SIDE * SIDE]."""
    histograms: np.ndarray
    """Shares of the pixels [N, BINS]."""
    clipped: np.ndarray
    """Shares of the pixels at the lower and the upper end of the window [N, 2]."""


def inspect(cohort: Cohort) -> Inspection:
    """Measure a cohort: counts, ages, visits, intensities and leaks, with warnings in sentences."""
    pixels = measure_pixels(cohort, cohort.table)
    missing = cohort.table.drop(columns=list(columns.ALL), errors="ignore").isna().sum()
    inspection = Inspection(
        describe=cohort.describe,
        images=len(cohort.table),
        patients=int(cohort.table["patient"].nunique()),
        splits=_splits(cohort),
        attributes={
            name: _attribute(cohort, name, spec)
            for name, spec in cohort.described_columns.items()
            if name not in columns.ALL
        },
        ages=_ages(cohort),
        visits=_visits(cohort),
        modalities=modalities(cohort.table["modality"]),
        sizes=dict(Counter(pixels.sizes).most_common()),
        spacing_mm=_spacings(cohort),
        bits=dict(Counter(pixels.bits)),
        intensity=_intensity(cohort, pixels),
        missing={name: int(number) for name, number in missing.items() if number},
        leaks=leaks(cohort, pixels.thumbnails),
        rejected=cohort.info.rejected_by_reason,
        fingerprint=cohort.fingerprint,
        registration=registration_statistics(cohort),
    )
    return replace(inspection, warnings=cohort.warnings + warnings(inspection, cohort.info.split))


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


def leaks(cohort: Cohort, thumbnails: np.ndarray) -> SplitLeaks:
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
        pairs.append(NearDuplicatePair(files, splits, round(similarity, 4)))
    return SplitLeaks(
        patients=_shared(table, "patient"),
        pixels=_same_pixels(table),
        near_duplicates=sorted(pairs, key=lambda pair: -pair.correlation),
    )


def warnings(inspection: Inspection, split: SplitInfo) -> list[str]:
    """Warnings before training, in sentences.

    Args:
        inspection: From `inspect`.
        split: How images were assigned to splits.
    """
    sentences = list(split.notes)
    leak = inspection.leaks
    if leak.patients:
        sentences.append(
            f"In more than one split: {count(len(leak.patients), 'patient')}. Scores on "
            "held-out images will be too good."
        )
    if leak.pixels:
        sentences.append(
            f"In more than one split, pixel by pixel: {count(len(leak.pixels), 'image')}."
        )
    if leak.near_duplicates:
        sentences.append(
            "Near-duplicates in different splits: "
            f"{count(len(leak.near_duplicates), 'pair')}; look at them below."
        )
    for name in SPLITS:
        number = inspection.splits[name].images
        if 0 < number < FEW:
            sentences.append(f"The {name} split has only {count(number, 'image')}.")
        if not number and not any(
            f"The {name} split is empty" in sentence for sentence in sentences
        ):
            sentences.append(f"The {name} split is empty.")
    for name, attribute in inspection.attributes.items():
        if attribute.in_prompts and attribute.missing:
            sentences.append(
                f"{attribute.missing} of {inspection.images} images have no {name}; their "
                "prompts leave it out."
            )
        has_one_value = isinstance(attribute, CategoryAttribute) and len(attribute.counts) == 1
        if attribute.in_prompts and has_one_value and name != "view":
            sentences.append(
                f"All images have the same {name}; the model cannot learn what it means."
            )
    sentences += mixed(inspection.modalities)
    if len(inspection.sizes) > 1:
        sentences.append(
            f"The images have {len(inspection.sizes)} different sizes; each is padded to a "
            "square and resized."
        )
    if inspection.intensity.clipped_high > MANY_CLIPPED:
        share = inspection.intensity.clipped_high
        sentences.append(
            f"{share:.1%} of the pixels lie at the upper end of the window; a wider `window` keeps "
            "what is there."
        )
    return sentences


def measure_pixels(cohort: Cohort, table: pd.DataFrame) -> PixelStatistics:
    """Measure the pixels of images in one pass.

    Args:
        cohort: The cohort.
        table: Rows of its table, at least one.
    """
    sizes = []
    bits = []
    thumbnails = []
    histograms = []
    clipped = []
    for row in table.to_dict("records"):
        stored = cohort.stored(row)
        pixels = cohort.pixels(row)
        sizes.append(f"{stored.shape[0]} x {stored.shape[1]}{' RGB' if stored.ndim == 3 else ''}")
        bits.append(f"{stored.dtype.itemsize * 8}")
        thumbnails.append(thumbnail(stored))
        histograms.append(np.histogram(pixels, bins=BINS, range=(-1, 1))[0] / pixels.size)
        clipped.append([np.mean(pixels == -1), np.mean(pixels == 1)])
    return PixelStatistics(
        sizes, bits, np.stack(thumbnails), np.stack(histograms), np.array(clipped)
    )


def _splits(cohort: Cohort) -> dict[str, SplitSize]:
    rows_by_split = {split: cohort.rows(split) for split in SPLITS}
    return {
        split: SplitSize(images=len(rows), patients=int(rows["patient"].nunique()))
        for split, rows in rows_by_split.items()
    }


def _attribute(cohort: Cohort, name: str, spec: Attribute) -> NumberAttribute | CategoryAttribute:
    """Summary of an attribute over all images and by split."""
    in_prompts = name in cohort.attributes
    missing = int(cohort.table[name].isna().sum())
    parts = {"all": cohort.table} | {split: cohort.rows(split) for split in SPLITS}
    if spec.is_number:
        by_split = {part: _numbers(rows[name].dropna()) for part, rows in parts.items()}
        return NumberAttribute(spec.type, in_prompts, missing, by_split)
    words_by_part = {
        part: Counter("|".join(map(str, rows[name].dropna())).split("|"))
        for part, rows in parts.items()
    }
    counts = {
        word: {part: words_by_part[part][word] for part in parts}
        for word, _ in words_by_part["all"].most_common()
    }
    return CategoryAttribute(spec.type, in_prompts, missing, counts)


def _numbers(values: pd.Series) -> NumberSummary:
    """Distribution of known numbers, to four decimals."""
    if values.empty:
        return NumberSummary(n=0)
    return NumberSummary(
        n=float(len(values)),
        mean=round(float(values.mean()), 4),
        sd=round(float(values.std(ddof=0)), 4),
        low=round(float(values.min()), 4),
        median=round(float(values.median()), 4),
        high=round(float(values.max()), 4),
    )


def _ages(cohort: Cohort) -> AgeHistogram | None:
    """Ages in bins of five years, by split."""
    ages = cohort.table["age"].dropna()
    if ages.empty:
        return None
    edges = np.arange(np.floor(ages.min() / 5) * 5, ages.max() + 5.001, 5)
    counts = {
        split: np.histogram(cohort.rows(split)["age"].dropna(), edges)[0].tolist()
        for split in SPLITS
    }
    return AgeHistogram([float(edge) for edge in edges], counts)


def _visits(cohort: Cohort) -> VisitStatistics:
    """Images per patient, and days between one scan of a patient and the next (scans on the same
    day count once)."""
    known = cohort.table.dropna(subset=["patient"])
    gaps = [
        float(gap)
        for _, days in known.dropna(subset=["days"]).groupby("patient")["days"]
        for gap in np.diff(np.unique(days.to_numpy(dtype=float)))
    ]
    per_patient = Counter(int(number) for number in known["patient"].value_counts())
    return VisitStatistics(
        images_per_patient={str(number): per_patient[number] for number in sorted(per_patient)},
        days_between=gaps,
        days_between_median=float(np.median(gaps)) if gaps else None,
    )


def _spacings(cohort: Cohort) -> dict[str, int]:
    rows = cohort.table[["row_mm", "col_mm"]].itertuples(index=False)
    return dict(
        Counter(
            "unknown" if np.isnan(r) or np.isnan(c) else f"{r:.4g} x {c:.4g}" for r, c in rows
        ).most_common()
    )


def _intensity(cohort: Cohort, pixels: PixelStatistics) -> IntensityStatistics:
    """Histograms over [-1, 1] as shares of pixels, every image counting the same, and the shares
    at the window's ends."""
    windows = Counter(
        f"{low:g} to {high:g}"
        for low, high in cohort.table[["window_low", "window_high"]].itertuples(index=False)
    )
    positions = {split: np.flatnonzero(cohort.table["split"] == split) for split in SPLITS}
    return IntensityStatistics(
        edges=np.linspace(-1, 1, BINS + 1).tolist(),
        by_split={
            split: np.round(pixels.histograms[rows].mean(axis=0), 6).tolist()
            for split, rows in positions.items()
            if len(rows)
        },
        clipped_low=float(pixels.clipped[:, 0].mean()),
        clipped_high=float(pixels.clipped[:, 1].mean()),
        windows=dict(windows.most_common()),
        units=cohort.info.source.units,
    )


def _shared(table: pd.DataFrame, column: str) -> list[str]:
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


def _overlaps(sets: list[set[str]]) -> Iterable[set[str]]:
    return (a & b for a, b in combinations(sets, 2))

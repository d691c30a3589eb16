"""Tissue volumes of a cohort's images, and the volume model of its training patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from latentdrift.attributes.specification import Spec
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.visits import first_visits
from latentdrift.longitudinal.tissue_volumes import TissueVolumes, tissue_volumes
from latentdrift.longitudinal.visit_intervals import interval
from latentdrift.longitudinal.volume_model import VolumeModel
from latentdrift.progress import ProgressCallback

MOST_PAIRS = 500
"""Pairs of visits at most that a volume model is learned from."""


def measured_volumes(
    cohort: Cohort, rows: Iterable[int], side: int, report: ProgressCallback
) -> dict[int, TissueVolumes]:
    """Volumes of some images, read and measured one at a time.

    Args:
        cohort: The cohort.
        rows: Positions in metadata.csv.
        side: Pixels on a side at which the images are measured.
        report: Called with (images measured, all).
    """
    table = cohort.rows()
    places = sorted(set(rows))
    volumes = {}
    for done, place in enumerate(places, start=1):
        picture = (cohort.batch(table.loc[[place]], side)[0].mean(0) + 1) / 2
        volumes[place] = tissue_volumes(picture)
        report(done, len(places))
    return volumes


def volume_model_of(
    cohort: Cohort, side: int, spec: Spec, report: ProgressCallback
) -> VolumeModel | None:
    """Volume model of the training patients, from MOST_PAIRS pairs at most; None where fewer than
    two patients came twice.

    Args:
        cohort: The cohort.
        side: Pixels on a side at which the images are measured.
        spec: Attributes that are read.
        report: As of `measured_volumes`.
    """
    table = cohort.rows("train")
    onto = list(first_visits(table).items())
    pairs = [onto[place] for place in evenly(len(onto), MOST_PAIRS)]
    volumes = measured_volumes(cohort, (place for pair in pairs for place in pair), side, report)
    return VolumeModel.of(
        [volumes[early] for _, early in pairs],
        [volumes[late] for late, _ in pairs],
        [interval(table, early, late, spec) for late, early in pairs],
        [str(table.loc[late, "patient"]) for late, _ in pairs],
        spec,
    )


def evenly(count: int, most: int) -> Sequence[int]:
    """Positions below `count`, all of them or `most` that are evenly spread."""
    return range(count) if count <= most else [place * count // most for place in range(most)]

"""Volume model: how the tissue volumes of a brain change with the years, learned from patients who
came twice. It has a few numbers for each volume, and no image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from latentdrift.attributes.specification import Spec
from latentdrift.errors import AdapterError
from latentdrift.longitudinal.ridge import choose_penalty, left_out_errors, ridge
from latentdrift.longitudinal.tissue_volumes import VOLUMES, TissueVolumes
from latentdrift.longitudinal.visit_intervals import Covariates, VisitInterval
from latentdrift.storage import read_model, write_json

FILE = "volume-model.json"
"""Name of the file in an adapter folder."""
COVERED = 0.95
"""Share of left-out pairs whose error the interval covers."""
FEWEST_PATIENTS = 2
"""Patients with two visits, at least; a penalty is chosen by leaving patients out."""


class VolumeModel(BaseModel):
    """Ridge regression of the change of each of VOLUMES on years, and on years by age, category and
    today's volume."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    covariates: Covariates
    mean: tuple[float, ...]
    """Mean of each volume at the first visit."""
    weights: tuple[tuple[float, ...], ...]
    """K + 1 numbers for each volume."""
    errors: tuple[float, ...]
    """Error of each volume that COVERED of the pairs stay below whose patients were left out."""
    patients: int
    """Number of patients that it was learned from."""

    @classmethod
    def of(
        cls,
        first: Sequence[TissueVolumes],
        last: Sequence[TissueVolumes],
        intervals: Sequence[VisitInterval],
        patients: Sequence[str],
        spec: Spec,
    ) -> VolumeModel | None:
        """Fit to pairs of visits; None where fewer than FEWEST_PATIENTS have two brains.

        Args:
            first: Volumes of the first visits.
            last: Volumes of the later visits.
            intervals: Time between them.
            patients: Of each pair.
            spec: Attributes that are read.
        """
        before, after = (
            np.array([_numbers(one) for one in volumes]).reshape(-1, len(VOLUMES))
            for volumes in (first, last)
        )
        finite = np.isfinite(before).all(1) & np.isfinite(after).all(1)
        usable = [place for place, known in enumerate(finite) if known]
        whose = [patients[place] for place in usable]
        if len(set(whose)) < FEWEST_PATIENTS:
            return None
        between = [intervals[place] for place in usable]
        before, after = before[usable], after[usable]
        covariates = Covariates.of(between, spec)
        mean = before.mean(0)
        weights, errors = [], []
        for place in range(len(VOLUMES)):
            inputs = np.stack(
                [
                    _inputs(covariates, one, own[place] - mean[place])
                    for own, one in zip(before, between, strict=True)
                ]
            )
            change = (after - before)[:, [place]]
            penalty = choose_penalty(inputs, change, whose)
            weights.append(tuple(ridge(inputs, change, penalty)[:, 0].tolist()))
            misses = np.abs(left_out_errors(inputs, change, whose, penalty))
            errors.append(float(np.quantile(misses, COVERED, method="higher")))
        return cls(
            covariates=covariates,
            mean=tuple(mean.tolist()),
            weights=tuple(weights),
            errors=tuple(errors),
            patients=len(set(whose)),
        )

    def predict(self, first: TissueVolumes, interval: VisitInterval) -> TissueVolumes:
        """Volumes at the later visit.

        Args:
            first: Volumes at the first visit.
            interval: Time to the later visit.
        """
        volumes = _numbers(first)
        changes = [
            float(_inputs(self.covariates, interval, own - mean) @ np.array(weights))
            for own, mean, weights in zip(volumes, self.mean, self.weights, strict=True)
        ]
        return TissueVolumes(*(volumes + changes))

    def write(self, folder: Path) -> None:
        """Write FILE into a folder."""
        write_json(folder / FILE, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> VolumeModel | None:
        """Read FILE from a folder; None where there is none.

        Raises:
            AdapterError: The file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        return read_model(path, cls, AdapterError, "volume model", "fit again, or delete it")


def _inputs(covariates: Covariates, interval: VisitInterval, above_mean: float) -> np.ndarray:
    """Numbers that the change of a volume is regressed on, [K + 1].

    Args:
        covariates: The covariates.
        interval: Time to the later visit.
        above_mean: Today's volume minus the mean.
    """
    return np.append(covariates.of_interval(interval), interval.years * above_mean)


def _numbers(volumes: TissueVolumes) -> np.ndarray:
    return np.array([of(volumes) for of in VOLUMES.values()])

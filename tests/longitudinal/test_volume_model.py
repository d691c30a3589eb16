"""The volume model on changes of its own form, and its interval on patients it never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from visit_intervals import SPEC, intervals

from latentdrift.errors import AdapterError
from latentdrift.longitudinal.tissue_volumes import TissueVolumes
from latentdrift.longitudinal.volume_model import FILE, VolumeModel

NOISE = 0.004


def patients(
    count: int, seed: int, noise: float
) -> tuple[list[TissueVolumes], list[TissueVolumes], tuple, list[str]]:
    """Ventricles that grow by 0.01 a year, twice as fast with dementia."""
    rng = np.random.default_rng(seed)
    between = intervals(count, rng)
    first = [TissueVolumes(0.2, float(rng.uniform(0.02, 0.1)), 0.4, 0.4) for _ in between]
    last = [
        TissueVolumes(
            one.fluid,
            one.ventricles
            + 0.01 * apart.years * (1 + (apart.later["diagnosis"] == "dementia"))
            + float(rng.normal(0, noise)),
            one.grey,
            one.white,
        )
        for one, apart in zip(first, between, strict=True)
    ]
    return first, last, between, [f"p{place}" for place in range(count)]


def fitted(count: int, noise: float) -> VolumeModel:
    model = VolumeModel.of(*patients(count, 0, noise), SPEC)
    assert model is not None
    return model


def test_a_change_of_its_own_form_is_found() -> None:
    model = fitted(80, 0.0)
    first, last, between, _ = patients(10, 1, 0.0)
    for before, after, apart in zip(first, last, between, strict=True):
        assert model.predict(before, apart).ventricles == pytest.approx(after.ventricles, abs=2e-3)
        assert model.predict(before, apart).fluid == pytest.approx(0.2, abs=1e-6)


def test_the_interval_covers_patients_who_were_not_there() -> None:
    model = fitted(300, NOISE)
    first, last, between, _ = patients(2000, 1, NOISE)
    inside = [
        abs(model.predict(before, apart).ventricles - after.ventricles) <= model.errors[1]
        for before, after, apart in zip(first, last, between, strict=True)
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)
    assert model.errors[1] == pytest.approx(1.96 * NOISE, rel=0.3) and model.patients == 300


def test_too_few_brains_make_no_model() -> None:
    first, last, between, names = patients(6, 0, NOISE)
    assert VolumeModel.of(first[:1], last[:1], between[:1], names[:1], SPEC) is None
    assert VolumeModel.of(first, last, between, ["one"] * 6, SPEC) is None
    nothing = TissueVolumes(*[float("nan")] * 4)
    assert VolumeModel.of([nothing] * 6, last, between, names, SPEC) is None
    some = VolumeModel.of([nothing, *first[1:]], last, between, names, SPEC)
    assert some is not None and some.patients == 5


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    model = fitted(40, NOISE)
    assert VolumeModel.read(tmp_path) is None
    model.write(tmp_path)
    assert VolumeModel.read(tmp_path) == model
    (tmp_path / FILE).write_text('{"mean": []}')
    with pytest.raises(AdapterError, match="fit again, or delete it"):
        VolumeModel.read(tmp_path)

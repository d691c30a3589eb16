"""The volume model of an adapter folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift.adapt.adapters.volume_model_file import write_volume_model
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.longitudinal.volume_model import VolumeModel
from latentdrift.model.adapter_info import AdapterInfo, AttributeInfo, BaseInfo
from latentdrift.study.editors.visit_baselines import volume_model
from latentdrift.study.editors.visit_pairs import VisitPairs


@pytest.mark.parametrize(("method", "kept"), [("instruct-pix2pix", True), ("full", False)])
def test_an_adapter_of_pairs_keeps_the_model_of_its_training_patients(
    method: str, kept: bool, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    """It is the model of all pairs."""
    cohort = Cohort.load(tiny_cohort_folder)
    seen: list[tuple[int, int]] = []
    info = AdapterInfo(
        describe="brain MRI",
        pictures="brain MRI",
        method=method,
        attributes={
            name: AttributeInfo.model_validate(each.model_dump(exclude_unset=True))
            for name, each in cohort.attributes.items()
        },
        base=BaseInfo(name="base", hash="0", resolution=32),
        resolution=32,
    )

    def keep() -> VolumeModel | None:
        write_volume_model(cohort, info, tmp_path, lambda *done: seen.append(done))
        return VolumeModel.read(tmp_path)

    found = keep()
    assert (found is not None) is kept
    if found is None:
        return
    expected = volume_model(VisitPairs.of(cohort, "train", 32, cohort.attributes), info.attributes)
    assert found == expected and seen[-1] == (8, 8)
    keep()
    assert len(seen) == 8  # what is there stays

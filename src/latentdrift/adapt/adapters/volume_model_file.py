"""The volume model of an adapter that learned from pairs of visits of brains."""

from __future__ import annotations

from pathlib import Path

from latentdrift.adapt.methods.examples import of_pairs
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.longitudinal.cohort_volumes import volume_model_of
from latentdrift.longitudinal.tissue_volumes import shows_brains
from latentdrift.longitudinal.volume_model import VolumeModel
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.progress import ProgressCallback


def write_volume_model(
    cohort: Cohort, info: AdapterInfo, adapter: Path, report: ProgressCallback
) -> None:
    """Write the volume model of the training patients into an adapter folder.

    Only for brains, and for an adapter that learned from pairs of visits; a model that is there
    stays.

    Args:
        cohort: The cohort.
        info: adapter.json.
        adapter: Its folder.
        report: Called with (images measured, all).
    """
    learns_pairs = METHODS[str(info.method)].examples is of_pairs
    if not learns_pairs or not shows_brains(info.pictures) or VolumeModel.read(adapter):
        return
    model = volume_model_of(cohort, info.side, info.attributes, report)
    if model is not None:
        model.write(adapter)

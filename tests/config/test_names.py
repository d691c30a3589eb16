"""Names that options take are those of the tables."""

from __future__ import annotations

from typing import Any

from latentdrift import config
from latentdrift.adapt.interop.exports import EXPORTS
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.optimization.lr_schedules import SCHEDULES
from latentdrift.adapt.training.optimization.optimizers import OPTIMIZERS
from latentdrift.adapt.training.records.trackers import TRACKERS
from latentdrift.data.cohort.controlnet_hints import HINTS
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.evaluate.features.features import FEATURES
from latentdrift.model.families.families import FAMILIES
from latentdrift.model.noise import NOISES
from latentdrift.sample.samplers import FLOW_SAMPLERS, SAMPLERS

TABLES: dict[str, Any] = {
    "method": METHODS,
    "methods": METHODS,
    "editor": EDITORS,
    "editors": EDITORS,
    "sampler": {**SAMPLERS, **FLOW_SAMPLERS},
    "inversion": INVERSIONS,
    "rate_schedule": SCHEDULES,
    "optimizer": OPTIMIZERS,
    "tracker": TRACKERS,
    "targets": FAMILIES["sd"].lora_targets,
    "noise": NOISES,
    "hint": HINTS,
    "to": EXPORTS,
    "features": FEATURES,
}


def test_the_names_are_those_of_the_tables() -> None:
    assert {option: sorted(names.known) for option, names in config.NAMES.items()} == {
        option: sorted(table) for option, table in TABLES.items()
    }

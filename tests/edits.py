"""An edit in one call for tests: by a base and a drift, with the options by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infos import info_of
from torch import Tensor

from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.inversions.inversion_cache import InversionCache
from latentdrift.edit.io import counterfactual
from latentdrift.edit.io.counterfactual import Counterfactual
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.model.model import Model


def edit(
    base: Base,
    drift: Drift,
    x: Tensor,
    source_prompt: str,
    target_prompt: str,
    *,
    editor: str,
    statistics: Statistics | None = None,
    parts: Sequence[str] = (),
    sentences: tuple[Sequence[str], Sequence[str]] = ((), ()),
    mask: Tensor | None = None,
    hints: Sequence[Tensor] = (),
    cache: InversionCache | None = None,
    **options: Any,
) -> Counterfactual:
    """`counterfactual.edit` of a model of these parts; `options` are those of an EditSpec."""
    return counterfactual.edit(
        Model(base, drift, info_of(), statistics, base_schedule=base.schedule),
        x,
        source_prompt,
        target_prompt,
        editor=editor,
        spec=EditSpec(**options),
        parts=parts,
        sentences=sentences,
        mask=mask,
        hints=hints,
        cache=cache,
    )

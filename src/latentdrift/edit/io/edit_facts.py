"""EditFacts: everything that determines one edit, as its record holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latentdrift.config import EditOptions
from latentdrift.data.cohort.controlnet_hints import HintSource
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.edit.io.edit_requests import Request
from latentdrift.model.drift import Drift
from latentdrift.model.model import LoadedAdapter, Model


@dataclass(frozen=True)
class ModelFacts:
    """The model that makes an edit."""

    drift: Drift
    base: str
    """Hash of the base."""
    adapters: tuple[LoadedAdapter, ...] = ()

    @classmethod
    def of(cls, model: Model) -> ModelFacts:
        """Facts of a model."""
        return cls(model.drift, model.base.hash, tuple(model.adapters))

    def to_dict(self) -> dict[str, Any]:
        """JSON values for a record, and for the key of a cache."""
        return {
            "drift": self.drift.to_dict(),
            "base": self.base,
            "adapters": [adapter.to_dict() for adapter in self.adapters],
        }


@dataclass(frozen=True, eq=False)
class EditFacts:
    """Everything that determines an edit."""

    options: EditOptions
    """Of these, the options that reach the editor are recorded."""
    detail: bool
    """Whether the change is added to the original image."""
    request: Request
    model: ModelFacts
    hints: Sequence[HintSource] = ()
    """Hints of ControlNets for this image."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values for the record; a mask's file is known by its hash."""
        names = EDITORS[self.request.change.editor].options
        options = {
            name: getattr(self.options, name) for name in names if name not in ("mask", "protect")
        }
        hints = [{"hint": source.hint, "file": source.sha256} for source in self.hints]
        return {
            **options,
            "detail": self.detail,
            **self.request.to_dict(),
            **({"hints": hints} if hints else {}),
            **self.model.to_dict(),
        }

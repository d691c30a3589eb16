"""EditSpec: numbers and choices that an editor needs, derived once from the options of `edit`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from latentdrift.config import EditOptions


def _default(option: str) -> Any:
    """The default of an option of `edit`, which stands in `EditOptions` alone."""
    return EditOptions.model_fields[option].default


@dataclass(frozen=True)
class EditSpec:
    """How an image is edited; each field is the option of `edit` of the same name."""

    strength: float = _default("strength")
    """Share of the trajectory that is run back, (0, 1]."""
    steps: int = _default("steps")
    """Steps of the full trajectory."""
    guidance: float = _default("guidance")
    """Weight w of the changed prompt; 1 is none."""
    image_guidance: float = _default("image_guidance")
    """Weight of the source image, for a network that is shown it."""
    seed: int = _default("seed")
    seeds: int = _default("seeds")
    """Number of counterfactuals, under successive seeds."""
    inversion: str | None = _default("inversion")
    """A row of INVERSIONS; None for the editor's default."""
    iterations: int | None = _default("iterations")
    """Fixed-point iterations at each step of a DDIM inversion; None: as many as it needs."""
    cross_share: float = _default("cross_share")
    """Share of the steps in which cross-attention follows the source."""
    self_share: float = _default("self_share")
    """Share of the steps in which self-attention follows the source."""
    exchange: str = _default("exchange")
    """A row of EXCHANGES."""
    emphasis: tuple[str, ...] = _default("emphasis")
    """Words with weights of their attention, `WORD=WEIGHT`."""
    local_blend: bool = _default("local_blend")
    """Whether the change stays where its words attend."""
    attention_weight: float = _default("attention_weight")
    """Weight of pix2pix-zero's attention loss."""
    focus: float = _default("focus")
    """Share of the pixels that LEDITS leaves unchanged, [0, 1)."""
    mask_threshold: float = _default("mask_threshold")
    """Difference from which on DiffEdit changes a pixel, [0, 1]."""

    @property
    def given_options(self) -> frozenset[str]:
        """Names of the options whose value is not the default."""
        return frozenset(
            field.name for field in fields(self) if getattr(self, field.name) != field.default
        )

    @classmethod
    def of_options(cls, options: EditOptions) -> EditSpec:
        """Copy the fields of an EditSpec from the options of `edit`."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})


def given_options(options: EditOptions) -> frozenset[str]:
    """Names of the options of `edit` whose value is not the default."""
    return frozenset(
        name
        for name, option in EditOptions.model_fields.items()
        if getattr(options, name) != option.default
    )

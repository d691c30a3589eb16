"""Conditioning of a model for each image of a cohort, as in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from latentdrift.adapt.methods.examples import pair_volumes
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches import hint_batches
from latentdrift.adapt.training.batches.latent_cache import Moments
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.visits import previous
from latentdrift.errors import CohortError, OptionError
from latentdrift.longitudinal.tissue_volumes import change_in_percent
from latentdrift.model.model import Model
from latentdrift.study.model_images import prompts_of_rows


@dataclass(frozen=True)
class CohortConditioning:
    """By position in metadata.csv; images of which a model cannot be told as it was in training are
    left out."""

    prompts: Mapping[int, str]
    image_inputs: Callable[[int], Sequence[Tensor]] = lambda row: ()
    """Position -> what the network is shown beside noise and text, [1, ...] each."""

    @classmethod
    def of(cls, model: Model, cohort: Cohort, moments: Moments) -> CohortConditioning:
        """Conditioning of each image of a cohort, as in the training of the model.

        Images without the inputs that the network needs are left out.

        Args:
            model: The model; its method is a row of CONDITIONINGS.
            cohort: The cohort.
            moments: Latent moments of its images.

        Raises:
            CohortError: No image is left.
        """
        name = model.info.method
        return CONDITIONINGS[METHODS[name].image_input if name else None](model, cohort, moments)

    def only(self, rows: Sequence[int]) -> CohortConditioning:
        """Conditioning of the images at these positions in metadata.csv."""
        return replace(self, prompts={row: self.prompts[row] for row in rows})


def _text(model: Model, cohort: Cohort, moments: Moments) -> CohortConditioning:
    """A sentence about the image."""
    return CohortConditioning(prompts_of_rows(model, cohort.rows().to_dict("records")))


def _hints(model: Model, cohort: Cohort, moments: Moments) -> CohortConditioning:
    """Prompts, and hints made from the image or from the visit before."""
    rows = hint_batches.followed(cohort, None, model)
    pictures = hint_batches.of_rows(cohort, hint_batches.hints(model), rows, model.info.side)
    places = {row: place for place, row in enumerate(rows)}
    text = _text(model, cohort, moments).only(rows)
    return replace(text, image_inputs=lambda row: [hint[None] for hint in pictures[places[row]]])


def _sources(model: Model, cohort: Cohort, moments: Moments) -> CohortConditioning:
    """The instruction that leads from the visit before to the image, and that visit's latent."""
    manner = model.info.prompt.manner()
    info = model.info
    cells = cohort.rows().to_dict("index")
    before = previous(cohort.rows())
    volumes = pair_volumes(cohort, manner, before.items(), info.side)
    instructions = {}
    for row, earlier in before.items():
        try:
            instructions[row] = manner.instructs(
                info.describe,
                cells[earlier],
                cells[row],
                info.attributes,
                change_in_percent(volumes[earlier], volumes[row]) if volumes else None,
            )
        except OptionError:  # nothing is known that could be said, as in training
            continue
    if not instructions:
        raise CohortError(
            f"cohort {cohort.folder} has no image with a visit before it, and this network was "
            "trained on pairs of visits"
        )
    return CohortConditioning(
        instructions, lambda row: [model.base.source(moments.means([before[row]]))]
    )


# What a network is shown (`Method.image_input`) -> what it is told and shown of a cohort.
CONDITIONINGS: dict[str | None, Callable[[Model, Cohort, Moments], CohortConditioning]] = {
    None: _text,
    "hint": _hints,
    "source": _sources,
}

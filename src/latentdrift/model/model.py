"""Model: a base with adapters in it, the central type of this package.

`fit` produces one, `Model.load` reads one, and `generate`, `edit`, `drift`, `audit` and the
benchmarks take one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentdrift.config import EditOptions, GenerateOptions
from latentdrift.config.signature import document
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.longitudinal.volume_model import VolumeModel
from latentdrift.model.adapter_info import AdapterInfo, AttributeInfo, HintInfo
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.model.schedule import Schedule
from latentdrift.storage import path_of
from latentdrift.verbs import load

if TYPE_CHECKING:
    from latentdrift.api.counterfactual import Counterfactual
    from latentdrift.api.image_set import ImageSet

SET_AT_LOAD = ("adapter", "also", "base", "device", "precision")
"""Options of `generate` and `edit` that `Model.load` takes, and a loaded model has already."""


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter in a base."""

    method: str
    """A row of METHODS."""
    sha256: str
    """Hash of its weights."""
    weight: float = 1.0
    place: Path | None = None
    """Its folder; None where another tool's file was read directly."""
    cohort_fingerprint: str | None = None
    """The cohort that it was trained on; None where nobody knows."""
    hint: HintInfo | None = None
    """The hint that it reads, of a ControlNet."""

    def to_dict(self) -> dict[str, Any]:
        """Content for a record; the path is left out, because it may name a person."""
        weight = {} if self.place is None else {"weight": self.weight}
        return {"method": self.method, **weight, "sha256": self.sha256}


@dataclass(frozen=True, eq=False)
class Model:
    """A base with adapters in it, or alone."""

    base: Base
    """The networks, with the adapters applied."""
    drift: Drift
    info: AdapterInfo
    """adapter.json of the lowest adapter, with the new words of all."""
    statistics: Statistics | None = None
    """Statistics of the training latents; None for a base alone and for old adapters."""
    base_schedule: Schedule = field(kw_only=True)
    """The base's own schedule, without the adapters'."""
    adapters: tuple[LoadedAdapter, ...] = ()
    """The adapters in the base, the lowest first."""

    @classmethod
    def load(
        cls,
        place: Path | str,
        *,
        also: str | Path | Sequence[str | Path] = (),
        base: str | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> Model:
        """Read a model.

        Args:
            place: A run, an adapter, another tool's file, or a base: a folder or a name.
            also: One or several further adapters on top of it, `RUN` or `RUN=WEIGHT`.
            base: Where the adapter's base lies; default: where it was trained. Another tool's file
                names none, and needs it.
            device: As in `Base.load`.
            precision: As in `Base.load`.

        Raises:
            AdapterError: An adapter is damaged, unsafe, unfinished, or made for another base.
            BaseModelError: The base cannot be loaded.
            OptionError: A weight for an adapter that has none, or `place` is no path.
        """
        from latentdrift.adapt.loading import load_model

        path_of(place, "place")
        references = (also,) if isinstance(also, str | Path) else tuple(also)
        for reference in references:
            path_of(reference, "also")
        further = [str(reference) for reference in references]
        return load_model(place, also=further, base=base, device=device, precision=precision)

    @classmethod
    def of_base(cls, base: Base, resolution: int | None = None) -> Model:
        """A base alone.

        Args:
            base: The base.
            resolution: Pixels on a side of its images; default: the base's own.
        """
        info = AdapterInfo.of_base(base, resolution)
        return cls(base, Drift(), info, base_schedule=base.schedule)

    @property
    def is_base(self) -> bool:
        """Whether the model is a base without adapters."""
        return self.info.method is None

    def about(self, cohort: Cohort) -> Model:
        """Model whose prompts describe a cohort.

        A base takes the cohort's words, and draws grey images for a grey cohort. An adapter keeps
        its own words.

        Args:
            cohort: The cohort.
        """
        if not self.is_base:
            return self
        first_image = cohort.stored(cohort.rows().iloc[0].to_dict())
        words = {
            "describe": cohort.describe,
            "attributes": {
                name: AttributeInfo.model_validate(attribute.model_dump(exclude_unset=True))
                for name, attribute in cohort.attributes.items()
            },
            "colour": first_image.ndim == 3,
        }
        return replace(self, info=self.info.model_copy(update=words))

    def without(self) -> Model:
        """Remove all adapters; the base is unchanged bit for bit.

        This model is used up: it shares its networks with the new one.

        Raises:
            BaseModelError: This model is used up already.
        """
        from latentdrift.adapt.loading import unload_adapters

        self.base.check_usable()
        return Model.of_base(unload_adapters(self), self.info.resolution)

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Fingerprints of the cohorts of the adapters, where known."""
        known = [adapter.cohort_fingerprint for adapter in self.adapters]
        return tuple(fingerprint for fingerprint in known if fingerprint is not None)

    @property
    def volume_model(self) -> VolumeModel | None:
        """Volume model that an adapter brings along; None where none does.

        Raises:
            AdapterError: Its file is damaged.
        """
        places = (adapter.place for adapter in self.adapters)
        models = (VolumeModel.read(place) for place in places if place is not None)
        return next(filter(None, models), None)

    @property
    def adapter_records(self) -> list[dict[str, Any]]:
        """Method, weight and hash of each adapter, for a record."""
        return [adapter.to_dict() for adapter in self.adapters]

    @property
    def identity(self) -> dict[str, Any]:
        """JSON values that determine what the model draws, for the key of a cache."""
        return {
            **self.info.to_dict(),
            "adapters": self.adapter_records,
            "trained_on": list(self.trained_on),
        }

    def generate(
        self,
        prompt: str | Sequence[str] = (),
        *,
        out: Path | str | None = None,
        progress: bool = True,
        **options: Any,
    ) -> ImageSet:
        """Draw synthetic images.

        Args:
            prompt: One prompt or several; none where `like`, `compose` or `interpolate` is given.
            out: Folder for the images; None: a temporary one, see `ImageSet.save`.
            progress: Whether to show a progress bar.
            options: Options of `latentdrift generate`.

        Returns:
            The images, with their prompts.
        """
        result: ImageSet = load("latentdrift.api.functions:generate")(
            self, prompt, out=out, progress=progress, **options
        )
        return result

    def edit(
        self,
        source: Path | str,
        *,
        given: Mapping[str, Any] | None = None,
        set: Mapping[str, Any] | None = None,
        out: Path | str | None = None,
        progress: bool = True,
        **options: Any,
    ) -> Counterfactual:
        """Make the counterfactual of one image.

        Args:
            source: An image: PNG, DICOM or NIfTI.
            given: Attributes of the source image, such as `{"age": 70}`; None: none.
            set: Attributes of the counterfactual, such as `{"age": 85}`; None: none.
            out: Folder for the edit; None: a temporary one, see `Counterfactual.save`.
            progress: Whether to show a progress bar.
            options: Options of `latentdrift edit`.
        """
        result: Counterfactual = load("latentdrift.api.functions:edit")(
            self, source, given=given, set=set, out=out, progress=progress, **options
        )
        return result

    def edit_all(
        self,
        source: Cohort | Path | str,
        *,
        given: Mapping[str, Any] | None = None,
        set: Mapping[str, Any] | None = None,
        out: Path | str | None = None,
        progress: bool = True,
        **options: Any,
    ) -> list[Counterfactual]:
        """Make the counterfactuals of a cohort, a volume or several values.

        Args:
            source: Cohort, image file or volume.
            given: Known attributes of the images, by name; None: none.
            set: Attributes to change, by name; None: none.
            out: Folder of the result; None: a temporary one.
            progress: Whether to show a progress bar.
            options: Options of `latentdrift edit`.

        Raises:
            OptionError, InputError, CohortError: As `edit`.
        """
        result: list[Counterfactual] = load("latentdrift.api.functions:edit_all")(
            self, source, given=given, set=set, out=out, progress=progress, **options
        )
        return result

    def __repr__(self) -> str:
        adapters = ", ".join(adapter.method for adapter in self.adapters) or "no adapter"
        return f"<Model: {self.base.name} with {adapters}>"


document(Model.generate, GenerateOptions, *SET_AT_LOAD)
document(Model.edit, EditOptions, *SET_AT_LOAD)
document(Model.edit_all, EditOptions, *SET_AT_LOAD)

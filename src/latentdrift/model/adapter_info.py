"""AdapterInfo: the content of adapter.json, typed.

`AdapterInfo` describes any model, also a base alone, of which less is known. `AdapterFile` requires
what a file has to hold. Unknown keys and the order of all keys survive a round trip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from latentdrift.attributes.specification import Attribute
from latentdrift.data.cohort.controlnet_hints import Hint
from latentdrift.data.cohort.description import Checked
from latentdrift.data.images.intensity import FORMAT_RANGES, Range
from latentdrift.prompts import Manner, PromptTraining

if TYPE_CHECKING:
    from latentdrift.model.base import Base

FORMAT = 1
"""Version of adapter.json."""
DEFAULT_FAMILY = "sd"
"""Family of a base whose adapter.json names none."""

Number = int | float


class InfoPart(Checked):
    """A frozen part of adapter.json that is written back as it was read."""

    model_config = ConfigDict(frozen=True)

    _key_order: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def keep_key_order(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Validate a part, and note the order of its keys for `in_key_order`.

        Args:
            data: Content of the part, as pydantic gives it.
            handler: The validation that this one wraps.
        """
        part = handler(data)
        if isinstance(data, Mapping):
            part._key_order = tuple(data)
        return part

    @model_serializer(mode="wrap")
    def in_key_order(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Serialise a part with its keys in the order in which they were read; new ones follow.

        Args:
            handler: The serialisation that this one wraps.
        """
        content: dict[str, Any] = handler(self)
        ordered = {key: content[key] for key in self._key_order if key in content}
        return ordered | content

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values; fields that were not given are left out."""
        return self.model_dump(exclude_unset=True)


class AttributeInfo(InfoPart, Attribute):
    """An attribute that a prompt may state, with the range of its numbers in training."""

    low: Number | None = None
    high: Number | None = None


class BaseInfo(InfoPart):
    """The base that an adapter belongs to."""

    name: str
    hash: str
    resolution: int | None = None
    latent_channels: int | None = None
    family: str = DEFAULT_FAMILY
    """A row of FAMILIES; written where it is not the default."""

    @classmethod
    def of_base(cls, base: Base) -> Self:
        """Describe a base by name, hash, shape and family."""
        content = {"resolution": base.resolution, "latent_channels": base.latent_channels}
        return cls.model_validate({**_identity(base), **content})


def _identity(base: Base) -> dict[str, str]:
    """Name and hash of a base, and its family where it is not the default."""
    named = {"name": base.name, "hash": base.hash}
    is_default = base.family.name == DEFAULT_FAMILY
    return named if is_default else {**named, "family": base.family.name}


class OptionsInfo(InfoPart):
    """The options of `fit` that shape the method's parameters; further ones are kept as extras."""

    rank: int | None = None
    train_text_encoder: bool | None = None
    hint: str | None = None


class HintInfo(InfoPart):
    """The hint that a ControlNet reads."""

    kind: str
    column: str | None
    labels: Sequence[int]

    @classmethod
    def of_hint(cls, hint: Hint) -> Self:
        """Describe a hint for adapter.json."""
        return cls(**hint.to_dict())

    def hint(self) -> Hint:
        """Build the hint that this entry describes."""
        return Hint.from_dict(self.to_dict())


class GroupInfo(InfoPart):
    """The drift of a class."""

    phrase: str
    train: Sequence[Number]
    infer: Sequence[Number]


class DriftInfo(InfoPart):
    """The drift and where it comes from; `Drift.from_dict` checks its forms and modes."""

    form: str = "noise_mean"
    mode: str = "infer"
    start: str = "shift"
    train: Sequence[Number] = ()
    infer: Sequence[Number] = ()
    groups: Sequence[GroupInfo] = ()
    source: str = "unknown"
    """none, given, auto (closed form), calibrated, or unknown."""
    t0: Number | None = None
    """Time at which the sampler starts for which the drift was estimated."""

    @property
    def is_none(self) -> bool:
        """Whether the drift is zero, so a stock pipeline draws equal images without it."""
        return not any((*self.train, *self.infer)) and not self.groups and self.start == "shift"


class DriftFile(DriftInfo):
    """The drift as a file has to state it."""

    form: str
    mode: str
    train: Sequence[Number]
    infer: Sequence[Number]


class ScheduleInfo(InfoPart):
    """The schedule that the network was trained with; None where it is the base's own."""

    prediction_type: str | None = None
    zero_snr: bool | None = None


class AdapterReference(InfoPart):
    """An adapter that another one, or an image, was made with."""

    adapter: str
    """Absolute path of its folder."""
    method: str
    weight: Number
    sha256: str


class StartInfo(AdapterReference):
    """An adapter that this one was trained on."""

    needed: bool
    """Whether the adapter works only on top of it."""


class PromptInfo(InfoPart):
    """The wording of the prompts."""

    style: str = "simple"
    patient_info: bool = True
    age_encoding: str = "numerical"
    negate_findings: bool = False
    caption: str | None = None
    instruction: str | None = None

    def manner(self) -> Manner:
        """Prompt style as a type of the prompts package."""
        return Manner(
            self.style,
            self.patient_info,
            self.age_encoding,
            self.negate_findings,
            self.caption,
            self.instruction,
        )


class EndInfo(InfoPart):
    """One end of the intensity windows of the training images."""

    low: Number
    high: Number


class IntensityInfo(InfoPart):
    """The intensity windows of the training images."""

    window_low: EndInfo | None = None
    window_high: EndInfo | None = None


class CohortSummary(InfoPart):
    """The cohort of an adapter: counts and ranges, no patient."""

    fingerprint: str
    images: Mapping[str, int] = Field(default_factory=dict)
    patients: int = 0
    attributes: Mapping[str, str | Mapping[str, str] | None] | None = None


class PreviewVerdict(InfoPart):
    """The realism critics' verdict on preview images of a fit."""

    colour: str
    """green, amber, red, or grey where the critics cannot tell."""
    sentence: str
    """The measurement and its reference."""
    pictures: int
    """Number of images judged."""

    @property
    def line(self) -> str:
        """Verdict in one line, for a log or a model card."""
        return (
            f"{self.pictures} pictures, judged by critics of anatomy: {self.colour}. "
            f"{self.sentence}"
        )


class AdoptedInfo(InfoPart):
    """The file of another tool that an adapter was made of."""

    format: str
    """A row of FORMATS."""
    file: str
    """Name without folder."""
    sha256: str


class SetSizes(InfoPart):
    """Numbers of images that a report compared."""

    synthetic: int
    real: int


class ScoreInfo(InfoPart):
    """One metric of a report."""

    title: str
    value: Number | None
    ci: Sequence[Number] | None
    floor: Number | None
    """Value between real images."""


class ScoresInfo(InfoPart):
    """The latest report on the adapter's images."""

    n: SetSizes
    lights: Sequence[Sequence[str]]
    """(question, colour) each."""
    metrics: Mapping[str, ScoreInfo]
    split: str | None
    cohort: str
    """Fingerprint."""
    version: str


class AdapterInfo(InfoPart):
    """Typed adapter.json, or the same facts of a base alone."""

    format: int | None = None
    method: str | None = None
    """A row of METHODS; None for a base alone."""
    options: OptionsInfo = OptionsInfo()
    hint: HintInfo | None = None
    base: BaseInfo
    schedule: ScheduleInfo = ScheduleInfo()
    drift: DriftInfo = DriftInfo()
    noise: Mapping[str, Any] = Field(default_factory=dict)
    tokens: Sequence[str] = ()
    describe: str = ""
    """The noun of the prompts: the cohort's words, or a learned word."""
    pictures: str = ""
    """The cohort's own words for its images."""
    start: Sequence[StartInfo] = ()
    prompt: PromptInfo = PromptInfo()
    attributes: Mapping[str, AttributeInfo] = Field(default_factory=dict)
    said: Sequence[str] = ()
    """Attributes that the prompt of every training image stated."""
    modalities: Sequence[str] = ()
    resolution: int | None = Field(default=None, ge=1)
    """Pixels on a side."""
    colour: bool | None = None
    depth: int = 8
    """Bits of a grey image."""
    unit: str | None = None
    """Unit of the cohort's intensities; None where it has several, or none is known."""
    intensity: IntensityInfo | None = None
    cohort: CohortSummary | None = None
    adopted: AdoptedInfo | None = None
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: Number | None = None
    trainer: Mapping[str, Any] = Field(default_factory=dict)
    seed: int | None = None
    precision: str | None = None
    losses: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = Field(default_factory=dict)
    early_stopping: Mapping[str, Any] | None = None
    judgement: PreviewVerdict | None = None
    scores: ScoresInfo | None = None
    also: Sequence[AdapterReference] = ()
    """Adapters put on top; part of a loaded model, never of a file."""

    @classmethod
    def of_base(cls, base: Base, resolution: int | None = None) -> AdapterInfo:
        """Facts of a base alone.

        Args:
            base: The base.
            resolution: Pixels on a side of its images; default: the base's own.
        """
        return AdapterInfo(
            method=None,
            base=BaseInfo.model_validate(_identity(base)),
            resolution=resolution or base.resolution,
            colour=True,
            describe="image",
            pictures="image",
            attributes={},
            prompt=PromptInfo(style="simple", patient_info=True),
            drift=DriftInfo(source="none"),
        )

    @property
    def side(self) -> int:
        """Pixels on a side of the images that the model draws.

        Raises:
            ValueError: adapter.json names no resolution.
        """
        if self.resolution is None:
            raise ValueError("adapter.json names no resolution")
        return self.resolution

    @property
    def training(self) -> PromptTraining:
        """Content of the training prompts, with which other prompts are compared."""
        return PromptTraining(
            manner=self.prompt.manner(),
            describe=self.describe,
            spec=self.attributes,
            always_stated=tuple(self.said),
            is_unknown=self.method is None or (self.adopted is not None and not self.tokens),
        )

    @property
    def window(self) -> Range | None:
        """Intensity window that all training images shared.

        The full range of a number format is no window, because 8-bit images do not define the
        intensities of other sources.

        Returns:
            (low, high) in the unit of the images; None where windows differ or are unknown.
        """
        if self.intensity is None:
            return None
        low = self.intensity.window_low
        high = self.intensity.window_high
        if low is None or high is None or low.low != low.high or high.low != high.high:
            return None
        window = float(low.low), float(high.low)
        return None if window in FORMAT_RANGES else window


class AdapterFile(AdapterInfo):
    """adapter.json as it has to be; what older versions did not write is optional."""

    format: int
    method: str
    base: BaseInfo
    drift: DriftFile

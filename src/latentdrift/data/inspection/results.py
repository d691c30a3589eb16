"""Result of an inspection, and the content of inspect.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from latentdrift.data.inspection.registered_visits import RegistrationStatistics


@dataclass(frozen=True)
class SplitSize:
    """Numbers of images and patients of a split."""

    images: int
    patients: int


@dataclass(frozen=True)
class NumberSummary:
    """Distribution of a number; without images, all values but `n` are None."""

    n: float
    mean: float | None = None
    sd: float | None = None
    """Standard deviation of the population."""
    low: float | None = None
    median: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float]:
        """Return the known values by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class NumberAttribute:
    """Distribution of a numeric attribute."""

    type: str
    in_prompts: bool
    missing: int
    """Number of images without a value."""
    by_split: dict[str, NumberSummary]
    """Distribution for each split, and for `all` images."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON values of the attribute."""
        parts = {part: summary.to_dict() for part, summary in self.by_split.items()}
        return asdict(self) | {"by_split": parts}


@dataclass(frozen=True)
class CategoryAttribute:
    """Numbers of images with each value of a categorical attribute."""

    type: str
    in_prompts: bool
    missing: int
    """Number of images without a value."""
    counts: dict[str, dict[str, int]]
    """Value -> number of images for each split, and for `all` images."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON values of the attribute."""
        return asdict(self)


@dataclass(frozen=True)
class AgeHistogram:
    """Histogram of the ages in years."""

    edges: list[float]
    """Edges of the bins in years."""
    counts: dict[str, list[int]]
    """Split -> number of images in each bin."""


@dataclass(frozen=True)
class VisitStatistics:
    """Images per patient, and days between consecutive visits of a patient."""

    images_per_patient: dict[str, int]
    """Number of images -> number of patients."""
    days_between: list[float]
    days_between_median: float | None
    """None without a patient who has two dated visits."""


@dataclass(frozen=True)
class IntensityStatistics:
    """Histograms of the intensities, and shares of clipped pixels."""

    edges: list[float]
    """Edges of the bins over [-1, 1]."""
    by_split: dict[str, list[float]]
    """Split with images -> share of the pixels in each bin; every image counts the same."""
    clipped_low: float
    """Share of the pixels at the lower end of the window."""
    clipped_high: float
    """Share of the pixels at the upper end of the window."""
    windows: dict[str, int]
    """Window -> number of images."""
    units: dict[str, int]
    """Unit of the imported intensities -> number of images; empty where it is not known."""


@dataclass(frozen=True)
class NearDuplicatePair:
    """Two nearly equal images of different splits."""

    files: list[str]
    splits: list[str]
    correlation: float


@dataclass(frozen=True)
class SplitLeaks:
    """Leaks from one split into another."""

    patients: list[str]
    """Patients with images in several splits."""
    pixels: list[str]
    """Hashes of image files that are in several splits."""
    near_duplicates: list[NearDuplicatePair]
    """Pairs of different or unknown patients, the highest correlation first."""


@dataclass(frozen=True)
class Inspection:
    """Counts, ages, visits, intensities and leaks of a cohort, with warnings in sentences.

    The order of the fields is the order of the keys in inspect.json.
    """

    describe: str
    images: int
    patients: int
    splits: dict[str, SplitSize]
    attributes: dict[str, NumberAttribute | CategoryAttribute]
    ages: AgeHistogram | None
    """None where no age is known."""
    visits: VisitStatistics
    modalities: dict[str, int]
    """Modality -> number of images."""
    sizes: dict[str, int]
    """Size in pixels, as "48 x 48" -> number of images."""
    spacing_mm: dict[str, int]
    """Pixel spacing in mm, as "1 x 1" -> number of images."""
    bits: dict[str, int]
    """Bits per stored value -> number of images."""
    intensity: IntensityStatistics
    missing: dict[str, int]
    """Column with empty cells -> number of empty cells."""
    leaks: SplitLeaks
    rejected: dict[str, int]
    """Reason -> number of files that the import rejected."""
    fingerprint: str
    registration: RegistrationStatistics | None
    """None where no visits were registered."""
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of inspect.json."""
        attributes = {name: attribute.to_dict() for name, attribute in self.attributes.items()}
        return asdict(self) | {"attributes": attributes}

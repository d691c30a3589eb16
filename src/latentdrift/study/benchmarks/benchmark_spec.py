"""A bench as a table: FITS, and variants that sample them. A variant is a fit and a start; starts
share fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

DELTA = "{delta}"
"""Placeholder of the bench's drift in the options of a fit or a start."""
NO_START = {"drift": "none", "drift_mode": "infer"}


@dataclass(frozen=True)
class FitRow:
    """Options of `fit` that a row sets, by their names; None: the default of `fit`."""

    drift: str
    """{delta} is the drift of the bench."""
    drift_mode: str | None = None
    noise: tuple[str, ...] | None = None
    zero_snr: bool | None = None
    prediction: str | None = None
    instruction: str | None = None
    prompt_style: str | None = None
    patient_info: bool | None = None
    start: str | None = None
    """Method whose fit of the table's `before` this fit starts from; None: it starts from the
    base."""


@dataclass(frozen=True)
class Variant:
    """A row: which fit is sampled, and how sampling starts."""

    summary: str
    fit: str | None
    """Row of the table's fits; None for what no method is fitted for: the base as it is, real
    pictures."""
    start: Mapping[str, str] = field(default_factory=lambda: NO_START)
    """Options of `generate`; {delta} is the scalar drift, {searched} what a search on this method's
    plain fit chose."""
    real: float = 0.0
    """Share of real training pictures among those that the classifier learns from; where there are
    any, it alone judges."""

    @property
    def searched(self) -> bool:
        """Whether the variant needs a search of delta on the plain fit."""
        return "{searched}" in self.start.values()


def always(method: str, variant: str) -> bool:
    """Condition of tables in which every method can do every variant: True."""
    return True


@dataclass(frozen=True)
class Table:
    """Table of a bench: its fits, variants and explanations."""

    title: str
    fits: Mapping[str, FitRow]
    """Fits by name."""
    variants: Mapping[str, Variant]
    follows: Literal["train", "test"]
    """Split whose table the synthetic images follow: `test` row by row; `train` by random rows,
    with equal numbers of both classes where there are classes."""
    metric_titles: Mapping[str, str] = field(default_factory=dict)
    """Metrics that are shown beside distances and AUC -> their titles."""
    editor: str | None = None
    """A row of EDITORS that makes the pictures: first visits of test patients, changed into their
    last ones. A variant without a fit then is a row of BASELINES (editing.py)."""
    before: FitRow | None = None
    """Fit that others start from; rows of `fits` name its method under `start`."""
    paper: Mapping[tuple[str | None, str], tuple[float | None, ...]] = field(default_factory=dict)
    """(method, variant) -> the paper's numbers; under None as method those of a row that belongs to
    no method."""
    paper_columns: tuple[str, ...] = ()
    """Titles of the paper's numbers."""
    note: str = ""
    """Explanation for the reader of the table."""
    possible: Callable[[str, str], bool] = always
    """(method, variant) -> whether a method can do a variant."""
    answers: bool = False
    """Show how pictures answer to the drift of the start."""

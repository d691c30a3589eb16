"""Edits whose right answer is known: phantoms under other attributes, and patients who came
again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from latentdrift import prompts
from latentdrift.attributes.specification import AttributeValue, AttributeValues, Spec
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.visits import clocks, pairs
from latentdrift.data.images import image_readers
from latentdrift.data.images.image import Image
from latentdrift.data.images.letterbox import Fit
from latentdrift.data.phantom import phantom
from latentdrift.data.phantom.phantom import BrainAttributes, PhantomAttributes
from latentdrift.edit.io.edit_inputs import Subject
from latentdrift.errors import CohortError, OptionError
from latentdrift.longitudinal.visit_intervals import VisitInterval, interval
from latentdrift.seeds import derive
from latentdrift.study.editors.structures import Structure

YEARS = 15  # that a phantom ages
VISIT = 1  # seed of the scanner: the same for a phantom and its counterfactual


@dataclass(frozen=True, eq=False)
class Case:
    """One image, one change, and what should come of it."""

    subject: Subject
    group: str
    """Name of the change."""
    changes: AttributeValues
    add: tuple[str, ...]
    truth: np.ndarray
    """[R, R] in [0, 1], in the model's geometry."""
    patient: str
    row: int | None = None
    """Position in the cohort; None of a phantom."""
    interval: VisitInterval | None = None
    """Time to the true later visit; None of a phantom."""
    structure: Structure | None = None
    """Structure that is measured in a phantom's images; None without a phantom."""


@dataclass(frozen=True)
class PhantomChange:
    """Change of a healthy phantom."""

    years: int = 0
    """Years that it ages."""
    diagnosis: str | None = None
    """Diagnosis that it gets; None: it stays healthy."""
    findings: tuple[str, ...] = ()
    """Findings that it gets."""

    def after(self, healthy: PhantomAttributes) -> PhantomAttributes:
        """Attributes of a phantom after the change.

        Args:
            healthy: Attributes before it.
        """
        older = replace(healthy, age=healthy.age + self.years)
        if isinstance(older, BrainAttributes):
            return replace(older, diagnosis=self.diagnosis or older.diagnosis)
        return replace(older, findings=self.findings)

    def wanted(self, healthy: PhantomAttributes) -> dict[str, AttributeValue]:
        """Values that an edit sets, as `edit` takes them; findings are added instead.

        Args:
            healthy: Attributes before the change.
        """
        age: dict[str, AttributeValue] = {"age": healthy.age + self.years} if self.years else {}
        return age | ({"diagnosis": self.diagnosis} if self.diagnosis else {})


CHANGES: dict[str, dict[str, PhantomChange]] = {
    "brain": {
        f"age +{YEARS}": PhantomChange(years=YEARS),
        "dementia": PhantomChange(diagnosis="dementia"),
    },
    "chest": {
        "effusion": PhantomChange(findings=("effusion",)),
        "cardiomegaly": PhantomChange(findings=("cardiomegaly",)),
    },
}
"""Kind of phantom -> name of a change -> the change."""


def _healthy(attributes: PhantomAttributes) -> PhantomAttributes:
    """The same phantom without a disease."""
    if isinstance(attributes, BrainAttributes):
        return replace(attributes, diagnosis=phantom.DIAGNOSES[0])
    return replace(attributes, findings=())


def of_phantoms(kind: str, n: int, seed: int, resolution: int, spec: Spec) -> list[Case]:
    """Edits of n phantoms, equally many of each row of CHANGES; original and truth differ by the
    change alone.

    Args:
        kind: Row of `phantom.KINDS`.
        n: Number of edits.
        seed: Seed of the phantoms, which no cohort contains.
        resolution: R, pixels on a side.
        spec: Attributes of the adapter's cohort.

    Raises:
        OptionError: An unknown kind, or an adapter without the attributes of the change.
    """
    kinds = phantom.kind_of(kind)
    lacking = [name for name in ("age", "sex", kinds.column) if name not in spec]
    if lacking:
        raise OptionError(
            f"the adapter does not know {' and '.join(lacking)} of a {kind} phantom; fit one on a "
            f"cohort that `latentdrift phantom --kind {kind}` and `import` make"
        )
    cases = []
    names = list(CHANGES[kind])
    for index in range(n):
        name = names[index % len(names)]
        number = derive(seed, "bench", kind, index) % 2**31
        change = CHANGES[kind][name]
        before = _healthy(kinds.history(np.random.default_rng(number), 1)[0].attributes)
        after = change.after(before)
        first, second = (
            kinds.render(number, state, visit=VISIT, size=resolution) for state in (before, after)
        )
        was, becomes = (kinds.labels(number, state, resolution) for state in (before, after))
        subject = Subject(
            f"{index:06d}",
            Image(first, (0.0, 1.0)),
            phantom.table_cells(before),
            Fit(resolution, resolution, resolution),
        )
        cases.append(
            Case(
                subject,
                name,
                change.wanted(before),
                change.findings,
                second.astype(np.float64),
                f"{index:06d}",
                structure=Structure.of(kind, was, becomes, kinds.tissues),
            )
        )
    return cases


@dataclass(frozen=True)
class Visits:
    """First and last visit of a patient in one view."""

    first: int
    """Position in metadata.csv."""
    last: int
    known: AttributeValues
    """Attributes at the first one."""
    changes: AttributeValues
    """Age and diagnosis at the last one, where they are others."""


def visits(cohort: Cohort, split: str, spec: Spec) -> list[Visits]:
    """First and last visit of each patient and view with several visits.

    Visits that a prompt cannot distinguish are left out.

    Args:
        cohort: The cohort.
        split: Its split.
        spec: Attributes that prompts can state.
    """
    table = cohort.rows(split)
    pairs = []
    for first, last in _ends(table):
        known, later = (
            prompts.attributes_of(table.loc[position].to_dict(), spec) for position in (first, last)
        )
        changes = {
            name: value
            for name, value in later.items()
            if name in ("age", "diagnosis") and value != known.get(name)
        }
        sentences = [
            prompts.sentence(cohort.describe, state) for state in (known, {**known, **changes})
        ]
        pairs += [Visits(first, last, known, changes)] if sentences[0] != sentences[1] else []
    return pairs


def of_visits(cohort: Cohort, split: str, resolution: int, spec: Spec) -> list[Case]:
    """First visit of each patient of a split, to be changed into what the table says of the last
    one.

    Args:
        cohort: With patients who came twice or more.
        split: Train, validation or test.
        resolution: R.
        spec: The adapter's attributes.

    Raises:
        CohortError: No patient of the split came twice.
    """
    table = cohort.rows(split)
    cases = []
    for ends in visits(cohort, split, spec):
        row = table.loc[ends.first].to_dict()
        (image,) = image_readers.read(cohort.folder / row["file_name"])
        subject = Subject(
            str(ends.first), image, ends.known, cohort.fit(row, image.pixels, resolution)
        )
        truth = (cohort.batch(table.loc[[ends.last]], resolution)[0].mean(0) + 1) / 2
        patient = str(row["patient"])
        position = int(ends.first)
        cases.append(
            Case(
                subject,
                "next visits",
                ends.changes,
                (),
                truth.astype(np.float64),
                patient,
                position,
                interval(table, ends.first, ends.last, spec),
            )
        )
    if not cases:
        raise CohortError(
            f"no patient of the {split} split of {cohort.folder} came twice; take another `split` "
            "or `phantom`"
        )
    return cases


def _ends(table: Any) -> Iterator[tuple[int, int]]:
    """(first, last) visit of each patient and view that has two, as positions."""
    times = dict(zip(table.index, clocks(table)[:, 0], strict=True))
    longest: dict[tuple[str, str], tuple[int, int]] = {}
    for first, last in pairs(table):
        key = (str(table.loc[first, "patient"]), str(table.loc[first, "view"]))
        known = longest.get(key)
        if known is None or _gap(times, first, last) > _gap(times, *known):
            longest[key] = (first, last)
    yield from longest.values()


def _gap(times: Mapping[int, float], first: int, last: int) -> float:
    """Days between two visits; 0 where they are not known."""
    return float(np.nan_to_num(times[last] - times[first]))

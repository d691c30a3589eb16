"""Changes that the records of edits request, in the terms of the attribute predictors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from latentdrift import prompts
from latentdrift.attributes.specification import Spec
from latentdrift.errors import InputError
from latentdrift.evaluate.attributes.attribute_predictors import Judges, Output
from latentdrift.evaluate.images.recorded_edits import EditRecord


@dataclass(frozen=True, eq=False)
class RequestedChanges:
    """Attributes of E edits, as K judges would have them.

    Attributes:
        before, after: float [E, K]; NaN where nobody said.
        touched: bool [E, K]: what was to change.
        names: [E], kinds of change of each edit: `age up`, `diagnosis=dementia`, `findings=Effusion
            removed`.
        places: Kind of change -> (which judge, the value that it should then see; 0 for a number).
        numbers: Kinds of change of numeric attributes.
    """

    before: np.ndarray
    after: np.ndarray
    touched: np.ndarray
    names: list[list[str]]
    places: dict[str, tuple[int, float]]
    numbers: frozenset[str] = frozenset()

    @classmethod
    def of(cls, judges: Judges, records: Sequence[EditRecord], spec: Spec) -> RequestedChanges:
        """Read the requested changes from the record of each edit.

        Args:
            judges: Trained attribute predictors.
            records: Record of each edit.
            spec: Attributes of the cohort.

        Raises:
            InputError: A record does not state the request, or no requested attribute has a
                predictor.
        """
        states = [record.states(spec) for record in records]
        before, after = (
            judges.truths(pd.DataFrame([pair[side] for pair in states]), len(states))
            for side in (0, 1)
        )
        touched = np.zeros(after.shape, bool)
        names: list[list[str]] = []
        places: dict[str, tuple[int, float]] = {}
        for edit, record in enumerate(records):
            names.append([])
            for place, output in enumerate(judges.outputs):
                was = before[edit, place]
                wanted = after[edit, place]
                touched[edit, place] = (
                    not np.isnan(wanted)
                    and was != wanted
                    and (not np.isnan(was) or _is_named(output, record))
                )
                if touched[edit, place] and (kind := _kind(output, was, wanted)):
                    names[-1].append(kind)
                    places[kind] = place, 0.0 if output.value is None else float(wanted)
        if not places:
            raise InputError(
                "no edit requests an attribute that classifiers could learn from the "
                "training images; see `alignment` in docs/evaluating.md for what they need"
            )
        numbers = frozenset(
            kind for kind, (place, _) in places.items() if judges.outputs[place].value is None
        )
        return cls(before, after, touched, names, places, numbers)

    @property
    def kinds(self) -> dict[str, int]:
        """Kind of change -> number of edits."""
        return {kind: int(self.rows(kind).sum()) for kind in self.places}

    def rows(self, kind: str) -> np.ndarray:
        """Edits with a kind of change, bool [E]."""
        return np.array([kind in names for names in self.names])

    def is_number(self, kind: str) -> bool:
        """Whether a kind of change is of a numeric attribute."""
        return kind in self.numbers

    def target(self, kind: str) -> tuple[int, float]:
        """Output of the predictors for a kind of change, and the value that it should have after
        the edit."""
        return self.places[kind]


def _is_named(output: Output, record: EditRecord) -> bool:
    """Whether the request names the attribute of a predictor."""
    return output.attribute in record.named or (
        output.attribute == "findings" and output.value in record.findings
    )


def _kind(output: Output, was: float, wanted: float) -> str | None:
    """Name of a change; None where it follows from another one, such as the value that a category
    leaves, or "No Finding"."""
    if output.value is None:
        return f"{output.attribute} {'set' if np.isnan(was) else 'up' if wanted > was else 'down'}"
    if output.attribute == "findings":
        if str(output.value).lower() in prompts.NO_FINDING:
            return None
        return f"{output.name} {'added' if wanted else 'removed'}"
    if output.other is not None:
        return f"{output.attribute}={output.value if wanted else output.other}"
    return output.name if wanted else None

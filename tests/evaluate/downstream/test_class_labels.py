"""Classes of a cohort: as its cells spell them, and findings one against the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tiny import tiny_cohort

from latentdrift.attributes.specification import Attribute
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, InputError, OptionError
from latentdrift.evaluate.downstream.class_labels import Classes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of fifteen patients; half of them have dementia, a large dark disc."""
    return tiny_cohort(tmp_path_factory.mktemp("tables") / "cohort", 30)


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Cohort:
    return Cohort.load(folder)


def test_classes_are_named_as_the_cohort_spells_them(cohort: Cohort) -> None:
    assert (
        str(Classes.of(cohort, None)) == "diagnosis=dementia"
    )  # the first category of two values but sex
    sex_alone = cohort.info.model_copy(update={"attributes": {"sex": cohort.attributes["sex"]}})
    alone = replace(cohort, info=sex_alone)
    assert str(Classes.of(alone, None)) == "sex=F"
    assert str(Classes.of(cohort, "Diagnosis")) == "diagnosis=dementia"
    assert str(Classes.of(cohort, "diagnosis=No Dementia")) == "diagnosis=no dementia"
    rows = pd.DataFrame(
        {
            "diagnosis": ["dementia", "no dementia", None],
            "findings": ["Effusion|Nodule", "No Finding", None],
        }
    )
    for by in (Classes("diagnosis", "dementia"), Classes("findings", "Effusion")):
        assert np.array_equal(by.labels(rows), [1, 0, np.nan], equal_nan=True)


def test_findings_are_one_against_the_rest(cohort: Cohort) -> None:
    table = cohort.table.assign(findings=["No Finding", "Effusion|Nodule", "Nodule"] * 10)
    words = ["Effusion", "No Finding", "Nodule"]
    spec = {"findings": Attribute(type="findings", vocabulary=words)}
    info = cohort.info.model_copy(update={"attributes": spec})
    chests = replace(cohort, table=table, info=info)
    assert str(Classes.of(chests, "findings=effusion")) == "findings=Effusion"
    assert Classes("findings", "Effusion").labels(table).sum() == 10
    with pytest.raises(
        OptionError,
        match=(
            r"`by=findings`: 3 values, .* `by=findings=VALUE`; known: Effusion, No Finding, "
            r"Nodule"
        ),
    ):
        Classes.of(chests, "findings")
    with pytest.raises(OptionError, match="unknown finding 'Efusion'; known: Effusion"):
        Classes.of(chests, "findings=Efusion")
    with pytest.raises(
        CohortError, match=r"no category .* has exactly two values; say `by=ATTRIBUTE=VALUE`"
    ):
        Classes.of(chests, None)


@pytest.mark.parametrize(
    ("sexes", "counts"), [("MMMF", "3 images with sex=M and 1 without"), ("FF", "0 ")]
)
def test_a_synthetic_cohort_has_images_of_each_class(sexes: str, counts: str) -> None:
    few = SimpleNamespace(folder="drawn", rows=lambda: pd.DataFrame({"sex": list(sexes)}))
    with pytest.raises(CohortError, match=f"the synthetic cohort drawn has {counts}"):
        Classes("sex", "M").check_synthetic(few)
    enough = SimpleNamespace(folder="drawn", rows=lambda: pd.DataFrame({"sex": list("MMFF")}))
    Classes("sex", "M").check_synthetic(enough)
    with pytest.raises(InputError, match="no column 'diagnosis'"):
        Classes("diagnosis", "dementia").check_synthetic(enough)

"""Tissue volumes against phantoms, whose volumes are known, and against published ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import places
import pytest
from scipy.stats import spearmanr

from latentdrift.config import ImportOptions
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.phantom import phantom, phantom_brain
from latentdrift.errors import InputError
from latentdrift.longitudinal.tissue_volumes import VOLUMES, head_mask, tissue_volumes

DATA = places.SHARED / "data" / "oasis2"
SIDE = 128


@pytest.fixture(scope="module")
def phantoms() -> pd.DataFrame:
    """Measured and true shares of 20 phantoms of all ages."""
    row = phantom.kind_of("brain")
    rows = []
    for subject in range(20):
        state = row.history(np.random.default_rng(subject), 1)[0].attributes
        state = type(state)(**{**vars(state), "age": 60 + 1.5 * subject})
        picture = np.asarray(row.render(subject, state, visit=1, size=SIDE), dtype=float)
        true = phantom_brain.tissues(subject, state, SIDE)
        head = head_mask(picture).sum()
        measured = tissue_volumes(picture)
        fluid = (true["fluid"].sum() + true["ventricle"].sum()) / head
        rows.append(
            {name: of(measured) for name, of in VOLUMES.items()}
            | {"true fluid": fluid, "true ventricles": true["ventricle"].sum() / head}
        )
    return pd.DataFrame(rows)


def test_phantoms_have_the_volumes_that_they_were_drawn_with(phantoms: pd.DataFrame) -> None:
    for name in ("fluid", "ventricles"):
        assert np.corrcoef(phantoms[name], phantoms[f"true {name}"])[0, 1] > 0.95
    assert phantoms["ventricles"].to_numpy() == pytest.approx(
        phantoms["true ventricles"].to_numpy(), abs=0.015
    )


def test_shares_of_the_tissues_are_the_whole_head(phantoms: pd.DataFrame) -> None:
    assert (phantoms[["fluid", "grey", "white"]].sum(axis=1)).to_numpy() == pytest.approx(1)
    assert (phantoms["ventricles"] < phantoms["fluid"]).all()


def test_brightness_and_contrast_do_not_count() -> None:
    """A scanner's gain and offset leave the volumes."""
    row = phantom.kind_of("brain")
    state = row.history(np.random.default_rng(0), 1)[0].attributes
    picture = np.asarray(row.render(0, state, visit=1, size=SIDE), dtype=float)
    one, other = tissue_volumes(picture), tissue_volumes(0.6 * picture + 0.1)
    for of in VOLUMES.values():
        assert of(other) == pytest.approx(of(one), abs=0.01)


def test_nothing_has_no_volumes() -> None:
    assert np.isnan(tissue_volumes(np.zeros((32, 32))).fluid)
    with pytest.raises(InputError, match=r"\[H, W\]"):
        tissue_volumes(np.zeros((2, 32, 32)))


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_fluid_follows_the_published_brain_volume(tmp_path) -> None:
    """nWBV of OASIS-2 is measured in 3-D by others; a slice's fluid falls as it rises."""
    cohort = import_cohort(ImportOptions(source=DATA, out=tmp_path / "cohort", preset="oasis2"))
    rows = cohort.table.iloc[::4]
    volumes = [tissue_volumes(cohort.stored(row).astype(float)) for row in rows.to_dict("records")]
    for name, most in (("fluid", -0.7), ("ventricles", -0.5)):
        values = [VOLUMES[name](one) for one in volumes]
        assert spearmanr(values, rows["nwbv"].astype(float)).statistic < most

"""Setup of a fit: what is decided before any work, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import asked, short_fit

from latentdrift.adapt.training.batches.latent_cache import Moments
from latentdrift.adapt.training.batches.row_cache import BLOCK, blocks
from latentdrift.adapt.training.setup import training_setup
from latentdrift.adapt.training.setup.training_setup import (
    SAMPLING_STEPS,
    drift_classes,
    job,
    learned,
    resolve_drift,
    scheduled,
)
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort, write_cohort
from latentdrift.errors import CohortError, OptionError
from latentdrift.model.base import Base


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


@pytest.fixture
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)


def options(cohort: Cohort, **given: Any) -> FitOptions:
    where = {"cohort": cohort.folder, "out": cohort.folder / "run", "resolution": 32}
    return FitOptions(**{**where, "method": "lora", **given})


def test_a_job_has_the_images_and_prompts_of_its_splits(base: Base, cohort: Cohort) -> None:
    asked = job(base, cohort, options(cohort, batch_size=3, accumulate=4))
    assert list(asked.positions) == list(cohort.rows("train").index)
    assert len(asked.validation) == len(cohort.rows("validation"))
    assert asked.images_per_step == 12 and asked.hint is None and asked.sources == ()
    captions = {example.caption for example in (*asked.train, *asked.validation)}
    assert set(asked.prompts) == captions | {""}
    assert asked.settings["cohort"] == cohort.fingerprint and asked.settings["base"] == base.hash
    assert "out" not in asked.settings and asked.settings["resolution"] == 32
    longest = asked.check_prompts(base)
    assert base.count(longest) == max(map(base.count, asked.prompts))


def test_what_does_not_shape_the_result_is_no_setting(base: Base, cohort: Cohort) -> None:
    plain = job(base, cohort, options(cohort)).settings
    same = job(base, cohort, options(cohort, preview_every=7, gradient_checkpointing=True)).settings
    other = job(base, cohort, options(cohort, seed=1)).settings
    assert plain == same != other


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"method": "loar"}, OptionError, "unknown method 'loar'"),
        ({"drift": "much"}, OptionError, "much"),
        ({"concept_by": "sex"}, OptionError, "`concept_by` gives values new words"),
        ({"drift_by": "sex", "drift": "0.1"}, OptionError, "needs `drift=auto`"),
        ({"drift_by": "age", "drift": "auto"}, OptionError, "unknown category for `drift_by`"),
        (
            {"drift_by": "sex", "drift": "auto", "patient_info": False},
            OptionError,
            "which `patient_info=False` leaves out",
        ),
        ({"drift": "calibrated", "drift_form": "per_step"}, OptionError, "goes with"),
        ({"drift_mode": "leak-pixel", "drift": "none"}, CohortError, "training images, there are"),
    ],
)
def test_options_that_cannot_be_met_are_refused(
    given: dict[str, Any], error: type[Exception], message: str, base: Base, cohort: Cohort
) -> None:
    with pytest.raises(error, match=message):
        job(base, cohort, options(cohort, **given))


def test_many_images_are_measured_by_some_that_are_evenly_spread(
    base: Base, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = job(base, cohort, options(cohort)).measured
    assert everything == job(base, cohort, options(cohort)).positions
    monkeypatch.setattr(training_setup, "MEASURED", 4)
    few = job(base, cohort, options(cohort, drift="auto", drift_by="sex"))
    first = everything[0] // BLOCK
    assert few.measured == tuple(row for row in everything if row // BLOCK == first)
    members = [row for rows in drift_classes(few, cohort).values() for row in rows]
    assert {*members} <= {*few.measured}


def test_a_fit_encodes_the_images_that_it_reads_and_no_others(
    base: Base, tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_setup, "MEASURED", 8)
    values = np.random.default_rng(0).integers(0, 256, (80, 8, 8), dtype=np.uint8)
    splits = ["train"] * 64 + ["validation"] * 8 + ["test"] * 8
    images = zip(values, ({"split": split} for split in splits), strict=True)
    many = write_cohort(tmp_path / "many", images, {"describe": "scan"})
    short = asked(tiny_base_folder, many, tmp_path / "run", steps=2, batch_size=2)
    todo = job(base, many, short)
    read = todo.read
    assert len(read) <= 8 + 4 + 8 and todo.measured == (0, 1, 2, 3, 60, 61, 62, 63)
    short_fit(tiny_base_folder, many, tmp_path / "run", steps=2, batch_size=2)
    done = np.load(next((tmp_path / "run" / "cache").glob("latents-*")) / "done.npy")
    assert {*np.flatnonzero(done)} == {*blocks(read)} and done.mean() < 0.6


def test_a_cohort_without_training_images_is_refused(base: Base, cohort: Cohort) -> None:
    cohort.table["split"] = "test"
    with pytest.raises(CohortError, match="has no image in its train split"):
        job(base, cohort, options(cohort))


def test_a_network_that_stays_as_it_is_predicts_what_it_did(base: Base, cohort: Cohort) -> None:
    changed = scheduled(base, options(cohort, method="full", prediction="v_prediction"))
    assert changed.schedule.prediction_type == "v_prediction" and changed.hash == base.hash
    assert learned(base, options(cohort)) == base.schedule
    word = options(cohort, method="textual-inversion", prediction="v_prediction")
    with pytest.raises(OptionError, match="take `method=full`"):
        scheduled(base, word)


def latents(cohort: Cohort, levels: dict[str, float]) -> Moments:
    """Latents whose mean follows the sex of their image."""
    means = [np.full((4, 4, 4), levels[sex], np.float32) for sex in cohort.rows()["sex"]]
    return Moments(np.stack(means), np.zeros((len(means), 4, 4, 4), np.float32))


@pytest.mark.parametrize("mode", ["infer", "both"])
def test_an_estimated_drift_is_the_leaked_mean_of_each_class(
    mode: str, base: Base, cohort: Cohort
) -> None:
    """delta = a_T mean(x0); trained in as well, the start has twice as much."""
    asked = job(base, cohort, options(cohort, drift="auto", drift_mode=mode, drift_by="sex"))
    classes = drift_classes(asked, cohort)
    members = [position for positions in classes.values() for position in positions]
    assert sorted(members) == list(asked.positions)
    drift, facts = resolve_drift(asked, base, cohort, latents(cohort, {"F": 1.0, "M": 3.0}))
    t0 = int(base.schedule.timesteps(SAMPLING_STEPS)[0])
    leaked = float(base.schedule.a(t0))
    factor = 2 if mode == "both" else 1
    found = {group.phrase: group.infer[0] for group in drift.groups}
    for phrase, positions in classes.items():
        level = {"F": 1.0, "M": 3.0}[cohort.rows()["sex"].iloc[positions[0]]]
        assert found[phrase] == pytest.approx(factor * leaked * level, rel=1e-4)
    assert facts.source == "auto" and facts.t0 == t0
    assert bool(drift.train) == (mode == "both")


def test_a_given_drift_needs_no_latents(base: Base, cohort: Cohort) -> None:
    for text, source in (("none", "none"), ("0.1", "given")):
        asked = job(base, cohort, options(cohort, drift=text))
        drift, facts = resolve_drift(asked, base, cohort, None)
        assert facts.source == source and bool(drift.infer) == (text != "none")

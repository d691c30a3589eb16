"""Fixtures shared by all tests: one thread, no network, tiny bases made once per session."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

# parallel test processes must not fight for the cores
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
# a shell's background jobs ignore Ctrl-C, and tests of it would pass it on to their processes
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from tiny import tiny_base, tiny_cohort

from latentdrift.data.tables import pseudonymization


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker a run of neighbouring tests, so that no two make the same module fixture."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


def pytest_collection_finish() -> None:
    """Spare the garbage collector the objects of imported libraries, which live to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="module")
def few_candidates() -> Iterator[None]:
    """The search for copies lays few training images over each image, for tests of what is made of
    its findings; tests/evaluate/privacy and test_planted_copies.py search as users do."""
    from latentdrift.evaluate.images import registration

    with pytest.MonkeyPatch.context() as patch:
        few = ((0, 12, 1), (1, 8, 1), (1, 4, 3), (2, 2, 2))
        stages = tuple(registration.Stage(*stage) for stage in few)
        patch.setattr(registration, "STAGES", stages)
        yield


@pytest.fixture(scope="module", autouse=True)
def fits_draw_little() -> Iterator[None]:
    """Fits draw class pictures and previews in 4 steps in place of 50 and 20, and measure the
    held-out loss on 8 draws in place of 24. `--drift calibrated`, their default, draws 8 pictures
    once in 6 steps, in place of 32 up to four times in 25 steps.

    test_prior_preservation.py, test_batches.py and test_drift_calibration.py have the users'
    numbers where those matter.
    """
    if "torch" not in sys.modules:  # these modules fit nothing
        yield
        return
    from latentdrift.adapt.training.batches import batches
    from latentdrift.adapt.training.loop import preview
    from latentdrift.adapt.training.setup import copy_slope, drift_calibration, prior_preservation

    with pytest.MonkeyPatch.context() as patch:
        few = replace(prior_preservation.SAMPLING, steps=4)
        patch.setattr(prior_preservation, "SAMPLING", few)
        patch.setattr(preview, "PREVIEW", replace(preview.PREVIEW, steps=4))
        patch.setattr(batches, "HELD_OUT", 8)
        patch.setattr(drift_calibration, "PICTURES", 8)
        few = replace(drift_calibration.SAMPLING, steps=6)
        patch.setattr(drift_calibration, "SAMPLING", few)
        patch.setattr(copy_slope, "PASSES", 0)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_salt() -> Iterator[None]:
    """Imports without `--salt` draw the same one, so that pseudonyms, and with them splits and
    fits, are every run's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pseudonymization.secrets, "token_hex", lambda length: "5a" * length)
        yield


@pytest.fixture(scope="session")
def tiny_base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base that predicts eps."""
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def tiny_v_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base that predicts v."""
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny-v", prediction_type="v_prediction")


@pytest.fixture(scope="session")
def tiny_cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve 32 px phantoms of six patients."""
    return tiny_cohort(tmp_path_factory.mktemp("cohort") / "tiny")

"""Fixtures shared by all tests: one thread, no network, tiny bases made once per session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # parallel test processes must not fight for the cores
os.environ["HF_HUB_OFFLINE"] = "1"

from tiny import tiny_base, tiny_cohort

from latentdrift.data.tables import pseudonymization


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

"""Edits of `edit` by several workers: those of one process, to the bit, with their records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dicoms
import numpy as np
import pytest
from kills import contents
from local_workers import local_workers
from PIL import Image

from latentdrift import config, service
from latentdrift.data.images.dicom.uids import Uids
from latentdrift.errors import ResourceError

Edit = Callable[..., Path]


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    options = config.FitOptions(
        cohort=tiny_cohort_folder,
        base=str(tiny_base_folder),
        out=out,
        steps=2,
        batch_size=2,
        preview_every=0,
        precision="fp32",
        drift="none",
    )
    service.run("fit", options, quiet=True)
    return out


@pytest.fixture
def edit(run: Path, tiny_cohort_folder: Path, tmp_path: Path) -> Edit:
    """Edits of a cohort; returns their folder."""

    def make(name: str, **more: Any) -> Path:
        values = {"source": tiny_cohort_folder, "set": ("age=85",), "steps": 2, "limit": 3, **more}
        options = config.EditOptions(adapter=str(run), out=tmp_path / name, gate=False, **values)
        service.run("edit", options, quiet=True)
        return tmp_path / name

    return make


def records(out: Path) -> dict[str, bytes]:
    """Records of all edits."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.glob("*/**/record.json")}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"reverse": True},
        {"set": (), "grid": ("age=85,86",), "limit": 2},
        {"set": (), "grid": ("age=85,86",), "limit": 1},
    ],
    ids=["images", "reversed", "values of several", "values of one"],
)
def test_workers_make_the_edits_of_one_process(more: dict[str, Any], edit: Edit) -> None:
    alone = edit("one", **more)
    with local_workers() as engines:
        together = edit("two", workers=2, **more)
    assert len(engines[0].sides) == 2
    assert contents(alone) == contents(together)
    assert records(alone) == records(together) != {}


def test_edits_of_an_image_stay_together_where_that_keeps_all_workers_busy(edit: Edit) -> None:
    grid: dict[str, Any] = {"set": (), "grid": ("age=85,86,87",), "limit": 2}
    with local_workers() as engines:
        edit("two", workers=2, **grid)
        edit("three", workers=3, **grid)
    sizes = [sorted(len(item) for item in engine.items) for engine in engines]
    assert sizes == [[3, 3], [1] * 6]


def test_a_dead_worker_loses_nothing_and_others_go_on(edit: Edit) -> None:
    alone = edit("one")
    with local_workers(deaths=1):
        together = edit("two", workers=2, limit=1)
    stamps = {path: path.stat().st_mtime_ns for path in together.glob("*/counterfactual.png")}
    with local_workers() as engines:
        edit("two", workers=2)
    assert len(engines[0].items) == 2
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert contents(alone) == contents(together)


def test_workers_read_files_of_any_kind(edit: Edit, tmp_path: Path) -> None:
    """A mask and pixels travel with their requests."""
    values = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "scan.png")
    mask = np.zeros_like(values)
    mask[8:30, 8:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    more: dict[str, Any] = {
        "source": tmp_path / "scan.png",
        "given": ("age=70", "diagnosis=no dementia"),
        "mask": tmp_path / "mask.png",
    }
    alone = edit("one", **more)
    with local_workers():
        together = edit("two", workers=2, **more)
    assert contents(alone) == contents(together)


def test_uids_of_workers_are_mapped_under_one_secret(edit: Edit, tmp_path: Path) -> None:
    import pydicom

    stored = np.random.default_rng(0).integers(0, 4096, (3, 32, 32)).astype(np.uint16)
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    scan = dicoms.saved(tmp_path / "scan.dcm", stored, frames=3, PatientAge="070Y", **uids)
    given = ("diagnosis=no dementia",)
    private = tmp_path / "private"
    with local_workers():
        out = edit("two", source=scan, given=given, workers=2, private=private)
    made = [pydicom.dcmread(path) for path in out.glob("*/counterfactual.dcm")]
    assert len(made) == 3
    known = Uids.open(private)
    assert {dataset.StudyInstanceUID for dataset in made} == {
        known.known["StudyInstanceUID", "1.2.3"]
    }
    assert known.map("StudyInstanceUID", "1.2.3") == made[0].StudyInstanceUID


def test_a_worker_that_loads_another_model_refuses(
    edit: Edit, tiny_v_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latentdrift.jobs import edit_job
    from latentdrift.model.model import Model

    class Elsewhere:
        """The path leads to another model."""

        @staticmethod
        def load(place: str, **more: Any) -> Model:
            return Model.load(tiny_v_folder, device="cpu", precision="fp32")

    monkeypatch.setattr(edit_job, "Model", Elsewhere)
    with local_workers(), pytest.raises(ResourceError, match="another model"):
        edit("two", workers=2)

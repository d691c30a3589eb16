"""The gate: copies of training images are held back when pictures are made, and everything else stays as it was."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import tiny_cohort

from latentdrift import config, record, service
from latentdrift.data.cohort import Cohort
from latentdrift.errors import CohortError
from latentdrift.evaluate import ImageSet, sets
from latentdrift.evaluate.gate import Gate
from latentdrift.evaluate.privacy import gate_advice
from latentdrift.sample import synthetic

COPIED = (1, 3)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Path:
    """A phantom cohort and a run on it."""
    folder = tmp_path_factory.mktemp("study")
    scans, cohort = folder / "scans", folder / "cohort"
    service.run("phantom", config.PhantomOptions(out=scans, patients=16, visits=1, size=64), quiet=True)
    wanted = config.ImportOptions(source=scans, table=scans / "table.csv", map=scans / "map.yaml", out=cohort)
    service.run("import", wanted, quiet=True)
    asked = config.FitOptions(
        cohort=cohort, base=str(tiny_base_folder), out=folder / "run", steps=2, batch_size=2, precision="fp32"
    )
    service.run("fit", asked, quiet=True)
    return folder


@pytest.fixture
def by_heart(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images 1 and 3 are drawn as the first training image, the second time mirrored."""
    cohort = Cohort.load(study / "cohort")
    (learned,) = cohort.batch(cohort.rows("train").iloc[:1], 32)
    keep = synthetic.Sheet.keep

    def keep_or_copy(sheet: Any, index: int, picture: np.ndarray, *, colour: bool) -> None:
        copy = np.moveaxis(learned, 0, -1)[:, :: -1 if index == COPIED[1] else 1]
        keep(sheet, index, copy if index in COPIED else picture, colour=colour)

    monkeypatch.setattr(synthetic.Sheet, "keep", keep_or_copy)


def generate(study: Path, out: Path, **options: Any) -> dict[str, Any]:
    asked = {"like": study / "cohort", "split": "train", "n": 5, "steps": 2, "gate": study / "cohort", **options}
    return service.run("generate", config.GenerateOptions(adapter=str(study / "run"), out=out, **asked), quiet=True)


@pytest.mark.usefixtures("by_heart")
def test_copies_are_set_apart_and_said(study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        told = generate(study, tmp_path / "made")
    assert told["images"] == 3 and told["quarantined"] == 2 and told["quarantine"] == str(tmp_path / "made-quarantine")
    assert any("2 of 5 images are held back as copies" in message for message in caplog.messages)
    assert not any("trained on" in message for message in caplog.messages)
    made = Cohort.load(tmp_path / "made")
    assert list(made.table["index"]) == [0, 2, 4] and len(list((tmp_path / "made").rglob("*.png"))) == 3
    with (tmp_path / "made-quarantine" / "quarantine.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == list(COPIED) and [row["mirrored"] for row in rows] == ["False", "True"]
    first = Cohort.load(study / "cohort").rows("train").iloc[0]["file_name"]
    assert {row["training_image"] for row in rows} == {first} and all(float(row["similarity"]) > 0.95 for row in rows)
    assert all((tmp_path / "made-quarantine" / row["file_name"]).is_file() for row in rows)


@pytest.mark.usefixtures("by_heart")
def test_the_gate_is_noted_without_naming_anybody(study: Path, tmp_path: Path) -> None:
    generate(study, tmp_path / "made")
    cohort, noted = Cohort.load(study / "cohort"), Cohort.load(tmp_path / "made").info["gate"]
    assert noted == record.read(tmp_path / "made")["results"]["gate"]
    assert noted["cohort"] == cohort.fingerprint and noted["matches"] and noted["drawn"] == 5 and noted["quarantined"] == 2
    assert (
        noted["train"] == len(cohort.rows("train"))
        and noted["held_out"] == 16 - noted["train"]
        and 0.7 <= noted["threshold"] <= 0.99
    )
    said = (tmp_path / "made" / "metadata.csv").read_text() + (tmp_path / "made" / "cohort.json").read_text()
    assert not [name for name in cohort.table["patient"] if name in said]


@pytest.mark.usefixtures("by_heart")
def test_a_gated_cohort_replays_and_goes_on(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(study, tmp_path / "made")
    again = service.run("replay", config.ReplayOptions(record=tmp_path / "made", out=tmp_path / "again"), quiet=True)
    assert again["same"] and again["files"] == 4
    assert sorted(p.name for p in (tmp_path / "again-quarantine").rglob("*.png")) == ["000001.png", "000003.png"]

    publish = synthetic.Sheet.publish
    monkeypatch.setattr(synthetic.Sheet, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        generate(study, tmp_path / "cut")
    monkeypatch.setattr(synthetic.Sheet, "publish", publish)
    monkeypatch.setattr(synthetic.Sheet, "keep", lambda *_: pytest.fail("everything was drawn already"))
    generate(study, tmp_path / "cut")
    assert record.outputs(tmp_path / "cut") == record.outputs(tmp_path / "made")


def test_nothing_changes_where_there_are_no_copies(study: Path, tmp_path: Path) -> None:
    told = generate(study, tmp_path / "gated")
    generate(study, tmp_path / "plain", gate=None)
    assert told["images"] == 5 and "quarantine" not in told and not (tmp_path / "gated-quarantine").exists()
    assert record.outputs(tmp_path / "gated") == record.outputs(tmp_path / "plain")
    assert Cohort.load(tmp_path / "gated").info["gate"]["quarantined"] == 0
    plain = Cohort.load(tmp_path / "plain").info
    assert plain["gate"] is None and "--gate COHORT" in gate_advice(plain)[0]
    assert not gate_advice(Cohort.load(tmp_path / "gated").info) and not gate_advice(Cohort.load(study / "cohort").info)


def test_a_model_that_draws_nothing_else_gives_no_cohort(tmp_path: Path) -> None:
    from latentdrift.sample.synthetic import Request, Sheet

    sheet = Sheet.open(tmp_path / "made", {})
    for index in (0, 1):
        sheet.keep(index, np.zeros((32, 32, 3)), colour=False)
    with pytest.raises(CohortError, match=r"all 2 images are copies of training images and lie in .*made-quarantine"):
        sheet.publish([Request("a"), Request("b")], {}, 0, None, {0: {}, 1: {}})
    assert not (tmp_path / "made").exists() and len(list((tmp_path / "made-quarantine").rglob("*.png"))) == 2


def test_an_old_quarantine_is_not_overwritten(study: Path, tmp_path: Path) -> None:
    (tmp_path / "made-quarantine").mkdir()
    (tmp_path / "made-quarantine" / "mine.png").touch()
    with pytest.raises(CohortError, match="made-quarantine exists and is not empty"):
        generate(study, tmp_path / "made")


def test_another_cohort_is_told_from_the_adapters_own(study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = tiny_cohort(tmp_path / "other")
    generate(study, tmp_path / "made", gate=other, n=1)
    assert any("trained on another cohort" in message for message in caplog.messages)
    assert Cohort.load(tmp_path / "made").info["gate"]["matches"] is False
    cohort = Cohort.load(other)
    for trained_on, words in (((), "does not say"), ((cohort.fingerprint, "x"), "1 more cohort"), (("x",), "another cohort")):
        assert words in (Gate.of(cohort, trained_on).doubt or "")
    assert Gate.of(cohort, [cohort.fingerprint, cohort.fingerprint]).doubt is None


def test_a_cohort_without_training_images_is_refused(study: Path, tmp_path: Path) -> None:
    folder = tiny_cohort(tmp_path / "other")
    table = (folder / "metadata.csv").read_text().replace(",train,", ",test,")
    (folder / "metadata.csv").write_text(table)
    with pytest.raises(CohortError, match="no image in its train split, so --gate has nothing to compare with"):
        generate(study, tmp_path / "made", gate=folder)
    assert not (tmp_path / "made").exists()


def test_without_held_out_images_other_training_patients_set_the_threshold(tmp_path: Path) -> None:
    folder = tiny_cohort(tmp_path / "all")
    table = (folder / "metadata.csv").read_text().replace(",test,", ",train,").replace(",validation,", ",train,")
    (folder / "metadata.csv").write_text(table)
    cohort = Cohort.load(folder)
    train = sets.from_cohort(cohort, "train", 32)
    verdict = Gate.of(cohort, []).judge(ImageSet(train.images[:2]), 32)
    assert verdict.held_out == 0 and verdict.copies == (0, 1) and "2 of 2 images are held back" in verdict.sentence
    assert json.dumps(verdict.to_dict())

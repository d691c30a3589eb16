"""The gate: copies of training images are held back when pictures are made, and everything else
stays as it was."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny_cohort

from latentdrift import config, record, service
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.edit.io import edit_run
from latentdrift.edit.io.counterfactual import Counterfactual
from latentdrift.errors import CohortError
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.privacy.copy_detection import gate_advice
from latentdrift.evaluate.privacy.copy_filter import Gate
from latentdrift.evaluate.privacy.copy_gate import find_training_cohort
from latentdrift.sample import synthetic_cohort

COPIED = (1, 3)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Path:
    """A phantom cohort and a run on it."""
    folder = tmp_path_factory.mktemp("study")
    scans = folder / "scans"
    cohort = folder / "cohort"
    service.run(
        "phantom", config.PhantomOptions(out=scans, patients=16, visits=1, size=64), quiet=True
    )
    wanted = config.ImportOptions(
        source=scans, table=scans / "table.csv", map=scans / "map.yaml", out=cohort
    )
    service.run("import", wanted, quiet=True)
    asked = config.FitOptions(
        cohort=cohort,
        base=str(tiny_base_folder),
        out=folder / "run",
        steps=2,
        batch_size=2,
        precision="fp32",
    )
    service.run("fit", asked, quiet=True)
    return folder


@pytest.fixture
def by_heart(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images 1 and 3 are drawn as the first training image, the second time mirrored."""
    cohort = Cohort.load(study / "cohort")
    (learned,) = cohort.batch(cohort.rows("train").iloc[:1], 32)
    keep = synthetic_cohort.ImageStore.keep

    def keep_or_copy(sheet: Any, index: int, picture: np.ndarray, **how: Any) -> None:
        copy = np.moveaxis(learned, 0, -1)[:, :: -1 if index == COPIED[1] else 1]
        keep(sheet, index, copy if index in COPIED else picture, **how)

    monkeypatch.setattr(synthetic_cohort.ImageStore, "keep", keep_or_copy)


def generate(study: Path, out: Path, **options: Any) -> dict[str, Any]:
    asked = {
        "like": study / "cohort",
        "split": "train",
        "n": 5,
        "steps": 2,
        "gate": study / "cohort",
        **options,
    }
    return service.run(
        "generate", config.GenerateOptions(adapter=str(study / "run"), out=out, **asked), quiet=True
    )


@pytest.mark.usefixtures("by_heart")
def test_copies_are_set_apart_and_said(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        told = generate(study, tmp_path / "made")
    assert (
        told["images"] == 3
        and told["quarantined"] == 2
        and told["quarantine"] == str(tmp_path / "made-quarantine")
    )
    assert any("2 of 5 images are held back as copies" in message for message in caplog.messages)
    assert not any("trained on" in message for message in caplog.messages)
    made = Cohort.load(tmp_path / "made")
    assert (
        list(made.table["index"]) == [0, 2, 4]
        and len(list((tmp_path / "made").rglob("*.png"))) == 3
    )
    with (tmp_path / "made-quarantine" / "quarantine.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == list(COPIED) and [
        row["mirrored"] for row in rows
    ] == ["False", "True"]
    first = Cohort.load(study / "cohort").rows("train").iloc[0]["file_name"]
    assert {row["training_image"] for row in rows} == {first} and all(
        float(row["similarity"]) > 0.95 for row in rows
    )
    assert all((tmp_path / "made-quarantine" / row["file_name"]).is_file() for row in rows)


@pytest.mark.usefixtures("by_heart")
def test_the_gate_is_noted_without_naming_anybody(study: Path, tmp_path: Path) -> None:
    generate(study, tmp_path / "made")
    cohort = Cohort.load(study / "cohort")
    noted = Cohort.load(tmp_path / "made").info.gate
    assert noted == record.read(tmp_path / "made")["results"]["gate"]
    assert (
        noted["cohort"] == cohort.fingerprint
        and noted["matches"]
        and noted["drawn"] == 5
        and noted["quarantined"] == 2
    )
    assert (
        noted["train"] == len(cohort.rows("train"))
        and noted["held_out"] == 16 - noted["train"]
        and 0.7 <= noted["threshold"] <= 0.99
    )
    said = (tmp_path / "made" / "metadata.csv").read_text() + (
        tmp_path / "made" / "cohort.json"
    ).read_text()
    assert not [name for name in cohort.table["patient"] if name in said]


@pytest.mark.usefixtures("by_heart")
def test_a_gated_cohort_replays_and_goes_on(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(study, tmp_path / "made")
    again = service.run(
        "replay", config.ReplayOptions(record=tmp_path / "made", out=tmp_path / "again"), quiet=True
    )
    assert again["same"] and again["files"] == 4
    assert sorted(p.name for p in (tmp_path / "again-quarantine").rglob("*.png")) == [
        "000001.png",
        "000003.png",
    ]

    publish = synthetic_cohort.ImageStore.publish
    monkeypatch.setattr(
        synthetic_cohort.ImageStore, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        generate(study, tmp_path / "cut")
    monkeypatch.setattr(synthetic_cohort.ImageStore, "publish", publish)
    monkeypatch.setattr(
        synthetic_cohort.ImageStore, "keep", lambda *_: pytest.fail("everything was drawn already")
    )
    generate(study, tmp_path / "cut")
    assert record.outputs(tmp_path / "cut") == record.outputs(tmp_path / "made")


def test_nothing_changes_where_there_are_no_copies(study: Path, tmp_path: Path) -> None:
    told = generate(study, tmp_path / "gated")
    generate(study, tmp_path / "plain", gate=False)
    assert (
        told["images"] == 5
        and "quarantine" not in told
        and not (tmp_path / "gated-quarantine").exists()
    )
    assert record.outputs(tmp_path / "gated") == record.outputs(tmp_path / "plain")
    assert Cohort.load(tmp_path / "gated").info.gate["quarantined"] == 0
    plain = Cohort.load(tmp_path / "plain").info
    assert plain.gate is None and "--gate COHORT" in gate_advice(plain)[0]
    assert not gate_advice(Cohort.load(tmp_path / "gated").info) and not gate_advice(
        Cohort.load(study / "cohort").info
    )


def test_a_model_that_draws_nothing_else_gives_no_cohort(tmp_path: Path) -> None:
    from latentdrift.sample.synthetic_cohort import ImageStore, Request

    sheet = ImageStore.open(tmp_path / "made", {})
    for index in (0, 1):
        sheet.keep(index, np.zeros((32, 32, 3)), colour=False)
    with pytest.raises(
        CohortError,
        match=r"all 2 images are copies of training images and lie in .*made-quarantine",
    ):
        sheet.publish([Request("a"), Request("b")], {}, 0, None, {0: {}, 1: {}})
    assert (
        not (tmp_path / "made").exists()
        and len(list((tmp_path / "made-quarantine").rglob("*.png"))) == 2
    )


def test_an_old_quarantine_is_not_overwritten(study: Path, tmp_path: Path) -> None:
    (tmp_path / "made-quarantine").mkdir()
    (tmp_path / "made-quarantine" / "mine.png").touch()
    with pytest.raises(CohortError, match="made-quarantine exists and is not empty"):
        generate(study, tmp_path / "made")


def test_another_cohort_is_told_from_the_adapters_own(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tiny_cohort(tmp_path / "other")
    generate(study, tmp_path / "made", gate=other, n=1)
    assert any("trained on another cohort" in message for message in caplog.messages)
    assert Cohort.load(tmp_path / "made").info.gate["matches"] is False
    cohort = Cohort.load(other)
    for trained_on, words in (
        ((), "does not say"),
        ((cohort.fingerprint, "x"), "1 more cohort"),
        (("x",), "another cohort"),
    ):
        assert words in (Gate.of(cohort, trained_on).doubt or "")
    assert Gate.of(cohort, [cohort.fingerprint, cohort.fingerprint]).doubt is None


def test_a_cohort_without_training_images_is_refused(study: Path, tmp_path: Path) -> None:
    folder = tiny_cohort(tmp_path / "other")
    table = (folder / "metadata.csv").read_text().replace(",train,", ",test,")
    (folder / "metadata.csv").write_text(table)
    with pytest.raises(
        CohortError, match="no image in its train split, so `gate` has nothing to compare with"
    ):
        generate(study, tmp_path / "made", gate=folder)
    assert not (tmp_path / "made").exists()


def test_without_held_out_images_other_training_patients_set_the_threshold(tmp_path: Path) -> None:
    folder = tiny_cohort(tmp_path / "all")
    table = (
        (folder / "metadata.csv")
        .read_text()
        .replace(",test,", ",train,")
        .replace(",validation,", ",train,")
    )
    (folder / "metadata.csv").write_text(table)
    cohort = Cohort.load(folder)
    train = image_sets.from_cohort(cohort, "train", 32)
    verdict = Gate.of(cohort, []).judge(EvaluationImages(train.images[:2]), 32)
    assert (
        verdict.held_out == 0
        and verdict.copies == (0, 1)
        and "2 of 2 images are held back" in verdict.sentence
    )
    assert json.dumps(verdict.to_dict())


@pytest.mark.usefixtures("by_heart")
def test_the_gate_is_there_unless_it_is_left_out(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generate(study, tmp_path / "default", gate=None)["quarantined"] == 2
    assert "quarantined" not in generate(study, tmp_path / "without", gate=False)
    monkeypatch.setattr(
        Cohort, "fingerprint", "another"
    )  # the place is there, and holds something else
    with caplog.at_level(logging.INFO):
        assert "quarantined" not in generate(study, tmp_path / "moved", gate=None)
    assert any("`gate=COHORT` names it" in message for message in caplog.messages)


def test_the_adapters_own_cohort_is_found_by_its_fingerprint(study: Path, tmp_path: Path) -> None:
    print_ = Cohort.load(study / "cohort").fingerprint
    for adapter in (study / "run", study / "run" / "adapter"):
        assert find_training_cohort(str(adapter), [print_]) == study / "cohort"
    assert find_training_cohort(str(study / "run"), ["another"]) is None
    assert find_training_cohort("pocket", [print_]) is None
    shutil.copytree(study, tmp_path / "moved")  # run and cohort together: found beside one another
    told = json.loads((tmp_path / "moved" / "run" / "record.json").read_text())
    told["options"]["cohort"] = "/nowhere/cohort"
    (tmp_path / "moved" / "run" / "record.json").write_text(json.dumps(told))
    assert (
        find_training_cohort(str(tmp_path / "moved" / "run"), [print_])
        == tmp_path / "moved" / "cohort"
    )


def test_a_replay_of_what_had_no_gate_has_none(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(study, tmp_path / "made", gate=False)
    place = tmp_path / "made" / "record.json"
    older = json.loads(place.read_text())
    older["options"].pop("gate")  # as versions without a default gate wrote it
    place.write_text(json.dumps(older))
    monkeypatch.setattr(Gate, "judge", lambda *_: pytest.fail("there was no gate"))
    assert service.run(
        "replay", config.ReplayOptions(record=place, out=tmp_path / "again"), quiet=True
    )["same"]


@pytest.fixture
def drawn_as(study: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Row that is edited -> row that its counterfactual shows instead of what was drawn."""
    cohort = Cohort.load(study / "cohort")
    shown = dict[int, int]()

    def make(self: edit_run.EditRun, asked: Any, shelf: Any, **other: Any) -> Any:
        subject = asked.entry.open()
        original = subject.tensor()
        picture = torch.from_numpy(
            cohort.batch(cohort.rows().iloc[[shown[asked.entry.row]]], original.shape[-1])
        )
        return subject, Counterfactual(original, original, picture)

    monkeypatch.setattr(edit_run.EditRun, "make", make)
    return shown


def edit(study: Path, out: Path, **options: Any) -> dict[str, Any]:
    asked = config.EditOptions(
        adapter=str(study / "run"),
        source=study / "cohort",
        out=out,
        set=("age=88",),
        steps=2,
        editor="sdedit",
        **options,
    )
    return service.run("edit", asked, quiet=True)


def test_an_edit_that_repeats_another_patient_is_held_back(
    study: Path, tmp_path: Path, drawn_as: dict[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    cohort = Cohort.load(study / "cohort")
    train, test = (list(cohort.rows(split).index) for split in ("train", "test"))
    pseudonyms = [cohort.table["patient"][row] for row in (train[0], train[1], test[0])]
    drawn_as |= {train[0]: train[0], train[1]: train[0], test[0]: test[0]}
    with caplog.at_level(logging.INFO):
        told = edit(study, tmp_path / "out", patient=tuple(pseudonyms))
    held = Path(cohort.table["file_name"][train[1]]).stem
    stays = Path(cohort.table["file_name"][train[0]]).stem
    assert told["counterfactuals"] == 2 and told["quarantined"] == 1
    assert (tmp_path / "out-quarantine" / held / "record.json").is_file() and not (
        tmp_path / "out" / held
    ).exists()
    assert (
        tmp_path / "out" / stays / "record.json"
    ).is_file()  # near its own patient, as an edit is meant to be
    (row,) = csv.DictReader((tmp_path / "out-quarantine" / "quarantine.csv").open())
    assert row["folder"] == held and row["training_image"] == cohort.table["file_name"][train[0]]
    noted = record.read(tmp_path / "out")["results"]["gate"]
    assert noted["quarantined"] == 1 and noted["drawn"] == 3 and noted["of_training_images"] == 2
    assert any(
        "2 of 3 edits are of images that the adapter was trained on" in message
        for message in caplog.messages
    )
    drawn_as.clear()  # and what is there, or held back, is not made again
    assert edit(study, tmp_path / "out", patient=tuple(pseudonyms))["counterfactuals"] == 2


def test_edits_leave_the_gate_out_where_they_are_told_to(
    study: Path, tmp_path: Path, drawn_as: dict[int, int]
) -> None:
    cohort = Cohort.load(study / "cohort")
    first, second, *_ = cohort.rows("train").index
    drawn_as[second] = first
    told = edit(study, tmp_path / "out", patient=(cohort.table["patient"][second],), gate=False)
    assert told["counterfactuals"] == 1 and "quarantined" not in told
    assert record.read(tmp_path / "out")["results"]["gate"] is None

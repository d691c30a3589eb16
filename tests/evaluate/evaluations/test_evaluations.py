"""`evaluate --utility --alignment --edits`, end to end: what is asked, what it costs, what stands
in the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_clip, tiny_cohort

from latentdrift import config, service
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, InputError, OptionError
from latentdrift.evaluate.downstream.augmentation_experiment import ARMS, CURVES, DOSES
from latentdrift.evaluate.evaluations.evaluation import Request
from latentdrift.evaluate.evaluations.evaluations import check, training_cost

pytestmark = pytest.mark.usefixtures("small_critics", "few_searched_images", "few_candidates")

PLAIN = [name for name, arm in ARMS.items() if not arm.gan]
FAST: dict[str, Any] = {"classifier_steps": 2, "classifier_seeds": 1, "bootstrap": 10}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`real` and `made`, two tiny cohorts; `edits`, of two of the real pictures."""
    folder = tmp_path_factory.mktemp("questions")
    real = Cohort.load(tiny_cohort(folder / "real", 60))
    tiny_cohort(folder / "made", 24, seed=1)
    for row in real.rows("test").head(2).to_dict("records"):
        place = folder / "edits" / Path(row["file_name"]).stem
        place.mkdir(parents=True)
        original = real.stored(row)
        for name in ("original", "reconstruction", "counterfactual", "difference"):
            Image.fromarray(original if name == "original" else original // 2).save(
                place / f"{name}.png"
            )
        Image.fromarray(
            np.where(np.arange(32) < 16, 255, 0).astype(np.uint8)[None].repeat(32, 0)
        ).save(place / "mask.png")
        attributes = {name: row[name] for name in ("age", "sex", "diagnosis")}
        (place / "record.json").write_text(
            json.dumps({"attributes": attributes, "changes": {"age": row["age"] + 9}})
        )
    return folder


def asked(folders: Path, out: Path, **options: Any) -> config.EvaluateOptions:
    return config.EvaluateOptions(
        real=folders / "real", synthetic=folders / "made", out=out, **{**FAST, **options}
    )


def plainly(folders: Path, out: Path, **options: Any) -> config.EvaluateOptions:
    """Without any option of classifiers."""
    return config.EvaluateOptions(
        real=folders / "real", synthetic=folders / "made", out=out, **options
    )


def test_everything_that_was_asked_for_is_answered(folders: Path, tmp_path: Path) -> None:
    options = asked(
        folders, tmp_path, utility="diagnosis=dementia", alignment=True, edits=folders / "edits"
    )
    service.run("evaluate", options, quiet=True)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (
        report["utility"]["classes"] == "diagnosis=dementia"
        and list(report["utility"]["arms"]) == PLAIN
    )
    assert (
        report["utility"]["tested"]["images"] == [6, 6] and report["utility"]["by"] is None
    )  # the sex is the class
    assert set(report["alignment"]["judged"]) == {"age", "sex=F", "diagnosis=dementia"}
    assert report["alignment"]["rules"][0]["values"] == [
        "sex=F",
        "diagnosis=dementia",
    ]  # patients alternate in both
    retrieval = report["alignment"]["retrieval"]
    assert retrieval["scorer"] == "judges" and retrieval["n"] == {"synthetic": 24, "real": 12}
    assert set(retrieval["attributes"]) == {"age", "sex", "diagnosis"}
    assert (
        report["card"]["kinds"] == {"age up": 2}
        and report["card"]["minimality"]["outside"]["n"] == 2
    )
    words = " ".join(report["warnings"])
    assert "too few to conclude. There are 3 test patients without it" in words
    assert "edits of fewer than 5 patients: age increased (2)" in words
    lights = {label: colour for label, colour, _ in report["lights"]}
    assert lights["Of use? (diagnosis: dementia)"] == "grey"  # so few patients
    assert lights["Edits do what was asked?"] == "grey"  # so few edits
    assert {"Like the real ones? (pocket)", "Shows what was asked?", "And nothing else?"} < set(
        lights
    )
    html = (tmp_path / "report.html").read_text()
    assert "Of use?" in html
    for heading in (
        "Are the synthetic images of use?",
        "Do images show what was asked for?",
        "Do images find their prompts?",
        "Did edits do what was asked",
    ):
        assert heading in html


@pytest.mark.slow
def test_another_scorer_ranks_otherwise(
    folders: Path, tmp_path: Path, tiny_base_folder: Path
) -> None:
    told = {}
    for name in ("judges", str(tiny_clip(tmp_path / "clip", tiny_base_folder))):
        out = tmp_path / f"report-{len(told)}"
        service.run("evaluate", asked(folders, out, alignment=True, scorer=name), quiet=True)
        alignment = json.loads((out / "report.json").read_text())["alignment"]
        told[alignment["retrieval"]["scorer"]] = alignment
        assert f"{alignment['retrieval']['scorer']} ranks the" in (out / "report.html").read_text()
    assert set(told) == {"judges", "clip"} and told["judges"]["judged"] == told["clip"]["judged"]
    assert told["judges"]["retrieval"]["curve"] != told["clip"]["retrieval"]["curve"]


def test_what_is_not_asked_for_costs_nothing(folders: Path, tmp_path: Path) -> None:
    plain = dry_run.run("evaluate", plainly(folders, tmp_path))
    assert plain["classifiers"] == 0 == plain["seconds_of_training"] and (
        plain["real"],
        plain["synthetic"],
    ) == (12, 24)
    trial = len(PLAIN) + len(CURVES) * len(DOSES)
    everything = {"utility": "diagnosis", "alignment": True, "classifier_seeds": 2}
    told = dry_run.run("evaluate", asked(folders, tmp_path, **everything))
    assert told["classifiers"] == 2 * trial + 2 and told["seconds_of_training"] > 0
    rivals = dry_run.run("evaluate", asked(folders, tmp_path, **everything, gan_steps=4))
    assert rivals["classifiers"] == told["classifiers"] + 2 * (len(ARMS) - len(PLAIN))
    edits = {"edits": folders / "edits"}
    assert dry_run.run("evaluate", asked(folders, tmp_path, **edits))["classifiers"] == 1
    assert (
        dry_run.run("evaluate", plainly(folders, tmp_path, **edits, card=False))["classifiers"] == 0
    )
    cohort = Cohort.load(folders / "real")
    unheld = Request(asked(folders, tmp_path, **edits, split="train"), cohort)
    assert training_cost(unheld).networks == 0
    assert "are measured on another one" in check(unheld)[0]
    assert not check(Request(asked(folders, tmp_path, **edits), cohort))


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"utility": "diagnosis=flu"}, OptionError, "unknown diagnosis 'flu'"),
        ({"utility": "age"}, OptionError, "`utility=age`: a number"),
        (
            {"utility": "diagnosis", "split": "train"},
            OptionError,
            "`utility` learns from the train split .* give `split=test`",
        ),
        (
            {"alignment": True, "gan_steps": 9},
            OptionError,
            "`gan_steps` trains a GAN .* give `utility=ATTRIBUTE=VALUE`",
        ),
        ({"alignment": True, "split": None}, OptionError, "`alignment` learns from"),
        (
            {"utility": "diagnosis", "scorer": "some/clip"},
            OptionError,
            "`scorer` has no part without `alignment`",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_read(
    folders: Path, tmp_path: Path, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        dry_run.run("evaluate", asked(folders, tmp_path, **options))


def test_a_cohort_without_training_images_teaches_nobody(folders: Path, tmp_path: Path) -> None:
    real = tiny_cohort(tmp_path / "real", 12)
    table = real / "metadata.csv"
    table.write_text(table.read_text().replace(",train,", ",test,"))
    with pytest.raises(
        CohortError,
        match=r"`alignment` learns from the train split, and that of cohort .* is empty",
    ):
        options = asked(folders, tmp_path / "out", alignment=True)
        dry_run.run("evaluate", options.model_copy(update={"real": real}))


def test_swapped_sets_are_refused_before_anything_is_read(folders: Path, tmp_path: Path) -> None:
    cohort = Cohort.load(folders / "real")
    info = cohort.info.model_copy(update={"synthetic": True})
    swapped = replace(cohort, table=cohort.table.iloc[:0], info=info)
    with pytest.raises(
        CohortError, match=r"test split .* is empty .*`real` and `synthetic` may be swapped"
    ):
        check(Request(plainly(folders, tmp_path / "out", split="test"), swapped))


def test_a_dry_run_refuses_what_the_run_refuses_of_by(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'weight'"):
        dry_run.run("evaluate", plainly(folders, tmp_path / "out", by="weight"))


def test_a_folder_without_edits_is_refused_before_anything_is_read(
    folders: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"none holds no counterfactual\.png"):
        dry_run.run("evaluate", plainly(folders, tmp_path / "out", edits=tmp_path / "none"))

"""The report: what it holds, what it warns of, and that its page stands alone."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from partial_results import results
from PIL import Image
from scipy.ndimage import gaussian_filter

from latentdrift.data.phantom.phantom import chest, chest_history
from latentdrift.errors import InputError, OptionError
from latentdrift.evaluate.evaluations import evaluation
from latentdrift.evaluate.evaluations.evaluation import Inputs
from latentdrift.evaluate.evaluations.evaluations import METRIC_TITLES, all_lights
from latentdrift.evaluate.evaluations.page_style import table_rows
from latentdrift.evaluate.features.features import load_features
from latentdrift.evaluate.images.controls import ruined
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import read_edits
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.evaluate.report import report as reports
from latentdrift.evaluate.report.report import (
    SCHEMA,
    EvaluationResults,
    evaluate_sets,
    write_report,
)
from latentdrift.resampling import Resampling

pytestmark = pytest.mark.usefixtures("small_critics", "few_searched_images", "few_candidates")

SIZE = 32


def evaluate(real, synthetic, train, features, **options) -> EvaluationResults:
    """Report on one synthetic set."""
    return reports.evaluate(Inputs(real, synthetic, train, features, **options))


def evaluate_all(real, made, train, features, **options) -> EvaluationResults:
    """Report on the set `synthetic`, with further sets beside it."""
    further = {name: images for name, images in made.items() if name != "synthetic"}
    return evaluate_sets(Inputs(real, made["synthetic"], train, features, **options), further)


def pictures(
    n: int, seed: int, patients: int | None = None, smooth: float = 2.0, who: str = "p"
) -> EvaluationImages:
    noise = gaussian_filter(
        np.random.default_rng(seed).normal(size=(n, SIZE, SIZE)), (0, smooth, smooth)
    )
    grey = np.clip(0.5 + 0.2 * noise / noise.std(), 0, 1)
    return EvaluationImages(
        np.repeat(grey[..., None], 3, -1),
        [f"{who}{i % patients}" for i in range(n)] if patients else None,
    )


def coarse(x):
    """A feature space of 16 numbers: the mean brightness of 4 x 4 tiles."""
    import torch

    return torch.nn.functional.adaptive_avg_pool2d(x, 4)[:, 0].flatten(1)


@pytest.fixture(scope="module")
def features():
    return load_features(["pocket"], pocket=coarse, resolution=SIZE)


@pytest.fixture(scope="module")
def sets():
    real = pictures(40, 1, patients=20)
    train = pictures(50, 0, patients=25, who="t")
    synthetic = EvaluationImages(
        np.concatenate([pictures(22, 2).images, train.images[:2]]),
        None,
        [f"s{i}" for i in range(24)],
    )
    return {"real": real, "synthetic": synthetic, "train": train}


@pytest.fixture(scope="module")
def edits(tmp_path_factory, sets):
    folder = tmp_path_factory.mktemp("edits")
    for i in range(3):
        place = folder / f"{i:06d}"
        place.mkdir()
        original = sets["real"].images[i]
        for name, picture in (
            ("original", original),
            ("reconstruction", np.clip(original + 0.1, 0, 1)),
            ("counterfactual", original[::-1]),
            ("difference", original),
        ):
            Image.fromarray((picture * 255).astype(np.uint8)).save(place / f"{name}.png")
        (place / "record.json").write_text(json.dumps({"verb": "edit"}))
    return read_edits(folder)


@pytest.fixture(scope="module")
def report(sets, features, edits):
    return evaluate(**sets, features=features, resampling=Resampling(30), edits=edits)


@pytest.fixture(scope="module")
def grouped(sets, features):
    """Two synthetic sets beside each other, by sex; the second one is smooth and smaller."""

    def with_sex(images: EvaluationImages) -> EvaluationImages:
        table = pd.DataFrame({"sex": ["F" if i % 3 else "M" for i in range(len(images))]})
        return EvaluationImages(images.images, images.patients, images.names, table)

    other = EvaluationImages(pictures(20, 5, smooth=5.0).images, None, [f"o{i}" for i in range(20)])
    made = {"synthetic": with_sex(pictures(36, 2)), "smooth": with_sex(other)}
    report = evaluate_all(
        with_sex(sets["real"]), made, None, features, resampling=Resampling(20), by="sex"
    )
    return report, made | {"real": with_sex(sets["real"])}


def test_every_metric_has_value_interval_n_and_floor(report):
    assert report.contents["schema"] == SCHEMA
    assert {f"{name}.pocket" for name in DISTANCES} | {"ms-ssim.within", "ms-ssim.nearest"} <= set(
        report.contents["metrics"]
    )
    assert {
        "frechet.pocket",
        "kid.pocket",
        "nearest.pocket",
        "nearest.pixel",
        "copies",
        "ssim.nearest",
        "psnr.nearest",
    } <= set(report.contents["metrics"])
    assert {
        f"{a}.{b}" for a in ("ssim", "psnr") for b in ("reconstruction", "counterfactual")
    } <= set(report.contents["metrics"])
    for name, metric in report.contents["metrics"].items():
        assert {"value", "ci", "n", "floor"} <= set(metric), name
        assert metric["ci"][0] <= metric["value"] <= metric["ci"][1], name
        assert np.isfinite(metric["floor"]), name


def test_copies_are_counted_and_shown_first(report):
    assert report.contents["metrics"]["copies"]["value"] == 2
    assert {
        (pair["synthetic"], pair["train"]) for pair in report.contents["copies"]["pairs"][:2]
    } == {
        ("s22", "0"),
        ("s23", "1"),
    }
    assert (
        dict((label, colour) for label, colour, _ in report.contents["lights"])["Copies?"] == "red"
    )


def test_planted_copies_and_duplicates_are_reported(report, sets, features):
    planted = report.contents["copies"]["planted"]
    assert planted["n"] == 20 and 17 <= planted["caught"] <= 20
    assert f"found {planted['caught']} of {planted['n']} altered" in next(
        says for label, _, says in report.contents["lights"] if label == "Copies?"
    )
    assert report.contents["metrics"]["duplicates"]["value"] <= 1
    again = EvaluationImages(np.concatenate([sets["synthetic"].images[:4]] * 2))
    found = evaluate(sets["real"], again, None, features, resampling=Resampling(20))
    assert (
        found.contents["metrics"]["duplicates"]["value"] == 8
        and len(found.contents["duplicates"]["pairs"]) >= 4
    )
    assert (
        dict((label, colour) for label, colour, _ in found.contents["lights"])[
            "Different from one another?"
        ]
        == "red"
    )


@pytest.mark.slow
def test_copies_are_looked_for_in_a_random_part_of_a_large_set(
    sets, features, monkeypatch, tmp_path
):
    """Half of the images are copies: so is about half of any part, and the page says of how many it
    speaks."""
    mixed = np.concatenate([pictures(20, 2).images, sets["train"].images[:20]])
    made = EvaluationImages(mixed, None, [f"{'new' if i < 20 else 'old'}{i}" for i in range(40)])
    monkeypatch.setattr(evaluation, "MAX_SEARCHED", 16)
    found = evaluate(sets["real"], made, sets["train"], features, resampling=Resampling(10))
    copies = {pair["synthetic"] for pair in found.contents["copies"]["pairs"] if pair["copy"]}
    looked_at = {pair["synthetic"] for pair in found.contents["copies"]["pairs"]}
    assert copies == {name for name in looked_at if name.startswith("old")} and 2 < len(copies) < 14
    assert (
        found.contents["metrics"]["copies"]["value"] == len(copies)
        and found.contents["metrics"]["copies"]["n"]["synthetic"] == 16
    )
    assert (
        found.contents["n"]["synthetic"]
        == 40
        == found.contents["metrics"]["kid.pocket"]["n"]["synthetic"]
    )
    page = write_report(tmp_path, found, {**sets, "synthetic": made}).read_text()
    assert "looked for in 16 of the 40 synthetic images, taken at random" in page
    monkeypatch.setattr(evaluation, "MAX_SEARCHED", 6)
    few, more = (
        str(
            evaluate(
                pictures(6, 1), pictures(n, 2), None, features, resampling=Resampling(10)
            ).contents["warnings"]
        )
        for n in (6, 7)
    )
    assert (
        "looked for in" not in few
        and "'Duplicates were looked for in 6 of the 7 synthetic images" in more
    )


def test_an_edit_is_judged_against_its_original(report):
    assert [row["name"] for row in report.contents["edits"]] == ["000000", "000001", "000002"]
    assert (
        report.contents["metrics"]["ssim.reconstruction"]["value"]
        > 0.9
        > report.contents["metrics"]["ssim.counterfactual"]["value"]
    )
    assert (
        report.contents["metrics"]["ssim.reconstruction"]["floor"] < 0.5
    )  # two different patients
    assert report.contents["metrics"]["psnr.reconstruction"]["value"] == pytest.approx(20, abs=1)
    assert report.contents["metrics"]["ssim.reconstruction"]["n"]["edits"] == 3


@pytest.mark.parametrize(
    ("value", "detailed", "colour"),
    [(0.5, 0, "red"), (0.5, 1, "red"), (0.5, 2, "amber"), (0.95, 2, "green")],
)
def test_what_a_drawing_loses_is_less_grave_where_all_edits_put_the_change_alone_on_the_image(
    value, detailed, colour
):
    metrics = {"ssim.reconstruction": {"value": value, "n": {"edits": 2}}}
    known = {
        "n": {"real": 9, "synthetic": 9},
        "spaces": {},
        "metrics": metrics,
        "edits": [{"detail": i < detailed} for i in range(2)],
    }
    (light,) = (
        light for light in all_lights(results(known)) if light[0] == "Edits start faithful?"
    )
    assert light[1] == colour and ("add only the change to the original" in light[2]) == (
        detailed > 0
    )


def test_small_sets_are_read_by_kid_first_and_by_frechet_last(report, tmp_path, sets):
    assert [name.split(".")[0] for name in report.contents["metrics"]][:5] == [
        "kid",
        "precision",
        "recall",
        "density",
        "coverage",
    ]
    titles = [row["measure"] for row in table_rows(report.metrics, METRIC_TITLES)]
    assert (
        titles[0].startswith("Kernel distance")
        and titles[-1].startswith("Fréchet")
        and "MiFID" in titles[-2]
    )


def test_memorisation_is_left_out_where_the_reference_is_trained_on(sets, features):
    for train in (sets["real"], EvaluationImages(sets["real"].images[:30])):
        report = evaluate(
            EvaluationImages(sets["real"].images),
            sets["synthetic"],
            EvaluationImages(train.images),
            features,
            resampling=Resampling(10),
        )
        assert (
            "mifid.pocket" not in report.contents["metrics"]
            and "frechet.pocket" in report.contents["metrics"]
        )


@pytest.mark.slow
def test_mifid_is_worse_for_copies(sets, features):
    """As near to the held-out patients, and copied: only MiFID is many times the floor."""
    copied = evaluate(
        sets["real"],
        EvaluationImages(sets["train"].images),
        sets["train"],
        features,
        resampling=Resampling(10),
    ).contents["metrics"]
    fresh = evaluate(
        sets["real"], pictures(50, 7), sets["train"], features, resampling=Resampling(10)
    ).contents["metrics"]
    assert copied["frechet.pocket"]["matched"] < 2 * copied["frechet.pocket"]["floor"]
    assert copied["mifid.pocket"]["matched"] > 1e3 * fresh["mifid.pocket"]["matched"]
    assert fresh["mifid.pocket"]["matched"] < 3 * fresh["mifid.pocket"]["floor"]


def test_a_set_that_lacks_variety_gets_a_red_light(features):
    one = pictures(1, 9).images
    grain = np.random.default_rng(0).normal(0, 0.01, (60, SIZE, SIZE, 1))
    report = evaluate(
        pictures(60, 1),
        EvaluationImages(np.clip(one + grain, 0, 1)),
        None,
        features,
        resampling=Resampling(10),
    )
    colours = {label: colour for label, colour, _ in report.contents["lights"]}
    assert colours["As varied? (pocket)"] == "red"
    assert (
        report.contents["metrics"]["ms-ssim.within"]["value"]
        > report.contents["metrics"]["ms-ssim.within"]["floor_ci"][1]
    )


def test_every_distance_is_given_by_value(grouped):
    report, _ = grouped
    assert report.contents["by"]["column"] == "sex" and list(report.contents["by"]["values"]) == [
        "F",
        "M",
    ]
    female = report.contents["by"]["values"]["F"]
    assert female["n"] == {"real": 26, "synthetic": 24} and set(female["metrics"]) == {
        f"{name}.pocket" for name in DISTANCES if name != "mifid"
    }


def test_by_value_is_the_same_as_a_set_of_that_value(grouped, features):
    report, sets = grouped
    real, made = (
        sets[name].take(np.flatnonzero(sets[name].attributes["sex"] == "M"))
        for name in ("real", "synthetic")
    )
    alone = evaluate(real, made, None, features, resampling=Resampling(20)).contents["metrics"]
    assert report.contents["by"]["values"]["M"]["metrics"]["frechet.pocket"][
        "value"
    ] == pytest.approx(alone["frechet.pocket"]["value"])


def test_several_sets_stand_beside_each_other(grouped, features, tmp_path):
    report, sets = grouped
    (other,) = report.contents["compared"].values()
    assert list(report.contents["compared"]) == ["smooth"] and other["n"] == {
        "real": 40,
        "synthetic": 20,
    }
    assert (
        other["metrics"]["kid.pocket"]["value"] > report.contents["metrics"]["kid.pocket"]["value"]
    )
    assert (
        set(other["by"]["values"]) == {"F"}
        and "differ in size (synthetic 36, smooth 20)" in report.contents["warnings"][0]
    )
    html = write_report(tmp_path, report, sets).read_text()
    for words in ("Several sets", "Set smooth", "smooth: o0", "By sex", "Not scored by themselves"):
        assert words in html, words


def test_an_unknown_attribute_is_noticed_before_anything_is_computed(sets):
    real = EvaluationImages(sets["real"].images, attributes=pd.DataFrame({"sex": ["F"] * 40}))
    with pytest.raises(OptionError, match="synthetic images have no attributes"):
        evaluate(
            real,
            sets["synthetic"],
            None,
            {"pocket": lambda x: pytest.fail("was computed")},
            by="sex",
        )


def test_the_report_warns(report):
    words = " ".join(report.contents["warnings"])
    assert (
        "fewer than 2048 images (here 24)" in words
        and "published ones, which use Inception" in words
    )
    assert "identical to another one" not in words


def test_the_same_seed_gives_the_same_report(sets, features, edits):
    first, again = (
        json.dumps(
            evaluate(**sets, features=features, resampling=Resampling(30), edits=edits).contents
        )
        for _ in range(2)
    )
    assert first == again


def test_good_images_are_grey_where_a_ruin_changes_nothing_and_bad_ones_are_red(features):
    """Smoothed by a Gaussian of 2 px, textures have no waves above 8 cycles that could be
    scrambled: exp(-2 (pi 2/4)^2) < 1 %."""
    real = pictures(200, 1, patients=100)
    found = {}
    for name, synthetic in (("good", pictures(200, 2)), ("bad", pictures(200, 3, smooth=6.0))):
        lights = evaluate(real, synthetic, None, features, resampling=Resampling(30)).contents[
            "lights"
        ]
        found[name] = next(light for light in lights if light[0].startswith("Like the real ones?"))
    assert {name: colour for name, (_, colour, _) in found.items()} == {
        "good": "grey",
        "bad": "red",
    }
    assert (
        "too few images to exclude that the set is nearer to real images whose waves above 8 "
        "cycles per image were scrambled" in found["good"][2]
    )


def test_images_like_the_real_ones_are_green_and_ruined_ones_never(features):
    def chests(first, count):
        images = []
        for subject in range(first, first + count):
            (visit,) = chest_history(np.random.default_rng(subject), 1)
            images.append(chest(subject, visit.attributes, size=SIZE).clip(0, 1))
        return EvaluationImages(
            np.repeat(np.stack(images)[..., None], 3, -1),
            [f"p{s}" for s in range(first, first + count)],
        )

    real = chests(0, 80)
    train = chests(100, 60)
    good = chests(200, 60)
    shuffled = EvaluationImages(
        ruined("patches-4", good.images, good.patients, np.random.default_rng(0))
    )
    report = evaluate_all(
        real,
        {"synthetic": good, "shuffled": shuffled},
        train,
        features,
        resampling=Resampling(30),
        by=None,
    )
    colours = {label: colour for label, colour, _ in report.contents["lights"]}
    ruins = {
        label: colour for label, colour, _ in report.contents["compared"]["shuffled"]["lights"]
    }
    assert (
        colours["Like the real ones? (pocket)"] == "green"
        and colours["As varied? (pocket)"] == "green"
    )
    assert ruins["Like the real ones? (pocket)"] == "red" and ruins["As varied? (pocket)"] in (
        "grey",
        "red",
    )
    assert report.contents["metrics"]["c2st.pocket"]["ci"][0] < 0.55
    assert report.contents["compared"]["shuffled"]["metrics"]["c2st.pocket"]["value"] > 0.95


def test_without_training_images_nothing_is_said_about_copies(sets, features):
    report = evaluate(sets["real"], sets["synthetic"], None, features, resampling=Resampling(20))
    assert "copies" not in report.contents["metrics"] and "copies" not in report.contents
    assert any("did not search for copies" in warning for warning in report.contents["warnings"])


def test_broken_synthetic_sets_are_noticed(sets, features):
    flat = np.concatenate([sets["synthetic"].images[:4], np.zeros((2, SIZE, SIZE, 3), np.float32)])
    words = " ".join(
        evaluate(
            sets["real"], EvaluationImages(flat), None, features, resampling=Resampling(20)
        ).contents["warnings"]
    )
    assert "of one flat colour: 2" in words and "identical to another one: 1" in words


def test_too_few_images_leave_a_distance_out(sets, features):
    report = evaluate(
        sets["real"],
        EvaluationImages(sets["synthetic"].images[:2]),
        sets["train"],
        features,
        resampling=Resampling(20),
    )
    assert "kid.pocket" not in report.contents["metrics"] and any(
        "at least 4 images" in warning for warning in report.contents["warnings"]
    )
    assert report.contents["lights"]


def test_features_that_are_not_numbers_name_the_image(sets):
    with pytest.raises(InputError, match=r"odd features of 1 images are not finite, first of s0"):
        evaluate(
            EvaluationImages(sets["real"].images),
            sets["synthetic"],
            None,
            {
                "odd": lambda x: np.where(
                    np.arange(len(x))[:, None] == (0 if len(x) == 24 else -1),
                    np.nan,
                    x.mean((1, 2)),
                )
            },
        )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"images": np.zeros((2, 8, 8))}, r"shape \[N, H, W, 3\]"),
        ({"images": np.zeros((0, 8, 8, 3))}, "at least 1"),
        ({"images": np.full((1, 8, 8, 3), np.nan)}, "not numbers, the first is 0"),
        ({"images": np.full((1, 8, 8, 3), 2.0), "names": ["a.png"]}, r"outside \[0, 1\].*a\.png"),
        ({"images": np.zeros((2, 8, 8, 3)), "patients": ["p"]}, "1 patients"),
    ],
)
def test_a_set_that_is_not_one_gets_a_sentence(arguments, says):
    with pytest.raises(InputError, match=says):
        EvaluationImages(**arguments)


def test_files_are_whole_and_stand_alone(tmp_path, report, sets, edits):
    path = write_report(tmp_path / "out", report, sets, edits)
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == json.loads(
        json.dumps(report.contents)
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.html", "report.json"]
    html = path.read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", html) and "http" not in re.sub(
        r"data:[^\"]*", "", html
    )
    assert (
        html.count("data:image/png") == 14 + 14 + 7 + 3 + 13 and html.count("data:image/svg") >= 3
    )
    for words in (
        "Copies?",
        "synthetic: s0",
        "synthetic counterfactual",
        "COPY",
        "real: 0",
        "Fréchet distance, pocket features",
        "95 % interval",
        "real, ruined: averaged with another patient",
    ):
        assert words in html, words


def test_a_report_without_copies_and_edits_is_drawn_too(tmp_path, sets, features):
    few = {"real": sets["real"], "synthetic": EvaluationImages(sets["synthetic"].images[:2])}
    html = write_report(
        tmp_path, evaluate(*few.values(), None, features, resampling=Resampling(20)), few
    ).read_text()
    assert "Not judged: no training images" in html

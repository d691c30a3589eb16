"""Ranks of prompts against pictures: closed forms of the ranks, of the evidence, and drawn pictures
whose truth is known."""

from __future__ import annotations

from functools import partial
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapes
import torch
import transformers
from scipy.stats import norm
from tiny import tiny_clip

from latentdrift.errors import InputError
from latentdrift.evaluate.attributes.attribute_predictors import Output
from latentdrift.evaluate.attributes.image_text_scores import (
    Evidence,
    Prompts,
    Scorer,
    by_encoder,
    by_judges,
    load_encoder,
)
from latentdrift.evaluate.attributes.prompt_ranking import (
    APART,
    METRICS,
    MIN_IMAGES,
    OPPOSED,
    Side,
    retrieve,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling

AGE = Output("age")
SEX = Output("sex", "F", other="M")


def found(
    scorer: Scorer,
    synthetic: EvaluationImages,
    real: EvaluationImages | None = None,
    **options: Any,
) -> Any:
    return retrieve(
        scorer,
        real or shapes.held_out(),
        synthetic,
        "drawing",
        shapes.SPEC,
        resampling=Resampling(40),
        **options,
    )


def made(seed: int = 2, asked: int = 2) -> EvaluationImages:
    """Pictures of one table, said to be those of another one."""
    return EvaluationImages(
        shapes.shapes(shapes.table(60, seed), 2).images, attributes=shapes.table(60, asked)
    )


@pytest.mark.parametrize(
    ("better", "ties", "among"),
    [(0, 0, 3), (2, 0, 3), (1, 2, 3), (0, 5, 4), (3, 1, 2), (5, 0, 6), (0, 0, 6)],
)
def test_the_chance_of_being_chosen_is_that_of_all_draws_counted(
    better: int, ties: int, among: int
) -> None:
    """Five other prompts, every choice of `among` - 1 of them in turn, and every order of those
    that go as well."""
    worth = np.array([2] * better + [1] * ties + [0] * (5 - better - ties))
    places = [[], []]  # type: list[list[float]]
    for drawn in combinations(range(5), among - 1):
        for order in permutations(
            range(ties + 1)
        ):  # the own one is number `ties` of those that are equal
            before = sum(
                worth[i] == 2 or (worth[i] == 1 and order[i - better] < order[ties]) for i in drawn
            )
            for k, within in enumerate((1, 3)):
                places[k].append(before < within)
    for name, counted in zip(("first", "third"), places, strict=True):
        told = METRICS[name].of(np.array([better]), np.array([ties]), 5, among)
        assert told == pytest.approx(np.mean(counted), abs=1e-12)


def test_ranks_of_scores() -> None:
    side = Side(
        None, np.array([0, 2]), np.array([[3.0, 5, 3, 1, 9], [0, 0, 7, 2, 9]]), ranked=4
    )  # the fifth is not ranked
    both = np.arange(2)
    assert side.ranking(METRICS["rank"], 4)(both).tolist() == [pytest.approx(1.5 / 3), 0.0]
    assert side.ranking(METRICS["rank"], 4)(both[::-1])[0] == pytest.approx(
        1.5 / 3
    )  # dealt the other's: as good
    assert side.preferring(np.array([4, 1]))(both).tolist() == [0, 1]
    assert side.preferring(np.array([2, 2]))(both).tolist() == [0.5, 0.5]


def constant(
    real: EvaluationImages, synthetic: EvaluationImages, asked: Prompts, *, by: Any
) -> Any:
    """Scores that look at no picture."""
    return tuple(
        np.broadcast_to(by(asked), (len(images), len(asked))) for images in (real, synthetic)
    )


def test_who_does_not_look_is_at_chance() -> None:
    told = found(partial(constant, by=lambda asked: np.zeros(len(asked))), made())
    for name, chance in (("first", 0.1), ("third", 0.3), ("rank", 0.5)):
        metric = told["metrics"][name]
        for key in ("value", "ceiling", "floor", "blind"):
            assert metric[key] == pytest.approx(chance)
    assert {
        way[key]
        for ways in told["attributes"].values()
        for way in ways.values()
        for key in ("value", "floor")
    } == {0.5}


def test_prompts_that_go_with_anything_are_found_out_by_withholding_the_pictures() -> None:
    """Most pictures ask for one prompt, and the scorer likes it whatever it is shown: above chance,
    and as well blind."""
    rows = shapes.table(60, 2)
    rows.iloc[:40] = rows.iloc[0]
    liked = f"a drawing of a {rows['age'][0]:.0f} year old "
    synthetic = EvaluationImages(shapes.shapes(rows, 2).images, attributes=rows)
    first = found(
        partial(
            constant, by=lambda asked: np.array([float(liked in text) for text in asked.texts])
        ),
        synthetic,
    )["metrics"]["first"]
    assert (
        first["blind"] == first["value"] == pytest.approx(first["floor"]) and first["value"] > 0.3
    )
    honest = found(by_judges(shapes.judges()), synthetic)["metrics"]["first"]
    assert honest["value"] > 0.8


def test_pictures_find_the_prompts_that_they_were_drawn_from() -> None:
    told = found(by_judges(shapes.judges()), made())
    assert told["n"] == {"synthetic": 60, "real": 80} and told["among"] == 10
    first = told["metrics"]["first"]
    rank = told["metrics"]["rank"]
    assert (
        first["value"] > 0.8
        and first["ceiling"] > 0.8
        and abs(first["floor"] - 0.1) < 0.05
        and first["blind"] < 0.2
    )
    assert (
        rank["value"] < 0.05
        and abs(rank["floor"] - 0.5) < 0.1
        and rank["ci"][0] <= rank["value"] <= rank["ci"][1]
    )
    for name in shapes.SPEC:
        assert (
            told["attributes"][name]["contradicted"]["value"]
            > 0.95
            < told["attributes"][name]["contradicted"]["ceiling"]
        )
        assert told["attributes"][name]["withheld"]["value"] > 0.9
    assert (
        told["curve"]["x"][0] == 0
        and told["curve"]["synthetic"][-1] == 1 == told["curve"]["real"][-1]
    )
    ranks = [one["rank"] for one in told["worst"]]
    assert ranks == sorted(ranks, reverse=True) and told["worst"][0]["asked"].startswith(
        "a drawing of a"
    )


def test_pictures_of_other_prompts_do_not() -> None:
    told = found(by_judges(shapes.judges()), made(asked=9))
    first = told["metrics"]["first"]
    assert first["ci"][0] <= first["floor_range"][1] and first["value"] < 0.5 * first["ceiling"]
    assert (
        told["attributes"]["sex"]["contradicted"]["value"]
        < 0.7
        < told["attributes"]["sex"]["contradicted"]["ceiling"]
    )


def test_one_attribute_that_is_not_shown_is_named() -> None:
    """Everybody is drawn as a man; age and finding are as asked."""
    rows = shapes.table(60, 2)
    told = found(
        by_judges(shapes.judges()),
        EvaluationImages(shapes.shapes(rows.assign(sex="M"), 2).images, attributes=rows),
    )
    value = {name: ways["contradicted"]["value"] for name, ways in told["attributes"].items()}
    assert value["sex"] == pytest.approx((rows["sex"] == "M").mean(), abs=0.1)
    assert value["age"] > 0.95 < value["findings"]


def test_what_the_judges_cannot_see_has_no_say() -> None:
    """Judgements by chance: calibrated on some patients they are worth nothing on the others, not
    more than chance."""

    class Guess:
        outputs = (AGE, SEX)

        def __call__(self, images: EvaluationImages) -> np.ndarray:
            return np.random.default_rng(len(images)).normal(size=(len(images), 2))

        def truths(self, rows: pd.DataFrame, n: int) -> np.ndarray:
            return np.stack([output.truths(rows) for output in self.outputs], 1)

    told = found(by_judges(Guess()), made())  # type: ignore[arg-type]
    assert (
        abs(told["metrics"]["rank"]["ceiling"] - 0.5) < 0.1
        and abs(told["metrics"]["rank"]["value"] - 0.5) < 0.1
    )
    assert "findings" not in {
        name for name, ways in told["attributes"].items() if ways["contradicted"]["value"] != 0.5
    }


def test_the_evidence_of_a_number_is_the_ratio_of_two_normal_densities() -> None:
    source = np.random.default_rng(0)
    truth = source.normal(70, 10, 20_000)
    said = truth + source.normal(
        0, 10, len(truth)
    )  # the posterior of one who sees `said`: mean half way, sd 10 / sqrt 2
    evidence = Evidence.learn(AGE, truth, said)
    assert evidence is not None
    values = np.array([50.0, 70, 85, np.nan])
    told = evidence(np.array([90.0]), values)[0]
    truths = norm.logpdf(values, 80, 10 / np.sqrt(2)) - norm.logpdf(values, 70, 10)
    assert told[:3] == pytest.approx(truths[:3], rel=0.03) and told[3] == 0


def test_the_evidence_of_a_class_is_that_of_bayes() -> None:
    """Judgements normal about 0 or 1 by class, sd 1: log-odds are the prior's and said - 1/2 (a
    share of 20 %)."""
    source = np.random.default_rng(0)
    truth = (source.random(40_000) < 0.2).astype(float)
    evidence = Evidence.learn(SEX, truth, truth + source.normal(size=len(truth)))
    assert evidence is not None
    said = np.array([-1.0, 0.5, 3.0])
    odds = np.log(0.25) + said - 0.5
    told = evidence(said, np.array([1.0, 0.0]))
    assert told[:, 0] == pytest.approx(-np.logaddexp(0, -odds) - np.log(0.2), abs=0.05)
    assert told[:, 1] == pytest.approx(-np.logaddexp(0, odds) - np.log(0.8), abs=0.05)


@pytest.mark.parametrize("output", [AGE, SEX])
def test_a_judgement_that_is_chance_is_evidence_once_in_twenty_at_most(output: Output) -> None:
    """Half of five in a hundred: one that points the wrong way is none, either."""
    source = np.random.default_rng(0)
    some = [
        Evidence.learn(
            output,
            source.normal(70, 9, 60) if output is AGE else (source.random(60) < 0.4) * 1.0,
            source.normal(size=60),
        )
        for _ in range(400)
    ]
    assert 0 < sum(one is not None for one in some) < 0.05 * len(some)


def test_few_of_a_side_are_no_evidence() -> None:
    assert Evidence.learn(SEX, np.array([1.0] * 9 + [0.0] * 50), np.arange(59.0)) is None
    assert Evidence.learn(AGE, np.full(30, 70.0), np.arange(30.0)) is None
    assert Evidence.learn(AGE, np.r_[np.arange(9.0), np.full(30, np.nan)], np.arange(39.0)) is None


def test_a_contradiction_is_another_value_and_a_number_that_is_far() -> None:
    source = np.random.default_rng(0)
    ages = [60.0, 61.0, 62.0, 90.0, None]
    places, cells = OPPOSED["contradicted"].of(ages, True, source)
    least = APART * np.std([60, 61, 62, 90])
    assert places.tolist() == [0, 1, 2, 3] and all(
        abs(ages[i] - cell) >= least for i, cell in zip(places, cells, strict=True)
    )
    places, cells = OPPOSED["contradicted"].of(["a|b", "b|a", "", "c"], False, source)
    assert places.tolist() == [0, 1, 3] and cells[:2] == ["c", "c"] and cells[2] in ("a|b", "b|a")
    assert OPPOSED["contradicted"].of(["M", "M", "M"], False, source)[0].tolist() == []
    assert [list(part) for part in OPPOSED["withheld"].of(["M", None, "F"], False, source)] == [
        [0, 2],
        [None, None],
    ]


def test_an_attribute_that_is_the_same_everywhere_is_not_asked_about() -> None:
    rows = shapes.table(60, 2).assign(sex="M")
    told = found(
        by_judges(shapes.judges()), EvaluationImages(shapes.shapes(rows, 2).images, attributes=rows)
    )
    assert set(told["attributes"]) == {"age", "findings"}


def test_too_few_say_nothing() -> None:
    scorer = by_judges(shapes.judges())
    assert found(scorer, made().take(np.arange(MIN_IMAGES - 1))) is None
    assert found(scorer, EvaluationImages(made().images)) is None  # no table
    silent = EvaluationImages(made().images, attributes=pd.DataFrame({"age": [None] * 60}))
    assert found(scorer, silent) is None
    same = shapes.table(60, 2).assign(age=70.0, sex="M", findings="Effusion")
    alike = shapes.shapes(same, 2)
    assert (
        found(scorer, EvaluationImages(alike.images, attributes=same), alike) is None
    )  # one prompt


def test_sentences_are_counted_once() -> None:
    asked = Prompts("drawing", shapes.SPEC)
    rows = pd.DataFrame({"age": [70, 70.4, 80, None], "sex": ["M", "M", "F", None]})
    assert asked.add(rows).tolist() == [0, 0, 1, 2]
    assert asked.texts == [
        "a drawing of a 70 year old male",
        "a drawing of an 80 year old female",
        "a drawing",
    ]
    assert list(asked.rows["sex"].fillna("")) == ["M", "F", ""] and asked.add(
        rows.iloc[2:]
    ).tolist() == [1, 2]


@pytest.fixture
def clip(tmp_path: Path, tiny_base_folder: Path) -> Path:
    return tiny_clip(tmp_path, tiny_base_folder)


def test_a_dual_encoder_scores_as_it_does_itself(clip: Path) -> None:
    asked, (one, other) = (
        Prompts("drawing", shapes.SPEC),
        (made().take(np.arange(4)), made().take(np.arange(4, 7))),
    )
    asked.add(shapes.table(5, 2))
    scores = by_encoder(load_encoder(str(clip)))(one, other, asked)
    assert [part.shape for part in scores] == [(4, 5), (3, 5)]
    model = transformers.CLIPModel.from_pretrained(clip).eval()
    processor = transformers.CLIPImageProcessorPil.from_pretrained(clip)
    tokens = transformers.CLIPTokenizer.from_pretrained(clip)(
        asked.texts, padding=True, return_tensors="pt"
    )
    whole = [(255 * image).round().astype(np.uint8) for image in one.images]
    with torch.no_grad():
        given = (
            model(**processor(images=whole, return_tensors="pt"), **tokens).logits_per_image
            / model.logit_scale.exp()
        )
    assert scores[0] == pytest.approx(
        given.numpy(), abs=2e-3
    )  # the processor rounds pictures to 8 bit
    told = found(by_encoder(load_encoder(str(clip))), made())
    assert 0 <= told["metrics"]["first"]["value"] <= 1 and told["n"]["synthetic"] == 60


def test_what_is_no_dual_encoder_is_a_sentence(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no dual encoder .* such as CLIP or SigLIP"):
        load_encoder(str(tmp_path / "nothing"))
    config = transformers.ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
    )
    transformers.ViTModel(config).save_pretrained(clip)  # sees pictures and reads nothing
    with pytest.raises(InputError, match="no dual encoder"):
        load_encoder(str(clip))

"""Scores of an image and a prompt: evidence in closed form, and a dual encoder's own scores."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapes
import torch
import transformers
from rank_pictures import found, made
from scipy.stats import norm

from latentdrift.errors import InputError
from latentdrift.evaluate.attributes.attribute_predictors import Output
from latentdrift.evaluate.attributes.image_text_scores import (
    Evidence,
    Prompts,
    by_encoder,
    by_judges,
    load_encoder,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages

AGE = Output("age")
SEX = Output("sex", "F", other="M")


def constant(
    real: EvaluationImages, synthetic: EvaluationImages, asked: Prompts, *, by: Any
) -> Any:
    """Scores that look at no picture."""
    return tuple(
        np.broadcast_to(by(asked), (len(images), len(asked))) for images in (real, synthetic)
    )


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
    ).metrics["first"]
    assert first.blind == first.value == pytest.approx(first.floor) and first.value > 0.3
    honest = found(by_judges(shapes.judges()), synthetic).metrics["first"]
    assert honest.value > 0.8


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
    assert 0 <= told.metrics["first"].value <= 1 and told.n["synthetic"] == 60


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

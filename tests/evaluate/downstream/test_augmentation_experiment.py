"""Arms of a utility trial, on discs whose labels are known: right, swapped and worthless synthetic
pictures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from latentdrift.errors import InputError
from latentdrift.evaluate.downstream import augmentation_experiment
from latentdrift.evaluate.downstream.augmentation_experiment import (
    ARMS,
    AUGMENTED,
    CURVES,
    DOSES,
    ENOUGH,
    IMITATED,
    Trial,
    verdict,
)
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.evaluate.downstream.classification_task import Classifying
from latentdrift.evaluate.downstream.experiment_statistics import Reading, value_and_interval
from latentdrift.evaluate.downstream.tstr import Labelled
from latentdrift.evaluate.downstream.utility_results import TestedImages, Utility
from latentdrift.evaluate.features.classifier import SMALL
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling

# the default network, on images of the size that `discs` draws
DISC = Classifying(Classes("diagnosis", "dementia"), replace(SMALL, size=32))


def discs(n: int, seed: int, *, swapped: bool = False, who: str = "p") -> EvaluationImages:
    """A small (no dementia) or a large (dementia) bright disc in noise, two pictures per
    patient."""
    source, (row, col) = np.random.default_rng(seed), np.mgrid[:32, :32] / 31 * 2 - 1
    ill = np.arange(n) // 2 % 2
    shape = np.hypot(row, col) < np.where(ill, 0.6, 0.3)[:, None, None]
    grey = np.clip(0.5 * shape + source.normal(0.2, 0.05, (n, 32, 32)), 0, 1)
    words = np.where(ill != swapped, "dementia", "no dementia")
    table = pd.DataFrame({"diagnosis": words, "sex": np.where(np.arange(n) // 4 % 2, "F", "M")})
    return EvaluationImages(
        np.repeat(grey[..., None], 3, -1), [f"{who}{i // 2}" for i in range(n)], attributes=table
    )


def reader(labels: np.ndarray, resamples: int) -> Reading:
    test = Labelled(None, labels)
    return Reading(
        DISC.score(test), test.members, None, resampling=Resampling(resamples), repeats=2
    )


def run(synthetic: EvaluationImages, **how: int) -> Utility:
    asked = Trial(DISC, steps=12, repeats=1, resampling=Resampling(20), **how)
    return asked(discs(24, 0, who="t"), discs(48, 1), synthetic, "sex")


@pytest.fixture(scope="module")
def swapped() -> Utility:
    return run(discs(24, 2, swapped=True))


@pytest.mark.slow
def test_what_learned_from_swapped_labels_is_wrong_about_everyone(swapped: Utility) -> None:
    arms = swapped.arms
    assert arms["real"].value > 0.95 and arms["synthetic"].value < 0.05
    assert arms["synthetic"].difference == pytest.approx(
        arms["synthetic"].value - arms["real"].value
    )
    assert arms["synthetic"].difference_ci[1] < -0.8
    less = arms["synthetic"].value - arms[AUGMENTED].value
    assert arms["synthetic"].augmented_difference == pytest.approx(less)
    assert arms[AUGMENTED].difference is not None
    assert arms[AUGMENTED].augmented_difference is None and arms["real"].difference is None
    assert arms["synthetic, then real"].value > 0.5  # the last stage decides


def test_every_arm_is_there_with_what_it_learned_from(swapped: Utility) -> None:
    assert list(swapped.arms) == [name for name, arm in ARMS.items() if not arm.gan]
    assert swapped.arms["synthetic, then real"].trained == [[12, 12], [12, 12]]
    assert swapped.arms["real + synthetic"].trained == [[24, 24]]
    assert swapped.arms["few real"].trained == [[2, 2]]
    assert all([point.n for point in swapped.curves[name]] == [6, 12, 24] for name in CURVES)
    points = len(CURVES) * len(DOSES)
    assert Trial(DISC, repeats=2, gan=lambda real, made: made).learners == 2 * (len(ARMS) + points)
    assert Trial(DISC, repeats=2).learners == 2 * (len(swapped.arms) + points)
    assert json.loads(json.dumps(swapped.to_dict(), allow_nan=False))


def test_a_gan_is_a_set_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that draws real pictures of the other class teaches what swapped labels teach."""
    asked = {
        name: arm
        for name, arm in ARMS.items()
        if arm.gan or name in ("real", AUGMENTED, "real + synthetic", "synthetic")
    }
    monkeypatch.setattr(augmentation_experiment, "ARMS", asked)
    monkeypatch.setattr(augmentation_experiment, "DOSES", ())

    def swap(real: Labelled, made: Labelled) -> Labelled:
        assert len(made) == 20 and len(real) == 24
        return Labelled(real.x, 1 - real.labels)

    how = {"steps": 12, "repeats": 1, "resampling": Resampling(20)}
    told = Trial(DISC, **how, gan=swap)(discs(24, 0, who="t"), discs(48, 1), discs(20, 2), None)
    assert told.arms["GAN alone"].value < 0.05 < 0.95 < told.arms["synthetic"].value
    assert told.arms["GAN alone"].trained == [[12, 12]]
    assert told.arms[IMITATED].trained == [[24, 24]]
    less = told.arms["real + synthetic"].value - told.arms[IMITATED].value
    assert told.arms["real + synthetic"].gan_difference == pytest.approx(less)


def test_few_test_patients_conclude_nothing(swapped: Utility) -> None:
    assert swapped.tested == TestedImages(images=[24, 24], patients=[12, 12])
    assert any(
        "too few to conclude. There are 12 test patients without it, 12" in words
        for words in swapped.warnings
    )
    few = swapped.arms["synthetic"].model_copy(
        update={"difference": 0.1, "difference_ci": [-0.1, 0.3]}
    )
    assert verdict(few, swapped.tested) == "too few test patients to say"
    assert verdict(swapped.arms["synthetic"], swapped.tested).startswith(
        "worse than real alone, of few"
    )  # labels swapped
    enough = TestedImages(images=[ENOUGH] * 2, patients=[ENOUGH] * 2)
    assert verdict(swapped.arms["synthetic"], enough) == "worse than real alone"
    assert verdict(few, enough) == "no difference to real alone was seen"


def test_a_gap_between_subgroups_is_found() -> None:
    """Scores that know the class of women and not that of men."""
    source = np.random.default_rng(0)
    labels = np.arange(80) % 2
    sex = np.where(np.arange(80) < 40, "F", "M")
    scores = np.where(sex == "F", labels + 0.0, source.normal(size=80))[None].repeat(2, 0)
    read = reader(labels, 50)
    pictures = np.zeros((80, 2, 2, 3))
    masks = read.subgroups(EvaluationImages(pictures, attributes=pd.DataFrame({"sex": sex})), "sex")
    arm = read.arm(scores, {"difference": read.series(scores.copy())}, masks, [])
    assert arm.subgroups["F"] == 1 and 0.25 < arm.subgroups["M"] < 0.75
    assert arm.gap == pytest.approx(1 - arm.subgroups["M"]) and arm.gap_ci[0] > 0.1
    assert arm.difference == 0 and arm.difference_ci == [
        0,
        0,
    ]  # the same scores over the same resamples
    rare = pd.DataFrame({"sex": ["F"] * 78 + ["M"] * 2, "age": np.arange(80) / 4 + 60})
    few = EvaluationImages(pictures, attributes=rare)
    assert read.subgroups(few, "sex").keys() == {"F"} and list(read.subgroups(few, "age")) == [
        "60 to 69",
        "70 to 79",
    ]


def test_seeds_that_disagree_widen_the_interval() -> None:
    labels = np.arange(80) % 2
    right = labels + np.random.default_rng(1).normal(0, 0.1, 80)
    source = np.random.default_rng(2)
    read = reader(labels, 60)
    alike = read.mean(np.stack([right, right]))
    apart = read.mean(np.stack([right, source.normal(size=80)]))
    assert alike.ci == pytest.approx([1.0, 1.0]) and apart.sd > 0.2
    assert apart.ci[1] - apart.ci[0] > 0.3


def test_a_number_and_its_resamples_are_the_measure_of_weighted_pictures() -> None:
    """By hand: the mean over seeds of the measure, for all pictures and for each draw of patients
    and seeds."""
    labels = np.arange(12) % 2
    source = np.random.default_rng(3)
    read = reader(labels, 10)
    scores = source.normal(size=(2, 12))
    series = read.series(scores)
    assert len(series) == 11
    assert series[0] == pytest.approx(np.mean([read.measure(one, np.ones(12)) for one in scores]))
    weights, seeds = read.resamples[4]
    pictures = np.repeat(np.arange(12), weights.astype(int))
    again = Classifying(DISC.classes).score(Labelled(None, labels[pictures]))
    assert series[5] == pytest.approx(
        np.mean([again(scores[s][pictures], np.ones(len(pictures))) for s in seeds])
    )
    assert value_and_interval(series)[0] == series[0] and value_and_interval(series[:2])[1] is None


def test_few_keep_both_classes() -> None:
    lopsided = Labelled(np.zeros((40, 1)), np.array([1] * 4 + [0] * 36))
    few = lopsided.fewer(0.1, 0)
    assert few.labels.sum() == 2 and len(few) == 20


def test_sets_without_the_class_are_refused_in_a_sentence() -> None:
    plain = EvaluationImages(np.zeros((4, 32, 32, 3)))
    with pytest.raises(InputError, match="synthetic images have no column 'diagnosis'"):
        run(plain)
    one = discs(24, 0).take(np.arange(2))
    with pytest.raises(InputError, match="trained on at least 2 pictures of each class"):
        run(one)

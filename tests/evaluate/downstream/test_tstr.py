"""Train on these, test on those: known answers of the classifier, its AUC and its interval."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from discs import pictures
from sklearn.metrics import roc_auc_score

from latentdrift.errors import InputError
from latentdrift.evaluate.downstream.augmentation import AUGMENTATIONS
from latentdrift.evaluate.downstream.tstr import BATCH, Labelled, utility
from latentdrift.evaluate.features.classifier import SIZE, classifier, load_network
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.auc import auc
from latentdrift.resampling import Resampling
from latentdrift.seeds import generator

STEPS = 20


@pytest.fixture(scope="module")
def train() -> Labelled:
    return pictures(24, 0, size=32)


@pytest.fixture(scope="module")
def test() -> Labelled:
    return pictures(24, 1, size=32)


def test_what_can_be_learned_is_learned_and_what_cannot_is_not(
    train: Labelled, test: Labelled
) -> None:
    """Labels that follow the disc, the opposite ones, and shuffled ones that have nothing to do
    with it."""
    assert utility([train], test, steps=STEPS).auc == 1.0
    assert utility([Labelled(train.x, 1 - train.labels)], test, steps=STEPS).auc == 0.0
    more = pictures(80, 2, size=32)
    coin = np.arange(80) % 2
    shuffled = utility([Labelled(train.x, np.arange(24) % 2)], Labelled(more.x, coin), steps=STEPS)
    assert 0.3 < shuffled.auc < 0.7  # 0.5 +- 3 sds of 0.065


def test_the_same_seed_gives_the_same_scores_and_torch_is_left_alone(
    train: Labelled, test: Labelled
) -> None:
    before = torch.random.get_rng_state()
    one, same, other = (utility([train], test, steps=3, seed=seed).scores for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_stages_share_the_steps(train: Labelled, test: Labelled) -> None:
    """First wrong, then right labels: the last stage decides. And pictures do not change the number
    of steps."""
    wrong = Labelled(train.x, 1 - train.labels, train.patients)
    found = utility([wrong, train], test, steps=2 * STEPS)
    assert found.auc > 0.9
    assert found.trained == [(12, 12), (12, 12)]
    assert found.to_dict()["tested"] == (12, 12)
    with pytest.raises(InputError, match="1 steps cannot be shared by 2 stages"):
        utility([train, train], test, steps=1)


def test_the_network_is_small_and_fixed() -> None:
    assert 80_000 < sum(weight.numel() for weight in classifier(0).parameters()) < 120_000
    assert classifier(0)(torch.zeros(2, 3, SIZE, SIZE)).shape == (2, 1)


def test_auc_counts_pairs() -> None:
    """The share of (one, zero) pairs in the right order, ties as halves (Mann and Whitney 1947)."""
    source = np.random.default_rng(3)
    labels = np.arange(30) % 2
    scores = source.normal(size=30).round(1)
    pairs = [(a > b) + 0.5 * (a == b) for a, b in product(scores[labels == 1], scores[labels == 0])]
    value, ci = auc(labels, scores, None, resampling=Resampling(50))
    assert value == pytest.approx(np.mean(pairs)) == pytest.approx(roc_auc_score(labels, scores))
    assert ci is not None
    assert 0 <= ci[0] < value < ci[1] <= 1


def test_patients_are_resampled_not_pictures() -> None:
    """Four copies of each picture say nothing new about their patients: the interval stays; by
    pictures it would halve."""
    source = np.random.default_rng(4)
    labels = np.arange(40) % 2
    scores = source.normal(size=40) + labels
    patients = [f"P{i:02d}" for i in range(40)]
    copies = [np.repeat(x, 4) for x in (labels, scores, np.array(patients))]
    value, once = auc(labels, scores, patients, resampling=Resampling(100))
    again, ci = auc(copies[0], copies[1], list(copies[2]), resampling=Resampling(100))
    _, by_picture = auc(copies[0], copies[1], None, resampling=Resampling(100))
    assert once is not None and ci is not None and by_picture is not None
    assert again == pytest.approx(value)
    assert ci == pytest.approx(once)
    assert by_picture[1] - by_picture[0] < 0.7 * (ci[1] - ci[0])
    assert (
        auc(
            labels[:8],
            scores[:8],
            ["A", "B", "A", "B", "A", "B", "A", "B"],
            resampling=Resampling(50),
        )[1]
        is None
    )


def test_sets_are_joined_and_sampled_by_class(train: Labelled) -> None:
    lopsided = Labelled(
        train.x[:16], np.array([1] * 4 + [0] * 12), train.patients and train.patients[:16]
    )
    few = lopsided.take(8, seed=1)
    assert (len(few), few.labels.sum()) == (8, 2)
    assert torch.equal(few.x, lopsided.take(8, seed=1).x)
    assert not torch.equal(few.x, lopsided.take(8, seed=2).x)
    assert len(lopsided.take(100, seed=0)) == 16
    both = few + Labelled(train.x, train.labels)
    assert (len(both), both.patients) == (32, None)
    assert (few + few).patients == [*(few.patients or []), *(few.patients or [])]


def test_augmentation_keeps_left_on_the_left() -> None:
    x = torch.zeros(BATCH, 3, SIZE, SIZE)
    x[..., : SIZE // 2] = 0.5
    seen = AUGMENTATIONS["light"](x, generator(0))
    assert seen.shape == x.shape
    assert seen.min() >= 0 and seen.max() <= 1
    assert (seen[..., :8] > 0.3).all()
    assert (seen[..., -8:] == 0).all()
    assert len({float(value) for value in seen.mean((1, 2, 3))}) == BATCH  # no two alike


def test_every_augmentation_keeps_the_shape_the_range_and_the_sides() -> None:
    x = torch.zeros(BATCH, 3, SIZE, SIZE)
    x[..., : SIZE // 2] = 0.5
    seen = {name: row(x, generator(0)) for name, row in AUGMENTATIONS.items()}
    assert torch.equal(seen["none"], x)
    for name, made in seen.items():
        assert made.shape == x.shape and made.min() >= 0 and made.max() <= 1, name
        assert (made[:, :, SIZE // 2, :8] > 0.3).all() and (
            made[:, :, SIZE // 2, -8:] == 0
        ).all(), name
    upper, lower = (seen["classical"][:, 0, row].gt(0.2).sum(-1) for row in (4, -4))
    assert (upper - lower).abs().max() > 4  # turned: the edge leans
    assert (upper > lower).any() and (upper < lower).any()


def test_a_published_backbone_learns_too(tmp_path: Path, train: Labelled) -> None:
    """A tiny ResNet in a folder, as transformers writes it: its last layer is made anew, its trunk
    is kept."""
    from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

    how = {
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "layer_type": "basic",
        "num_labels": 5,
    }
    model = ResNetForImageClassification(ResNetConfig(**how))
    model.save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    network = load_network(str(tmp_path))
    made = network.make(0, 2)
    assert made(torch.zeros(3, 3, 32, 32)).shape == (3, 2) and network.size == 32
    weights = {name.removeprefix("model."): value for name, value in made.state_dict().items()}
    kept = [
        name
        for name in model.state_dict()
        if name.startswith("resnet.") and name.endswith("weight")
    ]
    assert all(torch.equal(weights[name], model.state_dict()[name]) for name in kept)
    small = Labelled(torch.nn.functional.interpolate(train.x, 32), train.labels)
    assert utility([small], small, steps=2, resampling=None, network=network).trained == [(12, 12)]


def test_a_network_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no vision model could be read from .*; give `small`, a folder"
    ):
        load_network(str(tmp_path))
    with pytest.raises(InputError, match="pip install timm"):
        load_network("timm/resnet18.a1_in1k")


@pytest.mark.parametrize("part", ["trained", "tested"])
def test_one_class_alone_is_refused_in_a_sentence(
    train: Labelled, test: Labelled, part: str
) -> None:
    alone = Labelled(train.x, np.zeros(len(train), int), train.patients)
    with pytest.raises(
        InputError,
        match=f"{part} on at least 2 pictures of each class, and these are 0 .* 24 of the rest",
    ):
        utility([alone], test) if part == "trained" else utility([train], alone)


def test_labels_are_one_or_nought_for_each_picture() -> None:
    images = EvaluationImages(np.zeros((3, 8, 8, 3), np.float32))
    with pytest.raises(InputError, match="3 pictures come with 2 labels"):
        Labelled.of(images, [0, 1])
    with pytest.raises(InputError, match="give each picture a 1 or a 0"):
        Labelled.of(images, [0, 1, 2])

"""Segmenters on discs whose outline is known: what they learn, how it is scored, and which masks
belong to which image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score
from tiny import tiny_cohort

from latentdrift import config
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort, write_cohort
from latentdrift.display.html_report import write_page
from latentdrift.errors import CohortError, InputError, OptionError
from latentdrift.evaluate.downstream import augmentation_experiment
from latentdrift.evaluate.downstream.augmentation import AUGMENTATIONS
from latentdrift.evaluate.downstream.augmentation_experiment import ARMS, Trial
from latentdrift.evaluate.downstream.segmentation_task import Masked, Segmenting, mean_dice
from latentdrift.evaluate.downstream.unet import SIZE, dice, segmenter
from latentdrift.evaluate.evaluations.evaluation import Request
from latentdrift.evaluate.evaluations.evaluations import check
from latentdrift.evaluate.evaluations.utility import task_of, utility_blocks, utility_light
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling
from latentdrift.seeds import generator

TASK = Segmenting({}, (1,), "roi")


def discs(n: int, seed: int, *, shift: int = 0) -> Masked:
    """A bright disc in noise at any place, and its mask, moved by `shift` pixels to the right; two
    pictures of each patient."""
    source, (row, col) = np.random.default_rng(seed), np.mgrid[:SIZE, :SIZE]
    middle = source.uniform(14, SIZE - 20, (2, n, 1, 1))
    radius = source.uniform(5, 10, (n, 1, 1))
    inside = np.hypot(row - middle[0], col - middle[1]) < radius
    grey = np.clip(0.5 * inside + source.normal(0.25, 0.08, inside.shape), 0, 1)
    x = torch.from_numpy(np.repeat(grey[:, None], 3, 1)).float()
    return Masked(
        x,
        torch.from_numpy(np.roll(inside, shift, 2)).long(),
        2,
        [f"p{seed}-{i // 2}" for i in range(n)],
    )


def learned(stages: list[Masked], test: Masked, steps: int = 45) -> float:
    scores = TASK.learn(stages, test, steps=steps, seed=0, augmentation="none", device="cpu")
    return mean_dice(scores, np.ones(len(test)))


def test_a_disc_is_outlined_where_its_masks_say_it_is() -> None:
    """Masks that lie beside their discs teach the wrong place: the overlap of a disc with itself,
    moved, is all that is left."""
    train = discs(32, 0)
    test = discs(24, 1)
    assert learned([train], test) > 0.85
    moved = torch.roll(test.masks, 8, 2)
    overlap = mean_dice(dice(moved, test.masks, 2), np.ones(len(test)))
    assert (
        learned([discs(32, 0, shift=8)], test) == pytest.approx(overlap, abs=0.12) and overlap < 0.6
    )
    assert TASK.chance(train, test) < 0.3  # one mask for everybody does not fit discs at any place


def test_dice_is_the_f1_of_pixels_where_the_picture_has_the_label() -> None:
    source = np.random.default_rng(2)
    truth = torch.from_numpy(source.integers(0, 3, (6, 8, 8)))
    said = torch.from_numpy(source.integers(0, 3, (6, 8, 8)))
    truth[0][truth[0] == 2] = 0
    scores = dice(said, truth, 3)
    for i in range(6):
        for label in (1, 2):
            a, b = ((x[i] == label).flatten().numpy() for x in (truth, said))
            assert scores[i, label - 1] == pytest.approx(f1_score(a, b)) or (i == 0 and label == 2)
    assert np.isnan(scores[0, 1]) and np.isfinite(scores).sum() == 11
    weights = np.array([2, 1, 0, 1, 3, 1.0])
    by_hand = [
        np.average(column[np.isfinite(column)], weights=weights[np.isfinite(column)])
        for column in scores.T
    ]
    assert mean_dice(scores, weights) == pytest.approx(np.mean(by_hand))
    assert np.isnan(mean_dice(scores, np.eye(6)[0]))  # the second label is left out


def test_one_mask_for_everybody_is_the_commonest_label_of_each_pixel() -> None:
    masks = torch.zeros(3, SIZE, SIZE).long()
    masks[0, :, :10], masks[1, :, :20], masks[2, :, :40] = 1, 1, 1
    lesson = Masked(torch.zeros(3, 3, SIZE, SIZE), masks, 2)
    assert TASK.chance(lesson, lesson) == pytest.approx(np.mean([2 * 10 / 30, 1, 2 * 20 / 60]))


def test_a_mask_moves_as_its_picture_does() -> None:
    lesson = discs(8, 3)
    clean = lesson.masks[:, None].repeat(1, 3, 1, 1).float()
    x, masks = AUGMENTATIONS["classical"].both(clean, lesson.masks, 2, generator(0))
    agreement = mean_dice(
        dice((x[:, 0] > 0.3).long(), masks, 2), np.ones(8)
    )  # tones change 1 by a tenth at most
    assert agreement > 0.95 and (masks != lesson.masks).any()
    same, kept = AUGMENTATIONS["none"].both(clean, lesson.masks, 2, generator(0))
    assert torch.equal(same, clean) and torch.equal(kept, lesson.masks)


def test_lessons_are_joined_and_sampled() -> None:
    lesson = discs(20, 4)
    few = lesson.fewer(0.2, 0)
    assert (
        len(few) == 4
        and torch.equal(few.x, lesson.fewer(0.2, 0).x)
        and len(lesson.fewer(0.01, 0)) == 2
    )
    assert len(few + lesson) == 24 and (few + lesson).patients == [
        *(few.patients or []),
        *(lesson.patients or []),
    ]
    assert lesson.members.tolist() == [[True] * 20]
    assert segmenter(0, 3)(torch.zeros(2, 3, SIZE, SIZE)).shape == (2, 3, SIZE, SIZE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`real`, whose column `roi` names masks of the dark hole, 5 in the ill and 9 in the well;
    `made`, as of `generate`."""
    folder = tmp_path_factory.mktemp("segmenting")
    real = Cohort.load(tiny_cohort(folder / "real", 60))
    (real.folder / "masks").mkdir()
    row, col = np.mgrid[:32, :32] / 31 * 2 - 1
    holes = [np.hypot(row, col) < (0.45 if ill else 0.2) for ill in (False, True)]
    ill = (real.table["diagnosis"] == "dementia").to_numpy()
    drawn = [(holes[one] * (5 if one else 9)).astype(np.uint8) for one in ill.astype(int)]
    names = [f"masks/{place}.png" for place in range(60)]
    for name, mask in zip(names, drawn, strict=True):
        Image.fromarray(mask).save(real.folder / name)
    table = pd.read_csv(real.folder / "metadata.csv", keep_default_na=False)
    table["roi"] = ["", *names[1:]]
    table.to_csv(real.folder / "metadata.csv", index=False)
    pictures = [
        (real.stored(row), {"patient": f"s{i}"})
        for i, row in enumerate(real.rows().head(24).to_dict("records"))
    ]
    write_cohort(
        folder / "made",
        pictures,
        {"synthetic": True, "kept": ("mask",)},
        lambda place: drawn[place],
    )
    return folder


def asked(folders: Path, **options: Any) -> config.EvaluateOptions:
    given = {
        "real": folders / "real",
        "synthetic": folders / "made",
        "out": folders / "out",
        "utility": "mask=roi",
    }
    return config.EvaluateOptions(
        **{**given, "classifier_steps": 2, "classifier_seeds": 1, "bootstrap": 10, **options}
    )


def test_masks_of_a_cohort_belong_to_their_images(folders: Path) -> None:
    request = Request(asked(folders), Cohort.load(folders / "real"))
    assert not check(request)
    task = request.once(task_of)
    assert isinstance(task, Segmenting) and task.values == (5, 9) and "network" not in vars(request)
    train = image_sets.load_set(folders / "real", "train", 32)
    lesson, some = task.known(train, "train", 0)
    assert len(lesson) == len(train) - 1 == len(some)  # the first image names no mask
    for image, mask in zip(lesson.x, lesson.masks, strict=True):
        inside = image[0][mask > 0]
        assert inside.mean() < image[0][28:36, 12:16].mean() - 0.1  # the hole is dark
    made, _ = task.known(image_sets.load_set(folders / "made", None, 32), "made", 0)
    assert len(made) == 24 and made.members.sum(1).tolist() == [12, 12]


def test_a_trial_of_segmenters_has_the_same_arms(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {
        name: arm
        for name, arm in ARMS.items()
        if name in ("real", "real, augmented", "synthetic", "real + synthetic")
    }
    monkeypatch.setattr(augmentation_experiment, "ARMS", few)
    options = asked(folders)
    task = task_of(Request(options, Cohort.load(options.real)))
    assert task is not None
    loaded = [
        image_sets.load_set(folders / name, split, 32)
        for name, split in (("real", "train"), ("real", "test"), ("made", None))
    ]
    told = Trial(task, steps=2, repeats=1, resampling=Resampling(10))(
        loaded[0], loaded[1], loaded[2], None
    )
    assert told.measure == "Dice" and told.groups == ["with label 5", "with label 9"]
    assert told.tested.to_dict() == {"images": [6, 6], "patients": [3, 3]} and 0 < told.chance < 1
    assert told.arms["real + synthetic"].trained[0] == [
        n + 12 for n in told.arms["real"].trained[0]
    ]
    assert [point.n for point in told.curves["synthetic"]] == [6, 12, 24]
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False))
    light = utility_light(told)
    assert light[:2] == ("Of use? (mask: roi)", "grey")  # three patients
    write_page(tmp_path / "use.html", "Use", utility_blocks(told))
    html = (tmp_path / "use.html").read_text()
    assert "Dice without looking at the images" in html and "6 with label 9 (3 patients)" in html
    plan = dry_run.run("evaluate", options)
    assert plan["classifiers"] == len(few) + 4 and plan["seconds_of_training"] > 0


def test_masks_that_are_not_there_are_missed_before_work_starts(
    folders: Path, tmp_path: Path
) -> None:
    real = Cohort.load(folders / "real")
    for options, error, says in [
        ({"utility": "mask=lesion"}, OptionError, "unknown column for `utility=mask` 'lesion'"),
        ({"utility": "mask=sex"}, OptionError, "`utility=mask=sex` is an attribute"),
        (
            {"synthetic": folders / "real" / "images"},
            OptionError,
            "needs masks of the synthetic images, and .* is not a cohort",
        ),
        (
            {"synthetic": tiny_cohort(tmp_path / "plain")},
            OptionError,
            "neither a column roi nor a column mask; `generate` keeps",
        ),
        (
            {"classifier": "timm/resnet18"},
            OptionError,
            "`classifier` has no part in `utility=mask=roi`",
        ),
    ]:
        with pytest.raises(error, match=says):
            check(Request(asked(folders, **options), real))


def test_labels_that_were_not_trained_on_or_cannot_be_tested_are_sentences(folders: Path) -> None:
    task = Segmenting.of(Cohort.load(folders / "real"), folders / "made", "roi", "test")
    images = image_sets.load_set(folders / "made", None, 32)
    with pytest.raises(
        CohortError,
        match=(
            r"masks/00000\d\.png has the label 9, and the masks of the train split have 0, "
            r"5; write it"
        ),
    ):
        Segmenting(task.sources, (5,), "roi").known(images, "made", 0)
    rare = Segmenting(task.sources, (5, 7, 9), "roi")
    with pytest.raises(InputError, match="no test image has the label 7"):
        rare.known(image_sets.load_set(folders / "real", "test", 32), "test", 0)
    with pytest.raises(
        InputError, match="at least 2 images with a mask of each set, and 1 made images"
    ):
        one = {**task.sources, "made": replace(task.sources["made"], positions=[0])}
        Segmenting(one, task.values, "roi").known(EvaluationImages(images.images[:1]), "made", 0)

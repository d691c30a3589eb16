"""Warnings of a report: about the sets, and about numbers that say little."""

from __future__ import annotations

from evaluation_inputs import image_set, textures

from latentdrift.evaluate.evaluations.distribution import DistributionResult, SpaceInfo
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.metrics.distribution_metrics import FRECHET_N
from latentdrift.evaluate.metrics.prdc import K
from latentdrift.evaluate.report.report_warnings import number_warnings, set_warnings
from latentdrift.evaluate.statistics.results import Metric

REAL = image_set(textures(24, 0), [f"p{i}" for i in range(24)])


def test_sets_without_faults_have_the_warning_of_their_size_alone() -> None:
    (warning,) = set_warnings(REAL, image_set(textures(6, 1)), REAL)
    assert warning.startswith("MS-SSIM uses ") and "at 32 pixels" in warning


def test_each_fault_of_a_set_is_a_sentence() -> None:
    images = textures(5, 1)
    images[1] = 0.5
    images[4] = images[3]
    sentences = " ".join(set_warnings(image_set(textures(6, 0)), image_set(images), None))
    assert "The patients of the real images are not known" in sentences
    assert "Synthetic images of one flat colour: 1. The first is 1." in sentences
    assert "Synthetic images that are identical to another one: 1." in sentences
    assert "No training images were given" in sentences
    few = image_set(textures(6, 0), ["a", "a", "b", "b", "c", "c"])
    assert "from only 3 patients" in " ".join(set_warnings(few, REAL, REAL))
    smaller = EvaluationImages(REAL.images[:, :16, :16], None)
    assert "Real images are 32x32 pixels, synthetic images 16x16" in " ".join(
        set_warnings(REAL, smaller, REAL)
    )


def test_numbers_of_few_images_are_limited() -> None:
    spaces = {"ssl": SpaceInfo(dimension=64, protocol="")}
    results = Results([DistributionResult(spaces=spaces, map={})])
    metrics = {"recall.ssl": Metric(value=1, ci=None, n={}, floor=None, k=K - 1)}
    sentences = number_warnings({"real": 40, "synthetic": 30}, metrics, results)
    assert len(sentences) == 5
    for part, sentence in zip(
        (
            f"fewer than {FRECHET_N} images (here 30)",
            f"k = {K - 1} neighbours",
            "The 30 images do not outnumber the 64 ssl features",
            "learned from this cohort's training images",
            "Features: ssl. Do not compare these distances with published",
        ),
        sentences,
        strict=True,
    ):
        assert part in sentence


def test_many_images_in_inception_features_have_no_limit() -> None:
    spaces = {"inception": SpaceInfo(dimension=64, protocol="")}
    results = Results([DistributionResult(spaces=spaces, map={})])
    enough = {"real": FRECHET_N, "synthetic": FRECHET_N}
    assert number_warnings(enough, {}, results) == []

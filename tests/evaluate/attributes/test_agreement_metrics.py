"""Agreement of images with their table: known labels, shuffled ones and swapped ones."""

from __future__ import annotations

import pytest
import shapes

from latentdrift.evaluate.attributes.agreement_metrics import (
    Agreement,
    AgreementMetric,
    align,
    verdict,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling


def aligned(synthetic: EvaluationImages) -> Agreement:
    return align(shapes.judges(), shapes.held_out(), synthetic, resampling=Resampling(40))


@pytest.fixture(scope="module")
def right() -> Agreement:
    return aligned(shapes.shapes(shapes.table(60, 2), 2))


def test_what_was_asked_for_and_drawn_is_found_to_be_there(right: Agreement) -> None:
    found = right.judged
    assert list(found) == ["age", "sex=F", "findings=Effusion", "findings=No Finding"]
    for name in ("sex=F", "findings=Effusion"):
        auc = found[name].metrics["auc"]
        assert auc.value > 0.95 and auc.ceiling > 0.95 and abs(auc.floor - 0.5) < 0.1
        assert found[name].verdict == "shown as in real images"
    age = found["age"].metrics
    assert age["r"].value > 0.8 and age["mae"].value < 0.7 * age["mae"].floor
    assert age["bias"].floor is None and abs(age["bias"].value) < 2
    assert found["age"].n == {"synthetic": 60, "real": 80}


def test_pictures_of_another_age_than_their_table_says_show(right: Agreement) -> None:
    """All of them ten years younger: as well ordered, and ten years off.

    No image is younger than the 60 years that the predictors learned from.
    """
    rows = shapes.table(60, 2)
    rows["age"] = rows["age"].clip(lower=70)
    younger = shapes.shapes(rows.assign(age=rows["age"] - 10), 2)
    age = aligned(EvaluationImages(younger.images, attributes=rows)).judged["age"].metrics
    assert -14 < age["bias"].value < -6 and age["bias"].ci[1] < -3
    assert age["mae"].value > 2 * right.judged["age"].metrics["mae"].value
    assert age["mae"].ci[0] > age["mae"].ceiling_ci[1]


def test_labels_that_the_pictures_ignore_show_as_shuffled_ones() -> None:
    found = aligned(
        EvaluationImages(
            shapes.shapes(shapes.table(60, 2), 2).images, attributes=shapes.table(60, 9)
        )
    ).judged
    for name, metric in (("age", "r"), ("sex=F", "auc")):
        assert found[name].verdict == "not shown: as with shuffled labels"
        assert found[name].metrics[metric].value < found[name].metrics[metric].ceiling_ci[0]


def test_swapped_labels_get_an_auc_of_nought() -> None:
    rows = shapes.table(60, 2)
    swapped = rows.assign(sex=rows["sex"].map({"F": "M", "M": "F"}))
    found = aligned(EvaluationImages(shapes.shapes(rows, 2).images, attributes=swapped)).judged
    assert (
        found["sex=F"].metrics["auc"].value < 0.05
        and found["sex=F"].metrics["accuracy"].value < 0.1
    )


def test_what_the_judges_cannot_see_says_nothing_of_the_images() -> None:
    blind = AgreementMetric(
        value=0.5,
        ci=[0.4, 0.6],
        floor=0.5,
        floor_range=[0.4, 0.6],
        ceiling=0.5,
        ceiling_ci=[0.45, 0.6],
    )
    assert verdict(blind) == "not recognised in held-out real images either: no result"
    less = blind.model_copy(update={"ci": [0.7, 0.8], "ceiling_ci": [0.9, 1.0]})
    assert verdict(less) == "shown, less than in real images"

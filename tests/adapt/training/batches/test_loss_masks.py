"""Masked loss: where it counts, and what is said of masks that do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import KilledError, killer, same
from PIL import Image

from latentdrift.adapt.training.batches import loss_masks
from latentdrift.adapt.training.batches.row_cache import CacheRoot
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, OptionError


def test_a_pixels_shares_add_up() -> None:
    for parts, length in [(4, 16), (3, 7), (5, 5), (8, 3)]:
        cover = loss_masks.cover(parts, length)
        np.testing.assert_allclose(cover.sum(1), 1)
        np.testing.assert_allclose(
            cover.sum(0), parts / length
        )  # no pixel counts more than another
    np.testing.assert_allclose(loss_masks.cover(2, 3), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])


@pytest.fixture
def masked(cohort: Cohort, tmp_path: Path) -> Cohort:
    """The cohort with a mask for every training image: the left half, and one column of pixels
    more."""
    shutil.copytree(cohort.folder, tmp_path / "masked")
    (tmp_path / "masked" / "masks").mkdir()
    table = cohort.rows().copy()
    table["roi"] = None
    for row in cohort.rows("train").index:
        mask = np.zeros((32, 32), np.uint8)
        mask[:, :17] = 255
        Image.fromarray(mask).save(tmp_path / "masked" / "masks" / f"{row}.png")
        table.loc[row, "roi"] = f"masks/{row}.png"
    table.to_csv(tmp_path / "masked" / "metadata.csv", index=False)
    return Cohort.load(tmp_path / "masked")


def test_a_mask_becomes_weights_of_latents_by_area(masked: Cohort, tmp_path: Path) -> None:
    train = list(masked.rows("train").index)
    found = loss_masks.weights(masked, "roi", 0.2, train, 32, 8, CacheRoot(tmp_path / "cache"))
    assert found.shape == (len(masked.rows()), 1, 8, 8)
    expected = np.array(
        [1, 1, 1, 1, 0.2 + 0.8 / 4, 0.2, 0.2, 0.2], np.float32
    )  # 17 of 32 columns, 4 to a latent
    np.testing.assert_allclose(found[train[0], 0], np.tile(expected, (8, 1)), rtol=1e-6)
    assert (found[masked.rows("validation").index] == 1).all()


def test_masks_change_what_is_learned_and_full_ones_do_not(run: Any, masked: Cohort) -> None:
    plain = run("plain")
    left = run("left", data=masked, mask="roi")
    whole = run("whole", data=masked, mask="roi", mask_outside=1)
    assert not same(plain, left)
    assert same(plain, whole)
    assert (
        left.info.to_dict()["losses"]["held_out_before"]
        == plain.info.to_dict()["losses"]["held_out_before"]
    )
    assert left.info.to_dict()["trainer"]["mask_outside"] == 0.1


def test_masks_that_are_not_there_are_said_before_work(
    run: Any, masked: Cohort, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(
        OptionError, match=r"unknown column for `mask` 'rio'; known: .*did you mean 'roi'"
    ):
        run(data=masked, mask="rio")
    with pytest.raises(
        OptionError, match="`mask=diagnosis` is an attribute, which stands in prompts"
    ):
        run(data=masked, mask="diagnosis")
    first, second = masked.rows("train")["roi"].iloc[:2]
    (masked.folder / first).unlink()
    with pytest.raises(
        CohortError, match=f"1 of 8 masks named in column roi are not there, the first .*{first}"
    ):
        run(data=masked, mask="roi")
    Image.new("L", (32, 30)).save(masked.folder / first)
    with pytest.raises(CohortError, match=r"has the shape \(30, 32\) and its image .* \(32, 32\)"):
        run(data=masked, mask="roi")
    (masked.folder / second).write_bytes(b"no picture")
    Image.new("L", (32, 32)).save(masked.folder / first)
    with pytest.raises(CohortError, match="cannot be read"):
        run("other", data=masked, mask="roi")
    table = masked.rows().copy()
    table.loc[3, "roi"] = None
    table.to_csv(masked.folder / "metadata.csv", index=False)
    with pytest.raises(
        CohortError,
        match=(
            r"1 of 8 training images of .* name no mask in column roi, the first "
            r"images/0003\.png"
        ),
    ):
        run("empty", data=Cohort.load(masked.folder), mask="roi")


def test_all_odd_masks_are_counted_and_the_first_three_named(
    masked: Cohort, tmp_path: Path
) -> None:
    train = masked.rows("train")
    odd = train["roi"].iloc[:5].tolist()
    for name in odd:
        Image.new("L", (32, 30)).save(masked.folder / name)
    with pytest.raises(CohortError, match=r"^5 masks cannot be used: .*; and 2 more$") as refused:
        loss_masks.weights(
            masked, "roi", 0.2, list(train.index), 32, 8, CacheRoot(tmp_path / "cache")
        )
    assert [name in str(refused.value) for name in odd] == [True, True, True, False, False]


def test_other_masks_are_another_run(run: Any, masked: Cohort) -> None:
    with pytest.raises(KilledError):
        run(data=masked, mask="roi", on_step=killer(4))
    Image.new("L", (32, 32), 255).save(masked.folder / masked.rows("train")["roi"].iloc[0])
    with pytest.raises(OptionError, match="holds a run with other settings: masks"):
        run(data=masked, mask="roi")

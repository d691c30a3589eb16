"""Caches hold what the base says, are read again, continued, and never trusted when stale."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latentdrift.adapt.training.batches import latent_cache
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


class Counting:
    """A cache's compute that counts, and may fail at a row."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.calls = []
        self.fail_at = fail_at

    def __call__(self, first: int, last: int) -> dict[str, torch.Tensor]:
        if self.fail_at is not None and last > self.fail_at:
            raise KeyboardInterrupt
        self.calls.append((first, last))
        return {"value": torch.arange(first, last)[:, None].float()}


def test_moments_are_those_of_the_autoencoder(base: Base, cohort: Cohort, tmp_path: Path) -> None:
    moments = latent_cache.latents(base, cohort, 32, tmp_path)
    mean, std = base.moments(torch.from_numpy(cohort.batch(cohort.rows().iloc[[3, 5]], 32)))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(moments.sample([3, 5], noise), mean + std * noise, rtol=0, atol=1e-5)
    torch.testing.assert_close(moments.means([3, 5]), mean, rtol=0, atol=1e-5)


def test_moments_give_a_fresh_sample_each_time_and_nothing_is_flipped(
    base: Base, cohort: Cohort, tmp_path: Path
) -> None:
    moments = latent_cache.latents(base, cohort, 32, tmp_path)
    one, other = (
        moments.sample([0], torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)))
        for seed in (0, 1)
    )
    assert not torch.equal(one, other)
    flipped = base.moments(torch.from_numpy(cohort.batch(cohort.rows().iloc[:1], 32)).flip(3))[0]
    assert (one - moments.means([0])).abs().mean() < (one - flipped).abs().mean()


def test_a_second_run_reads_and_does_not_encode(base: Base, cohort: Cohort, tmp_path: Path) -> None:
    first = latent_cache.latents(base, cohort, 32, tmp_path)

    class Blind:
        hash = base.hash
        vae = base.vae

    again = latent_cache.latents(Blind(), cohort, 32, tmp_path)  # type: ignore[arg-type]
    assert np.array_equal(first.mean, again.mean)


@pytest.mark.parametrize("change", ["cohort", "base", "resolution"])
def test_a_change_of_what_shaped_it_rebuilds_it(
    change: str, base: Base, cohort: Cohort, tmp_path: Path
) -> None:
    before = latent_cache.latents(base, cohort, 32, tmp_path).mean.copy()
    if change == "cohort":
        folder = tmp_path / "cohort"
        shutil.copytree(cohort.folder, folder)
        table = cohort.rows().iloc[
            ::-1
        ]  # the same images in another order: the fingerprint stays, the rows move
        table.to_csv(folder / "metadata.csv", index=False)
        after = latent_cache.latents(base, Cohort.load(folder), 32, tmp_path).mean
        np.testing.assert_allclose(after, before[::-1], atol=1e-5)
    elif change == "base":
        latent_cache.latents(replace(base, hash="other"), cohort, 32, tmp_path)
    else:
        assert latent_cache.latents(base, cohort, 64, tmp_path).mean.shape[-1] == 16
    assert len(list(tmp_path.glob("latents-*"))) == 1  # the stale one is gone


def test_an_interrupted_cache_is_continued(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        latent_cache.cached(tmp_path, "latents", "k", 30, Counting(fail_at=17))
    rest = Counting()
    arrays = latent_cache.cached(tmp_path, "latents", "k", 30, rest)
    assert rest.calls[0][0] == 16
    assert arrays["value"][:, 0].tolist() == list(range(30))


@pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="this system takes room when it is written to"
)
def test_an_array_has_its_room_before_it_is_mapped(tmp_path: Path) -> None:
    """A page that a full disk cannot hold would end the process by SIGBUS."""
    array = latent_cache._new_array(tmp_path / "a.npy", (1000, 1000))
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= array.nbytes


def test_a_cache_that_lost_its_arrays_is_made_again(tmp_path: Path) -> None:
    latent_cache.cached(tmp_path, "latents", "k", 10, Counting())
    next(tmp_path.glob("latents-k/*.npy")).unlink()
    assert latent_cache.cached(tmp_path, "latents", "k", 10, Counting())["value"][
        :, 0
    ].tolist() == list(range(10))
    assert json.loads((tmp_path / "latents-k" / "done.json").read_text()) == {"rows": 10}


@pytest.mark.parametrize("text", ["[]", "3", "{", "", "{}", '{"rows": "10"}', '{"rows": -1}'])
def test_a_cache_with_a_damaged_count_is_made_again(tmp_path: Path, text: str) -> None:
    latent_cache.cached(tmp_path, "latents", "k", 10, Counting())
    (tmp_path / "latents-k" / "done.json").write_text(text)
    again = Counting()
    arrays = latent_cache.cached(tmp_path, "latents", "k", 10, again)
    assert again.calls[0][0] == 0 and arrays["value"][:, 0].tolist() == list(range(10))


def test_prompts_are_embedded_once_and_looked_up_by_text(base: Base, tmp_path: Path) -> None:
    prompts = ["", "a brain MRI", "a brain MRI of a 75 year old"]
    contexts = latent_cache.contexts(base, prompts, tmp_path)
    asked = [prompts[2], prompts[0], prompts[2]]
    expected = base.embed(asked).embeddings
    torch.testing.assert_close(contexts(asked).embeddings, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        latent_cache.live_contexts(base, prompts)(asked).embeddings, expected, rtol=0, atol=1e-5
    )


def test_a_shared_cache_is_worked_out_once_and_stands_beside_others(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    first = Counting()
    second = Counting()
    other = Counting()
    with ThreadPoolExecutor(2) as pool:
        found = [
            pool.submit(latent_cache.cached, tmp_path, "class", "one", 9, compute, shared=True)
            for compute in (first, second)
        ]
        arrays = [future.result()["value"] for future in found]
    latent_cache.cached(tmp_path, "class", "other", 3, other, shared=True)
    assert len(first.calls) + len(second.calls) == 3
    assert all(np.array_equal(array[:, 0], np.arange(9)) for array in arrays)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "class-one",
        "class-other",
    }

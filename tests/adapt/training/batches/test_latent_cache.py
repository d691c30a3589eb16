"""Caches hold what the base says, and are read again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.row_cache import CacheRoot
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


def test_moments_are_those_of_the_autoencoder(base: Base, cohort: Cohort, tmp_path: Path) -> None:
    moments = latent_cache.latents(base, cohort, 32, CacheRoot(tmp_path))
    mean, std = base.moments(torch.from_numpy(cohort.batch(cohort.rows().iloc[[3, 5]], 32)))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(moments.sample([3, 5], noise), mean + std * noise, rtol=0, atol=1e-5)
    torch.testing.assert_close(moments.means([3, 5]), mean, rtol=0, atol=1e-5)


def test_moments_give_a_fresh_sample_each_time_and_nothing_is_flipped(
    base: Base, cohort: Cohort, tmp_path: Path
) -> None:
    moments = latent_cache.latents(base, cohort, 32, CacheRoot(tmp_path))
    one, other = (
        moments.sample([0], torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)))
        for seed in (0, 1)
    )
    assert not torch.equal(one, other)
    flipped = base.moments(torch.from_numpy(cohort.batch(cohort.rows().iloc[:1], 32)).flip(3))[0]
    assert (one - moments.means([0])).abs().mean() < (one - flipped).abs().mean()


def test_a_second_run_reads_and_does_not_encode(base: Base, cohort: Cohort, tmp_path: Path) -> None:
    first = latent_cache.latents(base, cohort, 32, CacheRoot(tmp_path))

    class Blind:
        hash = base.hash
        vae = base.vae

    again = latent_cache.latents(Blind(), cohort, 32, CacheRoot(tmp_path))  # type: ignore[arg-type]
    assert torch.equal(first.means([*range(8)]), again.means([*range(8)]))


@pytest.mark.parametrize("change", ["cohort", "base", "resolution"])
def test_a_change_of_what_shaped_it_rebuilds_it(
    change: str, base: Base, cohort: Cohort, tmp_path: Path
) -> None:
    everything = range(len(cohort.rows()))
    before = latent_cache.latents(base, cohort, 32, CacheRoot(tmp_path)).means(everything)
    if change == "cohort":
        folder = tmp_path / "cohort"
        shutil.copytree(cohort.folder, folder)
        table = cohort.rows().iloc[
            ::-1
        ]  # the same images in another order: the fingerprint stays, the rows move
        table.to_csv(folder / "metadata.csv", index=False)
        moments = latent_cache.latents(base, Cohort.load(folder), 32, CacheRoot(tmp_path))
        after = moments.means(everything)
        torch.testing.assert_close(after, before.flip(0), rtol=0, atol=1e-5)
    elif change == "base":
        latent_cache.latents(replace(base, hash="other"), cohort, 32, CacheRoot(tmp_path))
    else:
        assert latent_cache.latents(base, cohort, 64, CacheRoot(tmp_path)).shape == (4, 16, 16)
    assert len(list(tmp_path.glob("latents-*"))) == 1  # the stale one is gone


def test_prompts_are_embedded_once_and_looked_up_by_text(base: Base, tmp_path: Path) -> None:
    prompts = ["", "a brain MRI", "a brain MRI of a 75 year old"]
    contexts = latent_cache.contexts(base, prompts, CacheRoot(tmp_path))
    asked = [prompts[2], prompts[0], prompts[2]]
    expected = base.embed(asked).embeddings
    torch.testing.assert_close(contexts(asked).embeddings, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        latent_cache.live_contexts(base, prompts)(asked).embeddings, expected, rtol=0, atol=1e-5
    )


def test_only_images_that_are_asked_for_are_encoded(
    base: Base, cohort: Cohort, tmp_path: Path
) -> None:
    encoded: list[int] = []

    class Watched:
        hash = base.hash
        vae = base.vae

        def moments(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            encoded.append(len(pixels))
            return base.moments(pixels)

    reports: list[tuple[int, int]] = []
    moments = latent_cache.latents(
        Watched(),  # type: ignore[arg-type]
        cohort,
        32,
        CacheRoot(tmp_path),
        now=[1, 2, 9],
        progress=lambda done, of: reports.append((done, of)),
    )
    assert encoded == [4, 4] and reports == [(2, 3), (3, 3)]
    assert moments.means([2, 9]).shape == (2, 4, 8, 8) and len(encoded) == 2
    moments.sample([5, 5], torch.zeros(2, 4, 8, 8))
    assert encoded == [4, 4, 4]

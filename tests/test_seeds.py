"""Seeds: the same place has the same one on every machine, and no two places share one."""

from __future__ import annotations

import hashlib

import torch

from latentdrift.seeds import derive, generator


def test_a_seed_is_the_first_63_bits_of_the_hash_of_its_place() -> None:
    digest = hashlib.sha256(b"7/image/3").hexdigest()
    assert derive(7, "image", 3) == int(digest[:16], 16) >> 1
    assert 0 <= derive(-1) < 2**63


def test_places_do_not_share_a_seed() -> None:
    seeds = {derive(seed, "image", index) for seed in range(20) for index in range(50)}
    assert len(seeds) == 1000
    assert derive(1, "a") != derive(1, "b") != derive(1)


def test_a_generator_depends_on_its_place_alone() -> None:
    first = torch.rand(4, generator=generator(7, "image", 3))
    assert torch.equal(first, torch.rand(4, generator=generator(7, "image", 3)))
    assert not torch.equal(first, torch.rand(4, generator=generator(7, "image", 4)))

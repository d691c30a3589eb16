"""DiffEdit: where the prompts differ by more than the threshold, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from attention_toy import sampled, toy_task
from gaussian import gaussian, randn, sd_schedule
from gaussian_edits import task
from torch import Tensor

from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.editors.diffedit import EXTREME, diffedit, differing
from latentdrift.model.conditioning import Conditioning

FIRST, A, B, C, D, LAST = range(6)
STEPS = 10
SOURCE = (FIRST, A, B, C, LAST)
TARGET = (FIRST, A, B, D, LAST)


def differs(*sizes: float) -> tuple[Callable[..., Tensor], Tensor]:
    """A network that predicts as much more under TARGET than under SOURCE, in the first of 16
    places, and the map of that."""
    size = torch.zeros(16, dtype=torch.float64)
    size[: len(sizes)] = torch.tensor(sizes)

    def network(xt: Tensor, t: object, said: Conditioning) -> Tensor:
        return (said.embeddings[:, 3, D, None] * size + 0.2).reshape(-1, 1, 4, 4)

    return network, size


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7])
@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        (
            (0.9, -0.6, 0.4, 0.1, *[0.35] * 12),
            None,
        ),  # the largest is less than three times the mean
        (
            (9.0, 1.0, 0.8, 0.4),
            (1.0, 1 / 2.1, 0.8 / 2.1, 0.4 / 2.1),
        ),  # the mean is 0.7, and 2.1 the largest that counts
    ],
)
def test_diffedit_changes_where_the_prompts_differ_by_more_than_the_threshold(
    sizes: tuple[float, ...], shares: tuple[float, ...] | None, threshold: float
) -> None:
    network, size = differs(*sizes)
    xT = randn(1, 1, 4, 4, seed=7)
    assert EXTREME == 3
    share = torch.zeros(16, dtype=torch.float64)
    share[: len(sizes)] = torch.tensor(shares or [abs(one) / 0.9 for one in sizes])
    made = diffedit(toy_task(network, None, xT, spec=EditSpec(mask_threshold=threshold)))
    one = torch.full((16,), 0.2, dtype=torch.float64)
    other = 0.2 + size
    assert 1 <= (share >= threshold).sum() < len(sizes)
    blended = torch.where(share >= threshold, other, one)
    for found, eps in zip(made, (one, blended), strict=True):
        assert torch.allclose(found, sampled(xT, [eps] * STEPS), atol=1e-10)


@pytest.mark.parametrize(("steps", "place"), [(1, 0), (2, 1), (10, 5)])
def test_diffedit_looks_at_half_of_the_trajectory_whatever_the_edits_own_depth(
    steps: int, place: int
) -> None:
    """Ten noised latents of the source, under either prompt, at the time in the middle (Couairon et
    al. 2023, section 3.2)."""
    network, _ = differs(1.0)
    seen: list[tuple[int, Tensor]] = []

    def watched(xt: Tensor, t: int, said: Conditioning) -> Tensor:
        seen.append((t, xt))
        return network(xt, t, said)

    differing(toy_task(watched, None, randn(1, 1, 4, 4), steps=steps, strength=0.3))
    t = int(sd_schedule().timesteps(steps)[place])
    assert [time for time, _ in seen] == [t] * 20
    noised = torch.cat([xt for _, xt in seen]) / sd_schedule().s(t)  # of a source that is 0
    assert torch.equal(noised[0::2], noised[1::2]) and len(noised[::2].unique(dim=0)) == 10
    assert noised[::2].std().item() == pytest.approx(1.0, abs=0.2)


STD = 0.2


def test_one_spike_does_not_hide_where_else_the_prompts_differ() -> None:
    """The mean of one place follows the prompt twenty times as far as that of the left half: both
    change."""
    weight = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    weight[..., :8], weight[..., 3, 3] = 1.0, 20.0

    def network(xt: torch.Tensor, t: object, context: Conditioning) -> torch.Tensor:
        return gaussian(sd_schedule(), weight * context.embeddings.reshape(-1, 1, 1, 1), STD)(
            xt, t, None
        )

    inside = differing(task(denoiser=network, changed=network)) >= EditSpec().mask_threshold
    assert torch.equal(inside, weight > 0)

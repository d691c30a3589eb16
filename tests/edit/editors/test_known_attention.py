"""Editors on a network of two attention layers whose maps are known: what each mechanism does, in
closed form.

Layer `attn2` reads the words: a place looks at a word by a softmax of its logits, and reads the
word's value. Layer `attn1` reads the places: every place looks at the others by a softmax of what
the first layer read. The prediction is the sum of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention as Attend
from gaussian import randn, sd_schedule
from torch import Tensor, nn

from latentdrift.edit.core.attention import Attention
from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.core.task import Inverted, Task
from latentdrift.edit.core.token_alignment import align
from latentdrift.edit.editors.diffedit import EXTREME, diffedit, differing
from latentdrift.edit.editors.pix2pix_zero import LONGEST, pix2pix_zero
from latentdrift.edit.editors.prompt_to_prompt import prompt_to_prompt
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.families.families import FAMILIES

FIRST, A, B, C, D, LAST = range(6)
WORDS = 6
STEPS = 10
VALUES = torch.tensor([0.0, 0.3, -0.2, 0.5, -0.9, 0.1], dtype=torch.float64)
SOURCE = (FIRST, A, B, C, LAST)
TARGET = (FIRST, A, B, D, LAST)
EMPTY = (FIRST, LAST, LAST, LAST, LAST)


class Toy(nn.Module):
    """The network.

    Args:
        logits: of every place for every word, [places, WORDS].
        values: of every word, [WORDS].
        heights: what the second layer reads of every place, [places].
        slope: how the logits of every word follow xt, [WORDS].
    """

    def __init__(
        self, logits: Tensor, values: Tensor, heights: Tensor, slope: Tensor | None = None
    ) -> None:
        super().__init__()
        self.logits = logits
        self.heights = heights
        self.slope = torch.zeros(WORDS, dtype=torch.float64) if slope is None else slope
        how: dict[str, Any] = {"heads": 1, "bias": False, "out_bias": False}
        self.attn2 = Attend(WORDS, cross_attention_dim=WORDS, dim_head=WORDS, **how).double()
        self.attn1 = Attend(3, dim_head=3, **how).double()
        with torch.no_grad():
            for layer, width in ((self.attn2, WORDS), (self.attn1, 3)):
                for part in (layer.to_q, layer.to_k, layer.to_out[0]):
                    part.weight.copy_(torch.eye(width))
                layer.to_q.weight.mul_(width**0.5)  # which the layer divides by
                layer.to_v.weight.zero_()
            self.attn2.to_v.weight[0] = values
            # hidden states are (what was read, height, 1): q is 1, k what was read, v the height
            self.attn1.to_q.weight.copy_(
                self.attn1.to_q.weight.roll(2, 1) * torch.tensor([[1.0], [0.0], [0.0]])
            )
            self.attn1.to_v.weight[0, 1] = 1.0
        self.requires_grad_(False)

    @property
    def attn_processors(self) -> dict[str, Any]:
        return {
            f"block.{name}.processor": getattr(self, name).processor for name in ("attn1", "attn2")
        }

    def set_attn_processor(self, processors: Mapping[str, Any]) -> None:
        for name, processor in processors.items():
            getattr(self, name.split(".")[1]).set_processor(processor)

    def forward(self, xt: Tensor, t: object, context: Conditioning) -> Tensor:
        read = self.attn2(
            self.logits + xt.flatten(1)[..., None] * self.slope,
            encoder_hidden_states=context.embeddings,
        )[..., 0]
        places = torch.stack([read, self.heights.expand_as(read), torch.ones_like(read)], dim=-1)
        return (read + self.attn1(places)[..., 0]).reshape(xt.shape)


def context(tokens: tuple[int, ...]) -> Conditioning:
    return Conditioning(torch.eye(WORDS, dtype=torch.float64)[list(tokens)][None])


def maps(toy: Toy, tokens: tuple[int, ...]) -> Tensor:
    """Attention of every place to every token, [places, tokens]."""
    return toy.logits[:, list(tokens)].softmax(1)


def predicted(
    toy: Toy, words: Tensor, tokens: tuple[int, ...], places: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """eps [places] under maps of words, and of places where they are others than the network's own;
    and those."""
    read = words @ VALUES[list(tokens)]
    own = read.softmax(0) if places is None else places
    return read + own @ toy.heights, own


def sampled(xT: Tensor, eps: list[Tensor], first: int = 0) -> Tensor:
    """DDIM without a network: x / a goes down by (sigma - sigma_next) eps at every step (Song et
    al. 2021, eq. 14)."""
    schedule = sd_schedule()
    times = [*schedule.timesteps(STEPS)[first:].tolist(), 0]
    a = schedule.a(torch.tensor(times))
    s = schedule.s(torch.tensor(times))
    sigma = s / a
    x = xT.flatten() / a[0]
    for i, one in enumerate(eps):
        x = x + (sigma[i + 1] - sigma[i]) * one
    return (a[-1] * x).reshape(xT.shape)


def task(network: Callable[..., Tensor], toy: Toy | None, xT: Tensor, **options: Any) -> Task:
    tokens = {
        name: options.pop(name, known) for name, known in (("source", SOURCE), ("target", TARGET))
    }
    counts = [
        len([token for token in each if token not in (FIRST, LAST)]) for each in tokens.values()
    ]
    factors = options.pop("factors", None)
    words = align(*tokens.values(), (counts[0], counts[1]), "replace", factors)
    references = context(options.pop("reference", tokens["source"]))
    values: dict[str, Any] = {
        "denoiser": network,
        "changed": network,
        "schedule": sd_schedule(),
        "x0": torch.zeros_like(xT),
        **{name: context(each) for name, each in tokens.items()},
        "empty": context(EMPTY),
        "strength": 1.0,
        "steps": STEPS,
        "guidance": 1.0,
        "generator": torch.Generator().manual_seed(0),
        "found": Inverted(xT, references),
        "words": words,
        "attention": Attention(toy, FAMILIES["sd"].attention),
    }
    return Task(**{**values, **options})


@pytest.fixture
def toy() -> Toy:
    return Toy(randn(16, WORDS, seed=1), VALUES, randn(16, seed=2))


def test_the_network_is_what_it_says(toy: Toy) -> None:
    eps, _ = predicted(toy, maps(toy, SOURCE), SOURCE)
    assert torch.allclose(toy(randn(1, 1, 4, 4), 500, context(SOURCE)).flatten(), eps, atol=1e-12)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize(
    ("cross", "own"), [(0.3, 0.0), (0.0, 0.3), (0.6, 0.2), (0.2, 0.6), (1.0, 1.0)]
)
def test_prompt_to_prompt_puts_maps_in_for_the_first_share_of_the_steps(
    cross: float, own: float, guidance: float, toy: Toy
) -> None:
    """Words look as in the source in the first steps, places too; the reference of guidance has its
    own maps throughout."""
    factors = torch.tensor([1.0, 1.0, 1.0, 2.0, 1.0], dtype=torch.float64)
    xT = randn(1, 1, 4, 4, seed=3)
    spec = EditSpec(cross_share=cross, self_share=own)
    reconstruction, counterfactual = prompt_to_prompt(
        task(toy, toy, xT, spec=spec, factors=factors, guidance=guidance, reference=EMPTY)
    )
    source, places = predicted(toy, maps(toy, SOURCE), SOURCE)
    silent, _ = predicted(toy, maps(toy, EMPTY), EMPTY)
    changed = []
    for step in range(STEPS):
        words = maps(toy, SOURCE if step < cross * STEPS else TARGET) * factors
        changed.append(predicted(toy, words, TARGET, places if step < own * STEPS else None)[0])
    one, other = (
        [silent + guidance * (eps - silent) for eps in each] for each in ([source] * STEPS, changed)
    )
    assert torch.allclose(reconstruction, sampled(xT, one), atol=1e-10)
    assert torch.allclose(counterfactual, sampled(xT, other), atol=1e-10)
    assert (counterfactual - reconstruction).abs().max() > 0.1


def around(*places: tuple[int, int]) -> Tensor:
    """Places of an 8 x 8 picture and their neighbours."""
    inside = torch.zeros(8, 8, dtype=torch.bool)
    for row, column in places:
        inside[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    return inside.flatten()


@pytest.mark.parametrize(
    ("source", "target", "inside"),
    [
        ((FIRST, A, B, C, LAST), (FIRST, A, B, D, LAST), around((1, 1), (5, 6))),
        ((FIRST, A, B, LAST, LAST), (FIRST, A, B, D, LAST), around((5, 6))),
        ((FIRST, A, B, C, LAST), (FIRST, A, B, LAST, LAST), around((1, 1))),
    ],
)
def test_local_blend_changes_where_old_and_new_words_are_looked_at(
    source: tuple[int, ...], target: tuple[int, ...], inside: Tensor
) -> None:
    """C, which goes, is looked at from (1, 1), and D, which comes, from (5, 6): only there does the
    change act.

    From (1, 6) both are looked at a little more than from elsewhere: a fifth of the way up to the
    most, where 0.3 is needed.
    """
    logits = torch.zeros(64, WORDS, dtype=torch.float64)
    logits[1 * 8 + 1, C] = logits[5 * 8 + 6, D] = 3.0
    most = torch.tensor(3.0).exp() / (torch.tensor(3.0).exp() + 4)
    least = 1 / 5
    little = least + (most - least) / 5
    logits[1 * 8 + 6, C] = logits[1 * 8 + 6, D] = (4 * little / (1 - little)).log()
    toy = Toy(logits, VALUES, torch.zeros(64, dtype=torch.float64))
    xT = randn(1, 1, 8, 8, seed=4)
    spec = EditSpec(cross_share=0.0, self_share=0.0, local_blend=True)
    made = prompt_to_prompt(task(toy, toy, xT, spec=spec, source=source, target=target))
    one, other = (predicted(toy, maps(toy, tokens), tokens)[0] for tokens in (source, target))
    assert ((one - other).abs() > 1e-3).all()  # without the blend every place changes
    blended = torch.where(inside, other, one)
    for found, eps in zip(made, (one, blended), strict=True):
        assert torch.allclose(found, sampled(xT, [eps] * STEPS), atol=1e-10)


@pytest.mark.parametrize(("weight", "capped"), [(1e-3, False), (1e3, True)])
def test_pix2pix_zero_steps_down_the_gradient_of_the_maps_difference(
    weight: float, capped: bool
) -> None:
    """One step, whose network predicts nothing: xt moves by the gradient alone, and its maps come
    nearer to the source's."""
    slope = torch.tensor([0.0, 0.7, -0.4, 0.2, 1.1, 0.0], dtype=torch.float64)
    toy = Toy(
        randn(16, WORDS, seed=5),
        torch.zeros(WORDS, dtype=torch.float64),
        torch.zeros(16, dtype=torch.float64),
        slope,
    )
    xT = randn(1, 1, 4, 4, seed=6)

    def looked(xt: Tensor, tokens: tuple[int, ...]) -> Tensor:
        return (toy.logits + xt.flatten()[:, None] * slope)[:, list(tokens)].softmax(1)

    asked = task(toy, toy, xT, strength=1 / STEPS, spec=EditSpec(attention_weight=weight))
    reconstruction, counterfactual = pix2pix_zero(asked)
    wanted = looked(xT, SOURCE)
    own = looked(xT, TARGET)
    follows = slope[list(TARGET)]
    moves = own * (follows - (own * follows).sum(1, keepdim=True))  # of a softmax with its argument
    step = weight * (2 * (own - wanted) * moves).sum(1)
    size = step.square().mean().sqrt()
    assert (size > LONGEST) == capped
    moved = xT - (step * (LONGEST / size if capped else 1)).reshape(xT.shape)
    nothing = [torch.zeros(16, dtype=torch.float64)]
    assert torch.allclose(reconstruction, sampled(xT, nothing, STEPS - 1), atol=1e-10)
    assert torch.allclose(counterfactual, sampled(moved, nothing, STEPS - 1), atol=1e-10)
    before, after = ((looked(xt, TARGET) - wanted).square().sum() for xt in (xT, moved))
    assert after < before


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
    made = diffedit(task(network, None, xT, spec=EditSpec(mask_threshold=threshold)))
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

    differing(task(watched, None, randn(1, 1, 4, 4), steps=steps, strength=0.3))
    t = int(sd_schedule().timesteps(steps)[place])
    assert [time for time, _ in seen] == [t] * 20
    noised = torch.cat([xt for _, xt in seen]) / sd_schedule().s(t)  # of a source that is 0
    assert torch.equal(noised[0::2], noised[1::2]) and len(noised[::2].unique(dim=0)) == 10
    assert noised[::2].std().item() == pytest.approx(1.0, abs=0.2)

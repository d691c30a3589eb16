"""Drift against closed forms: what the wrapped network sees and says, how it is written, stored and
estimated."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from gaussian import channels, gaussian, randn, sd_schedule
from torch import nn

from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.drift import MODES, Drift, Group

DELTA = (0.1, -0.05, 0.2, 0.0)
KINDS = ["epsilon", "v_prediction"]


@pytest.mark.parametrize("kind", KINDS)
def test_network_sees_the_forward_process_with_drifted_noise(kind: str) -> None:
    schedule = sd_schedule(kind)
    seen = []
    x0 = randn(3, 4, 8, 8, seed=1)
    eps = randn(3, 4, 8, 8, seed=2)
    t = torch.tensor([0, 500, 999])
    wrapped = Drift.of(DELTA).wrap(lambda xt, *_: seen.append(xt) or torch.zeros_like(xt), schedule)
    wrapped(schedule.add_noise(x0, eps, t), t, None)
    assert torch.allclose(seen[0], schedule.add_noise(x0, eps + channels(*DELTA), t), atol=1e-12)
    difference = seen[0] - schedule.add_noise(x0, eps, t)
    assert torch.allclose(difference, schedule.scales(t, x0)[1] * channels(*DELTA), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_targets_move_by_delta_or_a_delta(kind: str) -> None:
    schedule = sd_schedule(kind)
    x0 = randn(2, 4, 8, 8, seed=1)
    eps = randn(2, 4, 8, 8, seed=2)
    t = torch.tensor([10, 900])
    moved = schedule.target(x0, eps + channels(*DELTA), t) - schedule.target(x0, eps, t)
    expected = channels(*DELTA) * (1 if kind == "epsilon" else schedule.scales(t, x0)[0])
    assert torch.allclose(moved, expected.expand_as(moved), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradients_are_those_of_drifted_noise(kind: str) -> None:
    schedule = sd_schedule(kind)
    t = torch.tensor([1, 300, 990])
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 4, 3, padding=1)
    ).double()
    x0 = randn(3, 4, 8, 8, seed=1)
    eps = randn(3, 4, 8, 8, seed=2)

    def gradients(loss: torch.Tensor) -> list[torch.Tensor]:
        return [loss.detach(), *torch.autograd.grad(loss, list(network.parameters()))]

    drifted = eps + channels(*DELTA)
    direct = (
        (network(schedule.add_noise(x0, drifted, t)) - schedule.target(x0, drifted, t))
        .square()
        .mean()
    )
    wrapped = Drift.of(DELTA).wrap(lambda xt, *_: network(xt), schedule)
    ours = (
        (wrapped(schedule.add_noise(x0, eps, t), t, None) - schedule.target(x0, eps, t))
        .square()
        .mean()
    )
    for found, expected in zip(gradients(ours), gradients(direct), strict=True):
        assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_wrapped_drifted_network_is_the_undrifted_one(kind: str) -> None:
    schedule = sd_schedule(kind)
    xt = randn(2, 4, 8, 8)
    wrapped = Drift.of(DELTA).wrap(gaussian(schedule, delta=channels(*DELTA)), schedule)
    for t in (0, 1, 499.5, 999, torch.tensor([20, 980])):
        assert torch.allclose(wrapped(xt, t, None), gaussian(schedule)(xt, t, None), atol=1e-12)


def test_no_drift_is_the_network_itself() -> None:
    network = gaussian(sd_schedule())
    for drift in (
        Drift(),
        Drift.of((0.0,) * 4),
        Drift.of(DELTA, "infer"),
        Drift((0.0,) * 4, (0.0,) * 4),
    ):
        assert drift.wrap(network, sd_schedule()) is network
    assert not Drift().shift(0.9).any()


def test_channels_past_the_latents_are_not_shifted() -> None:
    seen = []
    wrapped = Drift.of(DELTA).wrap(lambda xt, *_: seen.append(xt) or xt[:, :4], sd_schedule())
    xt = randn(1, 9, 4, 4)
    wrapped(xt, 500, None)
    assert torch.equal(seen[0][:, 3:], xt[:, 3:]) and not torch.equal(seen[0][:, :3], xt[:, :3])


def test_one_value_for_four_channels_is_refused_when_applied() -> None:
    with pytest.raises(AdapterError, match="1 values, but the latents 4 channels"):
        Drift.of((0.1,)).wrap(gaussian(sd_schedule()), sd_schedule())(randn(1, 4, 4, 4), 500, None)


@pytest.mark.parametrize(("mode", "sign"), [("infer", 1), ("train", -1), ("both", 0)])
def test_start_is_the_difference_of_the_two_deltas(mode: str, sign: int) -> None:
    start = Drift.of(DELTA, mode).shift(0.5)
    assert start.dtype == torch.float64
    assert torch.allclose(start, sign * 0.5 * torch.tensor(DELTA, dtype=torch.float64))


@pytest.mark.parametrize(
    ("text", "delta"),
    [
        ("0.1", (0.1,) * 4),
        ("-0.05", (-0.05,) * 4),
        ("6.4sd", (6.4 / 64,) * 4),  # the paper's 0.1 at 64 x 64 latents
        ("0.1,-0.05,0.2,0", DELTA),
        ("1sd, 0, 0, -1sd", (1 / 64, 0, 0, -1 / 64)),
    ],
)
def test_drift_as_it_is_written(text: str, delta: tuple[float, ...]) -> None:
    drift = Drift.parse(text, channels=4, latent_size=64)
    assert drift.train == drift.infer == pytest.approx(delta)
    assert drift.mode == "both"
    assert Drift.parse(text, channels=4, latent_size=64, mode="infer") == Drift((), drift.infer)


@pytest.mark.parametrize("mode", ["pin-sample", "leak-pixel", "leak-low"])
def test_a_value_is_refused_where_the_cohort_decides_the_mean(mode: str) -> None:
    with pytest.raises(
        OptionError, match=f"'0.3' has no part in a '{mode}' start.*`drift_mode=infer` or pin"
    ):
        Drift.parse("0.3", channels=4, latent_size=64, mode=mode)
    assert Drift.parse("none", channels=4, latent_size=64, mode=mode) == Drift((), (), mode)


@pytest.mark.parametrize("text", ["none", "0", "0,0,0,0"])
def test_zero_is_none(text: str) -> None:
    assert Drift.parse(text, channels=4, latent_size=64) == Drift()
    assert Drift().mode == "off"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1,0.2", "has 2 values; give one, or 4"),
        ("lots", "'lots' is not understood; write none, auto"),
        ("nan", "not understood"),
        ("inf", "not understood"),
        ("sd", "not understood"),
        ("", "not understood"),
    ],
)
def test_drift_that_is_not_understood(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Drift.parse(text, channels=4, latent_size=64)


def test_unknown_mode_lists_the_known_ones() -> None:
    with pytest.raises(
        OptionError, match="unknown drift mode 'tarin'; known: both, infer, leak-low"
    ):
        Drift.parse("0.1", channels=4, latent_size=64, mode="tarin")


@pytest.mark.parametrize("mode", MODES)
def test_drift_survives_being_stored(mode: str) -> None:
    import json

    drift = Drift.of(DELTA, mode)
    assert Drift.from_dict(json.loads(json.dumps(drift.to_dict()))) == drift
    assert drift.to_dict()["mode"] == mode
    assert Drift.from_dict(Drift().to_dict()) == Drift()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "eq4"}, "form 'eq4'"),
        ({"form": None}, "form 'None'"),
        ({"train": [math.nan]}, "finite"),
        ({"infer": "0.1"}, "finite"),
        ({"mode": "infer"}, "mode 'infer' and its values are those of 'both'"),
    ],
)
def test_stored_drift_that_cannot_be_applied_is_refused(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(AdapterError, match=message):
        Drift.from_dict({**Drift.of(DELTA).to_dict(), **change})


GROUPS = (
    Group("dementia", DELTA, (0.3,) * 4),
    Group("no dementia", (0.2,) * 4, DELTA),
    Group("male"),
)
CLASSES = Drift((0.05,) * 4, (0.02,) * 4, groups=GROUPS)


@pytest.mark.parametrize(
    ("prompt", "train", "infer"),
    [
        ("a brain MRI of a 75 year old female with dementia", DELTA, (0.3,) * 4),
        ("a brain MRI of a 75 year old with no dementia", (0.2,) * 4, DELTA),
        ("a brain MRI of a female", (0.05,) * 4, (0.02,) * 4),  # "male" is not a word of it
        ("a brain MRI of a male", (), ()),
        ("", (0.05,) * 4, (0.02,) * 4),
    ],
)
def test_a_class_is_the_longest_phrase_of_the_prompt(
    prompt: str, train: tuple[float, ...], infer: tuple[float, ...]
) -> None:
    found = CLASSES.of_prompt(prompt)
    assert (found.train, found.infer, found.groups) == (train, infer, ())


@pytest.mark.parametrize("branches", [1, 2, 3])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_every_image_of_a_batch_has_its_own_class(kind: str, branches: int) -> None:
    """The exact network of each class's own drift, wrapped, is the undrifted one, in every branch
    of guidance."""
    schedule = sd_schedule(kind)
    prompts = ["with dementia", "with no dementia", "of a male"]
    deltas = (
        torch.tensor([DELTA, (0.2,) * 4, (0.0,) * 4], dtype=torch.float64)
        .reshape(3, 4, 1, 1)
        .repeat(branches, 1, 1, 1)
    )
    xt = randn(3, 4, 8, 8).repeat(branches, 1, 1, 1)
    t = torch.tensor([10, 500, 900]).repeat(branches)
    wrapped = CLASSES.wrap(gaussian(schedule, delta=deltas), schedule, prompts)
    assert torch.allclose(wrapped(xt, t, None), gaussian(schedule)(xt, t, None), atol=1e-12)
    with pytest.raises(OptionError, match="differs by class, and no prompts were given"):
        CLASSES.wrap(gaussian(schedule), schedule)


def test_classes_survive_being_stored() -> None:
    assert Drift.from_dict(CLASSES.to_dict()) == CLASSES
    assert CLASSES.mode == "both"
    assert Drift(groups=(Group("dementia", (), DELTA),)).mode == "infer"


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_unshifted_target_is_drifted_noise_against_plain(kind: str) -> None:
    """Form B: the network's own loss sees a x0 + s (eps + delta) and learns eps."""
    schedule = sd_schedule(kind)
    network = gaussian(sd_schedule(kind))
    x0 = randn(2, 4, 8, 8)
    eps = randn(2, 4, 8, 8, seed=1)
    t = torch.tensor([50, 800])
    delta = channels(*DELTA)
    drift = Drift.of(DELTA, form="target_unshifted")
    seen = schedule.add_noise(x0, eps + delta, t)
    loss = (network(seen, t, None) - schedule.target(x0, eps, t)).square().mean()
    plain = schedule.add_noise(x0, eps, t)
    ours = (
        (drift.wrap_training(network, schedule)(plain, t, None) - schedule.target(x0, eps, t))
        .square()
        .mean()
    )
    assert ours.item() == pytest.approx(loss.item(), rel=1e-12)
    assert drift.wrap(network, schedule) is network  # sampled as it is, from a drifted start
    assert drift.shift(0.9).tolist() == pytest.approx([0.9 * value for value in DELTA])


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_drifted_predictions_read_as_drifted_noise(kind: str) -> None:
    schedule = sd_schedule(kind)
    xt = randn(2, 4, 8, 8)
    t = torch.tensor([50, 800])
    drift = Drift.of(DELTA, "infer", "prediction")
    said = drift.wrap(gaussian(schedule), schedule)(xt, t, None)
    eps = schedule.split(gaussian(schedule)(xt, t, None), xt, t)[1]
    moved = schedule.split(said, xt, t)[1] - eps
    scale = (
        torch.ones(2, 1, 1, 1) if kind == "epsilon" else schedule.a(t).reshape(2, 1, 1, 1) ** 2
    )  # eps = s xt + a v
    assert torch.allclose(moved, (scale * channels(*DELTA)).expand_as(moved), atol=1e-12)
    assert not drift.shift(0.9).any()


@pytest.mark.parametrize(
    ("form", "each"), [("per_step", 1.0), ("per_step_scaled", 1 / 50), ("noise_mean", None)]
)
def test_forms_that_add_at_every_step(form: str, each: float | None) -> None:
    drift = Drift.of(DELTA, "infer", form)
    added = drift.after_step(50)
    assert (added is None) == (each is None)
    if added is not None and each is not None:
        assert added.flatten().tolist() == pytest.approx([each * value for value in DELTA])
        assert not drift.shift(0.9).any()


def test_what_is_added_at_every_step_does_not_differ_by_class() -> None:
    with pytest.raises(OptionError, match="has one value for all and cannot differ by class"):
        Drift((), DELTA, form="per_step", groups=GROUPS).after_step(50)


def test_a_closed_form_follows_the_first_time() -> None:
    assert Drift((), DELTA).at(0.5).infer == pytest.approx([0.5 * value for value in DELTA])
    both = Drift(DELTA, tuple(3 * value for value in DELTA)).at(0.5)
    assert both.infer == pytest.approx(
        [2 * value for value in DELTA]
    )  # the trained part is noise and stays


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "holds no `delta`"),
        ("[1]", "holds no `delta`"),
        ('{"delta": []}', r"says delta \[\]"),
        (
            '{"delta": [0.1], "mode": "up"}',
            "in mode 'up'; it must be finite numbers in one of infer, train",
        ),
        ('{"delta": [0.1, 0.2]}', "has 2 values; give one, or 4"),
    ],
)
def test_result_files_that_cannot_be_read(
    content: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "search.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(OptionError, match=message):
        Drift.parse(str(path), channels=4, latent_size=8)


def test_result_files_say_value_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "estimate.json"
    path.write_text('{"delta": [0.1, -0.05, 0.2, 0.0], "mode": "infer", "more": 1}')
    assert Drift.parse(str(path), channels=4, latent_size=8) == Drift((), DELTA)
    assert Drift.parse(str(path), channels=4, latent_size=8, mode="pin") == Drift((), DELTA, "pin")

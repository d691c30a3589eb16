"""Starts against the moments that they are to have, and the statistics that they are drawn from
against known ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gaussian import gaussian, randn, sd_schedule
from scipy.fft import dctn

from latentdrift.errors import AdapterError, CohortError, OptionError
from latentdrift.model.drift import PLAIN, Drift
from latentdrift.model.initial_noise import FEWEST, FILE, LOW, STARTS, Statistics, begin, check
from latentdrift.sample.samplers import first_time, run

SIZE = (4, 16, 16)
DELTA = (0.1, -0.05, 0.2, 0.0)


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    """200 latents whose channel means go together, on a slope of one channel over the width."""
    level = randn(200, 4, 1, 1, seed=1) * 0.3 + torch.tensor([-0.6, 0.0, 0.3, 0.2]).reshape(4, 1, 1)
    level[:, 1] = level[:, 0] * 0.5
    slope = torch.zeros(SIZE, dtype=torch.float64)
    slope[2] = torch.linspace(-1, 1, 16)
    return level + slope + 0.2 * randn(200, *SIZE, seed=2)


@pytest.fixture(scope="module")
def statistics(latents: torch.Tensor) -> Statistics:
    return Statistics.measure(latents)


def draw(
    start: str, statistics: Statistics | None = None, drift: Drift | None = None, n: int = 400
) -> torch.Tensor:
    """n starts [n, C, h, w] where a 50-step DDIM begins."""
    schedule = sd_schedule()
    t0 = first_time("ddim", schedule, 50)
    sources = (torch.Generator().manual_seed(i) for i in range(n))
    drift = drift or Drift.of(DELTA, "infer")
    drift = Drift(drift.train, drift.infer, start, drift.form)
    return torch.stack([begin(drift, statistics, schedule, t0, SIZE, source) for source in sources])


def test_statistics_are_those_of_the_latents(latents: torch.Tensor, statistics: Statistics) -> None:
    level = latents.mean((2, 3))
    assert torch.allclose(statistics.mean.double(), level.mean(0), atol=1e-6)
    assert torch.allclose(statistics.covariance.double(), torch.cov(level.T), atol=1e-6)
    assert torch.allclose(statistics.pixel_mean.double(), latents.mean(0), atol=1e-6)
    assert torch.allclose(statistics.pixel_std.double(), latents.std(0), atol=1e-6)
    low = torch.from_numpy(dctn(latents.numpy(), axes=(2, 3), norm="ortho"))[:, :, :LOW, :LOW]
    assert torch.allclose(statistics.low_mean.double(), low.mean(0), atol=1e-5)
    assert torch.allclose(statistics.low_std.double(), low.std(0), atol=1e-5)


def test_statistics_survive_being_stored(statistics: Statistics, tmp_path: Path) -> None:
    assert Statistics.load(tmp_path) is None
    statistics.save(tmp_path)
    again = Statistics.load(tmp_path)
    assert again is not None
    assert all(
        torch.equal(getattr(again, name), getattr(statistics, name)) for name in vars(statistics)
    )
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:100])
    with pytest.raises(AdapterError, match="is damaged"):
        Statistics.load(tmp_path)


def test_few_images_leave_no_mean_picture(latents: torch.Tensor) -> None:
    assert Statistics.measure(latents[:FEWEST]).pixel_mean.shape == SIZE
    few = Statistics.measure(latents[: FEWEST - 1])
    assert not few.pixel_mean.numel()
    assert not few.low_mean.numel()
    check("pin-sample", few, SIZE)
    with pytest.raises(
        OptionError, match="at least 10 training images; take infer, pin or pin-sample"
    ):
        check("leak-low", few, SIZE)


@pytest.mark.parametrize("bad", [torch.zeros(1, *SIZE), torch.full((3, *SIZE), float("nan"))])
def test_statistics_need_images(bad: torch.Tensor) -> None:
    with pytest.raises(CohortError, match="at least two images with finite latents"):
        Statistics.measure(bad)


@pytest.mark.parametrize("start", STARTS)
def test_every_start_has_the_mean_and_spread_it_promises(
    start: str, latents: torch.Tensor, statistics: Statistics
) -> None:
    """Means to 4 standard errors; the spread of a channel's spatial mean, and of the latents around
    it, to a fifth."""
    schedule = sd_schedule()
    t0 = first_time("ddim", schedule, 50)
    a = schedule.a(t0).item()
    s = schedule.s(t0).item()
    drawn = draw(start, statistics).double()
    level = drawn.mean((2, 3))
    around = drawn - drawn.mean((2, 3), keepdim=True)
    data = latents.mean((2, 3))
    given = torch.tensor(DELTA, dtype=torch.float64) * s
    chance = torch.full((4,), 1 / 16, dtype=torch.float64)  # of the mean of 16 x 16 unit normals
    expected: dict[str, tuple[torch.Tensor, torch.Tensor]] = {
        "shift": (given, chance),
        "pin": (given, torch.zeros(4, dtype=torch.float64)),
        "pin-sample": (a * data.mean(0), a * data.std(0)),
        "leak-pixel": (
            a * data.mean(0),
            (chance**2 * (s**2 + a**2 * latents.var(0).mean((1, 2)))).sqrt(),
        ),
        "leak-low": (a * data.mean(0), (chance**2 * s**2 + a**2 * data.var(0)).sqrt()),
    }
    mean, spread = expected[start]
    assert torch.all((level.mean(0) - mean).abs() <= 4 * spread / 20 + 1e-6)
    assert torch.all((level.std(0) - spread).abs() <= 0.2 * spread + 1e-6)
    assert around.std().item() == pytest.approx(1.0, abs=0.02)


def test_channel_means_are_drawn_together(statistics: Statistics) -> None:
    level = draw("pin-sample", statistics).mean((2, 3))
    assert torch.corrcoef(level.T)[0, 1] > 0.99  # the second is half the first


def test_leaks_carry_the_picture_that_pins_do_not(statistics: Statistics) -> None:
    schedule = sd_schedule()
    a = schedule.a(first_time("ddim", schedule, 50)).item()
    for start, there in [
        ("leak-pixel", True),
        ("leak-low", True),
        ("pin", False),
        ("shift", False),
    ]:
        columns = draw(start, statistics).mean((0, 2))[2]
        slope = (columns[-4:].mean() - columns[:4].mean()).item()  # of latents: -0.8 to 0.8
        assert slope == pytest.approx(a * 1.6 if there else 0.0, abs=0.03)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("form", ["noise_mean", "target_unshifted"])
def test_in_the_networks_own_coordinates_leak_and_trained_drift_add(
    form: str, start: str, statistics: Statistics
) -> None:
    """xT = s delta_infer + s z of a plain start; xT = a x + s (z + delta_train) of one that leaks
    an image x."""
    s = sd_schedule().s(981).item()
    delta = torch.tensor(DELTA).reshape(4, 1, 1)
    plain = draw(start, statistics, Drift((), DELTA), n=4)
    trained = draw(start, statistics, Drift(DELTA, DELTA, form=form), n=4)
    wrapped = (
        s * delta if form == "noise_mean" else torch.zeros(4, 1, 1)
    )  # what the wrapper adds to yT
    added = torch.zeros(4, 1, 1) if start in PLAIN else s * delta
    assert torch.allclose(trained + wrapped - plain, added.expand_as(plain), atol=1e-6)


@pytest.mark.parametrize("start", [name for name in STARTS if name not in PLAIN])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_data_come_back_from_a_network_that_was_trained_with_drift(
    kind: str, start: str
) -> None:
    """The exact network of data N(-0.5, 0.02^2) and noise of mean 0.1: yT has the mean a (-0.5) =
    -0.038, x0 the mean -0.5."""
    schedule = sd_schedule(kind)
    delta = 0.1
    found = Statistics.measure(randn(40, *SIZE, seed=5) * 0.02 - 0.5)
    yT = draw(start, found, Drift((delta,) * 4), n=50).double()
    assert yT.mean().item() == pytest.approx(-0.038, abs=4 / (50 * 1024) ** 0.5)
    level = yT.mean((0, 2, 3)).reshape(1, 4, 1, 1)
    network = Drift((delta,) * 4).wrap(
        gaussian(schedule, -0.5, 0.02, delta=delta, noise=1 / 16 / 50**0.5), schedule
    )
    x0 = run(network, schedule, "ddim", 50, level, None, [])
    assert x0.mean().item() == pytest.approx(-0.5, abs=0.03)


@pytest.mark.parametrize("start", STARTS)
def test_the_images_generator_decides(start: str, statistics: Statistics) -> None:
    assert torch.equal(draw(start, statistics, n=2), draw(start, statistics, n=2))
    noise = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
    if start == "shift":
        assert torch.equal(draw(start, None, Drift(), n=1)[0], noise)


def test_a_pinned_start_gives_every_image_the_level_it_asks_for() -> None:
    """The exact network of data N(-0.5, 0.05^2) with the noise of a 16 x 16 mean; its outputs'
    means do not differ by image."""
    schedule = sd_schedule()
    t0 = first_time("ddim", schedule, 50)
    drift = Drift((), (schedule.a(t0).item() * -0.5,) * 4, "pin")
    starts = [
        begin(drift, None, schedule, t0, SIZE, torch.Generator().manual_seed(i)).double()
        for i in range(8)
    ]
    level = torch.stack(starts).mean((2, 3), keepdim=True)
    x0 = run(gaussian(schedule, -0.5, 0.05, noise=1 / 16), schedule, "ddim", 50, level, None, [])
    assert x0.flatten().tolist() == pytest.approx([-0.5] * 32, abs=0.002)


@pytest.mark.parametrize(
    ("start", "statistics_of", "size", "message"),
    [
        (
            "pin-sample",
            lambda _: None,
            SIZE,
            "neither a base alone nor an adapter of an older version has",
        ),
        (
            "leak-pixel",
            lambda found: found,
            (4, 8, 8),
            "works at the resolution of the training only",
        ),
    ],
)
def test_starts_that_cannot_be_drawn(
    start: str,
    statistics_of: Callable,
    size: tuple[int, int, int],
    message: str,
    statistics: Statistics,
) -> None:
    with pytest.raises(OptionError, match=message):
        check(start, statistics_of(statistics), size)

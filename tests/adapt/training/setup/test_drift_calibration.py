"""`--drift calibrated`: the start that a fit's own pictures ask for, against lines, Gaussians and
fits whose answer is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import KilledError, killer, same, short_fit, weights
from gaussian import gaussian, randn, sd_schedule

from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.setup import copy_slope, drift_calibration
from latentdrift.adapt.training.setup.copy_slope import Response, channel_means, response
from latentdrift.adapt.training.train import fit
from latentdrift.config import FitOptions, GenerateOptions, ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.phantom.phantom import write_phantom
from latentdrift.errors import InputError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift, Group
from latentdrift.sample.generate import SamplingOptions
from latentdrift.sample.samplers import first_time, run
from latentdrift.sample.start_override import restart
from latentdrift.study.model_images import prompts_of_split

M = torch.tensor([1.0, -0.5], dtype=torch.float64)
PICTURES = drift_calibration.PICTURES
PASSES = copy_slope.PASSES
SAMPLING = drift_calibration.SAMPLING


@pytest.fixture
def as_users_calibrate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws as many pictures, in as many steps, as a user's fit; tests/conftest.py lets the others
    draw fewer."""
    monkeypatch.setattr(drift_calibration, "PICTURES", PICTURES)
    monkeypatch.setattr(copy_slope, "PASSES", PASSES)
    monkeypatch.setattr(drift_calibration, "SAMPLING", SAMPLING)


def test_lines_that_mix_channels_are_solved() -> None:
    starts = randn(20, 2, seed=1)
    mixing = torch.tensor([[6.0, 1.0], [-3.0, 2.0]], dtype=torch.float64)
    x0 = torch.tensor([0.3, -0.9], dtype=torch.float64) + starts @ mixing.T
    expected = torch.linalg.solve(mixing, M - torch.tensor([0.3, -0.9], dtype=torch.float64))
    assert Response(starts, x0).start(M) == pytest.approx(expected.tolist())
    with pytest.raises(InputError, match="takes at least 5 pictures, found 4"):
        Response(starts[:4], x0[:4])


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        starts = randn(32, 1, seed=seed) / 32
        x0 = 0.3 + 6.0 * starts + 0.1 * randn(32, 1, seed=1000 + seed)
        (pair,) = Response(starts, x0).interval(torch.tensor([0.8]), seed)
        covered += pair[0] <= 0.5 / 6 <= pair[1]
    assert 0.85 <= covered / 60 <= 1


def test_the_interval_is_as_wide_as_the_standard_error_says() -> None:
    """Of delta = (m - x0(0)) / B: sd of the residuals / B sqrt((1 + (delta - mean z)^2 / var z) /
    n), 1.96 to either side."""
    n = 400
    spread = 0.1
    starts = randn(n, 1, seed=21) / 32
    found = Response(starts, 0.3 + 6.0 * starts + spread * randn(n, 1, seed=22))
    (value,), ((low, high),) = (
        found.start(torch.tensor([0.8])),
        found.interval(torch.tensor([0.8]), 0),
    )
    reach = (value - starts.mean()) ** 2 / starts.var()
    error = float(spread / 6.0 * ((1 + reach) / n).sqrt())
    assert (value - low) / error == pytest.approx(1.96, rel=0.12)
    assert (high - value) / error == pytest.approx(1.96, rel=0.12)


def test_a_channel_that_nothing_listens_to_is_left_alone() -> None:
    starts = randn(32, 2, seed=3) / 32
    x0 = torch.stack([0.8 + 0.05 * randn(32, seed=4), 0.5 + 6 * starts[:, 1]], dim=1)
    deaf, hears = Response(starts, x0).start(torch.tensor([1.0, 1.0]))
    least_squares = torch.linalg.lstsq(starts - starts.mean(0), x0 - x0.mean(0)).solution.T
    naive = torch.linalg.solve(least_squares, torch.tensor([0.2, 0.5], dtype=torch.float64))
    assert abs(deaf) < 0.6 * abs(naive[0].item()) and hears == pytest.approx(0.5 / 6, rel=0.1)
    still = torch.full((32, 1), 0.8, dtype=torch.float64)
    assert Response(starts[:, :1], still).start(torch.tensor([1.0])) == pytest.approx((0.0,))


def test_the_answer_misses_less_than_least_squares_where_the_slope_is_hardly_known() -> None:
    missed = torch.zeros(2, dtype=torch.float64)
    for seed in range(200):
        starts = randn(12, 1, seed=seed) / 32
        x0 = 0.3 + 2.0 * starts + 0.2 * randn(12, 1, seed=500 + seed)
        z = starts[:, 0]
        x = x0[:, 0]
        beta = torch.dot(z - z.mean(), x) / (z - z.mean()).square().sum()
        naive = (0.5 - (x - beta * z).mean()) / beta
        answer = Response(starts, x0).start(torch.tensor([0.5]))[0]
        missed += torch.stack([(0.2 - 2.0 * torch.tensor(answer)) ** 2, (0.2 - 2.0 * naive) ** 2])
    assert missed[0] < missed[1] and missed[0] / 200 < 0.2**2  # and less than where nothing is done


@pytest.mark.usefixtures("as_users_calibrate")
@pytest.mark.parametrize(("far", "passes"), [(0.05, 1), (0.2, 2), (0.6, 4)])
def test_an_answer_that_plain_starts_do_not_reach_is_looked_for_where_it_lies(
    far: float, passes: int
) -> None:
    """Pictures that follow their starts more and more: the line through the plain ones asks for
    twice to six times too much."""

    def curve(z: torch.Tensor) -> torch.Tensor:
        return 0.3 + z + 8 * z * z.abs()

    def draw(shift: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shifts.append(float(shift))
        z = randn(32, 1, seed=9) / 32 + shift
        return z, curve(z) + 0.01 * randn(32, 1, seed=10)

    shifts: list[float] = []
    wanted = curve(torch.tensor([far], dtype=torch.float64))
    plain = Response(*draw(torch.zeros(1))).start(wanted)[0]
    shifts.clear()
    answer = response(draw, wanted)
    assert shifts[0] == 0 and len(shifts) == passes == len(answer.starts) // 32
    missed = [
        abs(float(curve(torch.tensor(delta)) - wanted))
        for delta in (plain, answer.start(wanted)[0])
    ]
    assert missed[1] < 0.1 * (wanted - 0.3) + 0.02 and (passes == 1 or missed[1] < missed[0] / 3)


def test_drift_that_is_moved_moves_every_start() -> None:
    group = Group("old", (0.0, 0.1), (0.5, 0.5))
    moved = Drift(train=(0.1, 0.1), infer=(0.3, 0.0), groups=(group,)).moved((1.0, -1.0))
    assert moved.infer == pytest.approx((1.3, -1.0)) and moved.train == (0.1, 0.1)
    assert moved.groups[0].infer == pytest.approx((1.5, -0.5)) and moved.groups[0].train == (
        0.0,
        0.1,
    )
    assert Drift().moved((0.2, 0.1)).infer == (0.2, 0.1)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_network_with_another_mean_is_brought_to_the_wanted_one(kind: str) -> None:
    schedule = sd_schedule(kind)
    steps = 20
    wanted = torch.tensor([-0.2] * 4, dtype=torch.float64)
    network = gaussian(schedule, -0.5, 3.0)  # wide data: the start's mean is copied

    def drawn(shift: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        starts = randn(16, 4, 8, 8, seed=6) + shift.reshape(-1, 1, 1)
        return starts.mean((2, 3)), run(network, schedule, "ddim", steps, starts, None, []).mean(
            (2, 3)
        )

    starts, ends = drawn(torch.zeros(4, dtype=torch.float64))
    delta = torch.tensor(Response(starts, ends).start(wanted), dtype=torch.float64)
    _, at_once = drawn(delta - starts.mean(0))  # without the chance mean of these starts
    assert at_once.mean(0).tolist() == pytest.approx(wanted.tolist(), abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_calibrated_and_trained_as_without(
    method: str, tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    made = short_fit(
        tiny_base_folder, cohort, tmp_path / "run", method=method, steps=2, drift="calibrated"
    )
    plain = short_fit(
        tiny_base_folder, cohort, tmp_path / "plain", method=method, steps=2, drift="none"
    )
    assert same(made, plain)
    drift = made.info.to_dict()["drift"]
    assert drift["source"] == "calibrated" and drift["mode"] == "infer" and drift["train"] == []
    assert drift["infer"] != pytest.approx(
        drift["estimate"]
    )  # of the closed form, which stays beside it
    told = drift["calibration"]
    assert len(told["interval"]) == len(told["slope"]) == 4
    assert all(low < high for low, high in told["interval"])


@pytest.mark.slow
@pytest.mark.usefixtures("as_users_calibrate")
def test_a_calibrated_start_makes_images_as_bright_as_those_learned_from(tmp_path: Path) -> None:
    """Scans at half the brightness that the base knows, and a fit of too few steps to learn it.

    Images from plain starts miss the mean of the training latents by 13 standard errors, so that
    the test does not measure the chance of its 24 images. Phantoms at their own brightness cannot
    show it: the base draws them as bright as they are (docs/latent-drifting.md).
    """
    scans = write_phantom(tmp_path / "scans", kind="brain", patients=24, visits=1, size=128, seed=0)
    importing = ImportOptions(
        source=scans,
        table=scans / "table.csv",
        map=scans / "map.yaml",
        out=tmp_path / "cohort",
        window="0,8190",  # the phantoms' values end at 4095
    )
    cohort = import_cohort(importing)
    base = Base.load("pocket", device="cpu", precision="fp32")
    fitting = FitOptions(
        cohort=tmp_path / "cohort", out=tmp_path / "run", method="full", steps=10, preview_every=0
    )
    made = fit(base, cohort, fitting, tmp_path / "run", quiet=True)
    adapted = load_adapter(made.adapter, precision="fp32")
    calibration = made.info.to_dict()["drift"]["calibration"]
    wanted = torch.tensor(calibration["wanted_mean"], dtype=torch.float64)
    prompts = prompts_of_split(adapted, cohort, "train", 24)
    sampling = SamplingOptions(seed=5, steps=25, resolution=128)

    def images_of(drift: Drift) -> torch.Tensor:
        quiet = lambda done, all: None  # noqa: E731
        return channel_means(adapted.base, drift, prompts, sampling, None, None, quiet)[1]

    plain = images_of(adapted.drift.plain)
    standard_error = plain.std(0).norm() / math.sqrt(len(plain))
    far = (plain.mean(0) - wanted).norm()
    near = (images_of(adapted.drift).mean(0) - wanted).norm()
    assert far > 8 * standard_error
    assert near < far / 2


def test_modes_and_classes(tiny_base_folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    def drift(name: str, **more: Any) -> dict[str, Any]:
        return short_fit(
            tiny_base_folder, cohort, tmp_path / name, steps=2, drift="calibrated", **more
        ).info.to_dict()["drift"]

    both = drift("both", drift_mode="both")
    told = both["calibration"]
    assert both["train"] == pytest.approx(both["estimate"]) and both["infer"] != pytest.approx(
        both["train"]
    )
    moved = [abs(infer - train) for infer, train in zip(both["infer"], both["train"], strict=True)]
    ends = [
        low <= value <= high
        for value, (low, high) in zip(both["infer"], told["interval"], strict=True)
    ]
    assert max(moved) > 0.01 and sum(ends) >= 3  # on top of what was trained in
    assert drift("pin", drift_mode="pin")["start"] == "pin"
    for mode in ("train", "pin-sample"):
        closed = drift(mode, drift_mode=mode)
        assert (
            "calibration" not in closed and closed["source"] == "auto"
        )  # no start was chosen by pictures
    groups = drift("classes", drift_by="diagnosis")["groups"]
    assert {group["phrase"] for group in groups} == set(cohort.rows("train")["diagnosis"])
    assert groups[0]["infer"] != pytest.approx(groups[1]["infer"])


@pytest.mark.usefixtures("as_users_calibrate")
@pytest.mark.parametrize("mode", ["infer", "both", "pin"])
def test_what_was_trained_in_is_added_to_the_start_that_the_pictures_ask_for(
    mode: str,
    tiny_base_folder: Path,
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pictures on a known line of the start yT of the wrapped network, whose mean is delta_infer -
    delta_train."""
    slope = torch.tensor([4.0, 2.0, -3.0, 5.0]).double()
    level = torch.tensor([0.3, -0.2, 0.1, 0.0]).double()

    def on_the_line(
        base: Base, drift: Drift, prompts: Any, *_: Any, **how: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        starts = randn(len(prompts), 4, seed=7) / 8
        both = [torch.tensor(part or (0.0,) * 4).double() for part in (drift.infer, drift.train)]
        starts = starts - starts.mean(0) + both[0] - both[1]
        return starts, level + slope * starts

    monkeypatch.setattr(drift_calibration, "channel_means", on_the_line)
    made = short_fit(
        tiny_base_folder, cohort, tmp_path / "run", steps=1, drift="calibrated", drift_mode=mode
    )
    stored = made.info.to_dict()["drift"]
    wanted = torch.tensor(made.info.to_dict()["drift"]["calibration"]["wanted_mean"])
    trained = torch.tensor(stored["train"] or [0.0] * 4).double()
    assert bool(trained.any()) == (mode == "both")
    assert stored["infer"] == pytest.approx((trained + (wanted - level) / slope).tolist(), abs=1e-6)
    for value, (low, high) in zip(stored["infer"], stored["calibration"]["interval"], strict=True):
        assert low == pytest.approx(value, abs=1e-6) and high == pytest.approx(
            value, abs=1e-6
        )  # no picture is off the line


def test_killed_while_calibrating_it_ends_the_same(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    straight = short_fit(tiny_base_folder, cohort, tmp_path / "straight", drift="calibrated")
    with pytest.raises(KilledError):
        short_fit(tiny_base_folder, cohort, tmp_path / "run", drift="calibrated", on_step=killer(8))
    again = short_fit(tiny_base_folder, cohort, tmp_path / "run", drift="calibrated")
    assert (
        same(straight, again) and again.info.to_dict()["drift"] == straight.info.to_dict()["drift"]
    )


def test_what_cannot_be_calibrated_is_refused(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="not with the ablation 'per_step'"):
        short_fit(
            tiny_base_folder, cohort, tmp_path / "run", drift="calibrated", drift_form="per_step"
        )


def test_generate_takes_the_stored_start_and_follows_its_sampler(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_calibration, "SAMPLING", SAMPLING)
    made = short_fit(tiny_base_folder, cohort, tmp_path / "run", steps=2, drift="calibrated")
    adapted = load_adapter(made.adapter)

    def asked(**more: Any) -> Any:
        options = GenerateOptions(
            adapter=str(made.adapter), out=tmp_path / "out", prompt=("x",), **more
        )
        return restart(adapted, options)

    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    assert asked(steps=25) == adapted.drift == asked(steps=25, drift="calibrated")
    ratio = float(
        base.schedule.a(first_time("ddim", base.schedule, 50))
        / base.schedule.a(first_time("ddim", base.schedule, 25))
    )
    assert asked(steps=50).infer == pytest.approx([ratio * value for value in adapted.drift.infer])
    assert asked(steps=25, drift="auto").infer == pytest.approx(
        [
            value * float(base.schedule.a(first_time("ddim", base.schedule, 25)))
            for value in adapted.statistics.mean.tolist()
        ]
    )
    plain = short_fit(tiny_base_folder, cohort, tmp_path / "plain", steps=2, drift="none")
    other = load_adapter(plain.adapter)
    options = GenerateOptions(
        adapter=str(plain.adapter), out=tmp_path / "out", prompt=("x",), drift="calibrated"
    )
    with pytest.raises(OptionError, match="was not calibrated"):
        restart(other, options)
    assert weights(made).keys() == weights(plain).keys()

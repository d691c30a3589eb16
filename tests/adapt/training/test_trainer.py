"""The craft of a step: however it is made, what comes out is known."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import STEPS, KilledError, asked, entries, killer, same, short_fit, weights
from safetensors.torch import load_file

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training import (
    checkpoint,
    losses,
    lr_schedules,
    optimizers,
    trackers,
    training_setup,
)
from latentdrift.adapt.training.batches import Batch
from latentdrift.adapt.training.cost_estimate import plan
from latentdrift.adapt.training.ema import Average
from latentdrift.adapt.training.train import FitResult
from latentdrift.adapt.training.trainer import Trainer
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.schedule import Schedule

rows = pytest.mark.parametrize("name", METHODS)
EVERYTHING: dict[str, Any] = {
    "accumulate": 2,
    "ema": 0.9,
    "rate_schedule": "cosine",
    "warm_up": 2,
    "min_snr": 5.0,
    "patience": 2,
    "gradient_checkpointing": True,
}


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)


@pytest.fixture
def run(tiny_base_folder: Path, cohort: Cohort, tmp_path: Path) -> Callable[..., FitResult]:
    """A short fit into tmp_path / `to`."""

    def call(to: str = "run", *, data: Cohort = cohort, **more: Any) -> FitResult:
        return short_fit(tiny_base_folder, data, tmp_path / to, **more)

    return call


@pytest.fixture
def trainer(tiny_base_folder: Path, cohort: Cohort) -> Callable[..., tuple[Trainer, Batch]]:
    """A trainer of the whole U-Net, and a batch of eight."""

    def make(**more: Any) -> tuple[Trainer, Batch]:
        options = asked(
            tiny_base_folder, cohort, Path("unused"), **{"method": "full", "batch_size": 8, **more}
        )
        base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
        todo = training_setup.job(base, cohort, options)
        base, parameters = todo.row.prepare(base, options, cohort.describe)
        made = Trainer(base, parameters, base.embed, Drift(), todo, torch.float32)
        source = torch.Generator().manual_seed(0)
        x0, eps = torch.randn((2, 8, 4, 8, 8), generator=source)
        said = tuple(f"a brain MRI of a {60 + year} year old" for year in range(8))
        return made, Batch(x0, eps, torch.arange(8) * 120, said, said)

    return make


# Accumulation


def gradient(trainer: Trainer, batch: Batch) -> tuple[torch.Tensor, float]:
    """The gradient that an update takes its step with, and the loss."""
    seen: list[torch.Tensor] = []

    def look(*_: Any) -> None:
        seen.append(
            torch.cat([weight.grad.flatten().double() for weight in trainer.parameters.values()])
        )

    trainer.optimizer.register_step_pre_hook(look)
    outcome = trainer.update(batch)
    return seen[0], outcome.loss


@pytest.mark.parametrize("passes", [2, 4, 8])
def test_the_gradient_of_several_passes_is_that_of_one_batch(passes: int, trainer: Any) -> None:
    whole, loss = gradient(*trainer())
    cut, cut_loss = gradient(*trainer(accumulate=passes, batch_size=8 // passes))
    assert (cut - whole).norm() < 1e-5 * whole.norm()
    assert cut_loss == pytest.approx(loss, rel=1e-6)


def test_accumulation_changes_memory_and_not_what_is_learned(run: Any) -> None:
    whole = run("whole", batch_size=4)
    cut = run("cut", batch_size=2, accumulate=2)
    for one, other in zip(weights(whole).values(), weights(cut).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert cut.info.to_dict()["losses"]["train"] == pytest.approx(
        whole.info.to_dict()["losses"]["train"], rel=1e-5
    )
    assert cut.info.to_dict()["trainer"]["accumulate"] == 2


def test_a_batch_is_cut_along_its_images() -> None:
    x0 = torch.arange(6.0).reshape(6, 1, 1, 1)
    batch = Batch(x0, x0, torch.arange(6), tuple("abcdef"), tuple("ABCDEF"), weight=x0)
    part = batch.part(slice(2, 4))
    assert len(part) == 2
    assert (part.x0.flatten().tolist(), part.prompts, part.captions) == (
        [2, 3],
        ("c", "d"),
        ("C", "D"),
    )
    assert (part.t.tolist(), part.weight.flatten().tolist(), part.seen) == ([2, 3], [2, 3], None)


# Weights of times and places


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_min_snr_is_the_closed_form(kind: str) -> None:
    schedule = Schedule.from_config({"prediction_type": kind})
    t = torch.arange(1000)
    gamma = 5.0
    alpha_bar = torch.cumprod(
        1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0
    )
    snr = alpha_bar / (1 - alpha_bar)
    expected = torch.minimum(snr, torch.tensor(gamma)) / (snr if kind == "epsilon" else snr + 1)
    found = losses.min_snr(schedule, t, gamma)
    torch.testing.assert_close(
        found, expected, rtol=1e-4, atol=0
    )  # diffusers keeps alpha_bar in float32
    assert found[-1] == pytest.approx(
        1.0 if kind == "epsilon" else (snr[-1] / (snr[-1] + 1)).item(), rel=1e-4
    )
    # an error d of x0 is an error d a / s of eps and d / s of v: it counts min(SNR, gamma) d^2 in
    # both
    per_x0 = snr if kind == "epsilon" else snr + 1
    torch.testing.assert_close(found * per_x0, snr.clamp(max=gamma), rtol=1e-4, atol=0)


def test_min_snr_weighs_the_loss_that_is_trained_and_not_the_one_that_is_watched(
    trainer: Any,
) -> None:
    plain, batch = trainer()
    weighted, _ = trainer(min_snr=5.0)
    with torch.no_grad():
        each = plain.losses(batch).double()
    expected = (each * losses.min_snr(plain.base.schedule, batch.t, 5.0)).mean().item()
    assert weighted.watch([batch]) == plain.watch([batch])
    assert weighted.update(batch).loss == pytest.approx(expected, rel=1e-5)


def test_min_snr_of_pure_noise_is_a_number() -> None:
    schedule = Schedule.from_config({"prediction_type": "v_prediction"}).altered(zero_snr=True)
    assert losses.min_snr(schedule, torch.tensor([999]), 5.0).item() == 0.0


def test_outside_a_mask_the_loss_counts_what_it_is_told(trainer: Any) -> None:
    made, batch = trainer()
    with torch.no_grad():
        plain = made.losses(batch)
        quarter = made.losses(Batch(**{**vars(batch), "weight": torch.full((8, 1, 8, 8), 0.25)}))
        half = torch.zeros(8, 1, 8, 8)
        half[..., :4] = 1
        parts = [
            made.losses(Batch(**{**vars(batch), "weight": weight})) for weight in (half, 1 - half)
        ]
    torch.testing.assert_close(quarter, plain / 4)
    torch.testing.assert_close(parts[0] + parts[1], plain)


# The average of the weights


def test_the_average_is_its_recursion() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    average = Average({"w": weight}, 0.5)
    expected = 0.0
    for done in range(20):
        weight.data.fill_(float(done + 1))
        average.follow(done)
        decay = min(0.5, (1 + done) / (10 + done))
        expected = decay * expected + (1 - decay) * (done + 1)
        assert average.weights["w"].item() == pytest.approx(expected, rel=1e-6)
    average.swap()
    assert weight.item() == pytest.approx(expected, rel=1e-6)
    average.swap()
    assert weight.item() == 20


def test_the_adapter_is_the_average_of_the_weights_after_each_step(
    run: Any, tmp_path: Path
) -> None:
    averaged = run("averaged", ema=0.8)
    last = run("last", checkpoint_every=1)
    assert not same(averaged, last)
    stored = load_file(
        tmp_path / "averaged" / "checkpoints" / f"step-{STEPS:06d}" / "state.safetensors"
    )
    final = weights(last)  # the training itself goes the same way
    assert all(
        torch.equal(stored[f"weight/{name.removeprefix('unet.')}"], value)
        for name, value in final.items()
    )
    assert all(
        torch.equal(stored[f"average/{name.removeprefix('unet.')}"], value)
        for name, value in weights(averaged).items()
    )


def test_previews_and_held_out_losses_are_those_of_the_average(run: Any, trainer: Any) -> None:
    made, batch = trainer(ema=0.999)
    for _ in range(3):
        made.update(batch)
    before = {name: weight.clone() for name, weight in made.parameters.items()}
    expected = {name: weight.clone() for name, weight in made.average.weights.items()}
    with made.kept():
        assert all(torch.equal(weight, expected[name]) for name, weight in made.parameters.items())
        loss = torch.cat([made.losses(batch)]).mean().item()
    assert made.watch([batch]) == pytest.approx(loss, rel=1e-6)
    assert all(torch.equal(weight, before[name]) for name, weight in made.parameters.items())


# Rates, optimisers


def test_rates_rise_and_fall_as_their_rows_say() -> None:
    for name, middle, last in [
        ("constant", 1, 1),
        ("linear", 0.5, 0.01),
        ("cosine", 0.5, (1 + math.cos(math.pi * 0.99)) / 2),
    ]:
        rate = lr_schedules.Rates.of(2.0, name, 10, 110)
        assert [rate(done) for done in range(10)] == pytest.approx(
            [0.2 * (done + 1) for done in range(10)]
        )
        assert rate(10) == pytest.approx(2.0)
        assert rate(60) == pytest.approx(2 * middle)
        assert rate(109) == pytest.approx(2 * last)
    assert set(lr_schedules.SCHEDULES) == {"constant", "linear", "cosine"}


def test_the_default_is_twenty_steps_or_a_tenth_of_the_run_and_then_constant() -> None:
    for steps, warm_up in [(400, 20), (50, 5), (5, 1)]:
        rate = lr_schedules.Rates.of(1e-3, "constant", None, steps)
        assert [rate(done) for done in range(steps)] == [
            1e-3 * min(1.0, (done + 1) / warm_up) for done in range(steps)
        ]
    assert lr_schedules.Rates.of(1e-3, "constant", 0, 5)(0) == 1e-3


def test_the_rate_in_the_log_is_the_one_asked_for(run: Any, tmp_path: Path) -> None:
    run(rate_schedule="linear", warm_up=2, learning_rate=1e-3)
    found = [entry["rate"] for entry in entries(tmp_path / "run") if "rate" in entry]
    assert found == pytest.approx([5e-4, 1e-3, *(1e-3 * (1 - part / 6) for part in range(6))])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"rate_schedule": "cosin"},
            "unknown rate schedule 'cosin'; known: constant, cosine, linear .did you mean 'cosine'",
        ),
        ({"warm_up": 8}, "`warm_up=8` is not shorter than the run of `steps=8`"),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'; known: adamw, adamw-8bit"),
        (
            {"tracker": "tensorbored"},
            "unknown tracker 'tensorbored'; known: mlflow, none, tensorboard, wandb",
        ),
    ],
)
def test_wrong_rows_are_said_before_a_folder_is_made(
    given: dict, message: str, run: Any, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        run(**given)
    assert not (tmp_path / "run").exists()


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None)
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(
        OptionError,
        match="`optimizer=adamw-8bit` needs the package bitsandbytes, which is not installed",
    ):
        optimizers.optimizer("adamw-8bit")
    for name in ("mlflow", "wandb"):
        with pytest.raises(
            OptionError, match=f"`tracker={name}` needs the package {name}, which is not installed"
        ):
            trackers.tracker(name)


def test_eight_bits_go_on_to_the_same_bits(run: Any) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    straight = run("straight", method="full", optimizer="adamw-8bit")
    with pytest.raises(KilledError):
        run(method="full", optimizer="adamw-8bit", on_step=killer(5))
    assert same(straight, run(method="full", optimizer="adamw-8bit"))


# Going on, whatever is asked for


@rows
def test_everything_at_once_goes_on_to_the_same_bits(name: str, run: Any, tmp_path: Path) -> None:
    straight = run("straight", method=name, **EVERYTHING)
    first, second = sorted(
        random.Random(f"craft {name}").sample(
            range(1, straight.info.to_dict()["early_stopping"]["stopped"] + 1), 2
        )
    )
    for at, kind in (
        (first, KilledError),
        (second, KeyboardInterrupt),
    ):  # an interrupt writes a checkpoint, a kill does not
        with pytest.raises(kind):
            run(method=name, **EVERYTHING, on_step=killer(at, kind))
    resumed = run(method=name, **EVERYTHING)
    assert resumed.resumed == second
    assert same(straight, resumed)
    assert resumed.info == straight.info
    told = [
        (entry["step"], entry.get("loss"), entry.get("held_out"))
        for entry in entries(tmp_path / "run")
    ]
    assert told == [
        (entry["step"], entry.get("loss"), entry.get("held_out"))
        for entry in entries(tmp_path / "straight")
    ]


def test_a_run_from_before_these_options_goes_on(run: Any, tmp_path: Path) -> None:
    straight = run("straight")
    with pytest.raises(KilledError):
        run(on_step=killer(4))
    path = tmp_path / "run" / "fit.json"
    older = {
        name: value
        for name, value in json.loads(path.read_text()).items()
        if name not in EVERYTHING
    }
    path.write_text(json.dumps(older))
    for state in (tmp_path / "run" / "checkpoints").glob("*/state.json"):
        state.write_text(json.dumps({"step": json.loads(state.read_text())["step"]}))
    with pytest.raises(OptionError, match=r"ema \(None there, 0\.5 now\)"):
        run(ema=0.5)
    assert same(straight, run())


@pytest.mark.parametrize(
    "more",
    [
        {"accumulate": 2},
        {"ema": 0.9},
        {"accumulate": 2, "ema": 0.9, "gradient_checkpointing": True},
    ],
)
def test_a_loss_that_is_no_number_in_any_pass_leaves_everything_as_it_was(
    more: dict, trainer: Any
) -> None:
    made, batch = trainer(**{"batch_size": 4, "accumulate": 2, **more})
    assert made.update(batch).finite
    before = {name: weight.clone() for name, weight in made.parameters.items()}
    average = (
        {name: weight.clone() for name, weight in made.average.weights.items()}
        if made.average
        else {}
    )
    x0 = batch.x0.clone()
    x0[-1] = float("nan")  # in the last pass
    assert not made.update(Batch(x0, batch.eps, batch.t, batch.prompts, batch.captions)).finite
    assert made.done == 1
    assert all(torch.equal(weight, before[name]) for name, weight in made.parameters.items())
    assert all(torch.equal(made.average.weights[name], weight) for name, weight in average.items())
    assert all(weight.grad is None for weight in made.parameters.values())


def test_a_checkpoint_holds_whole_numbers_and_shared_tables(tmp_path: Path) -> None:
    """As the state of 8-bit optimisers is."""
    parameters = {name: torch.nn.Parameter(torch.randn(4)) for name in "ab"}
    optimizer = torch.optim.SGD(list(parameters.values()), lr=0.1)
    table = torch.linspace(-1, 1, 256)
    state = {"step": 3, "table": table, "state1": torch.arange(4, dtype=torch.uint8)}
    for parameter in parameters.values():
        optimizer.state[parameter] = dict(state)
    checkpoint.write(tmp_path, 3, parameters, optimizer)
    again = torch.optim.SGD(list(parameters.values()), lr=0.1)
    last = checkpoint.newest(tmp_path)
    assert last
    last.restore(parameters, again)
    for parameter in parameters.values():
        found = again.state[parameter]
        assert (found["step"], type(found["step"])) == (3, int)
        assert torch.equal(found["table"], table)


# Memory, plans


def test_checkpointing_keeps_fewer_activations_and_the_same_gradient(trainer: Any) -> None:
    def kept(made: Trainer, batch: Batch) -> int:
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            made.losses(batch).mean()
        return sum(sizes.values())

    plain = trainer()
    again = trainer(gradient_checkpointing=True)
    assert kept(*again) < 0.6 * kept(*plain)
    assert torch.equal(gradient(*plain)[0], gradient(*again)[0])


def test_a_plan_shows_what_the_options_cost(tiny_base_folder: Path, cohort: Cohort) -> None:
    def cost(**more: Any) -> dict[str, Any]:
        base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
        return plan(
            base, cohort, asked(tiny_base_folder, cohort, Path("unused"), method="full", **more)
        )

    plain = cost()
    rich = cost(accumulate=3, ema=0.999, patience=2, gradient_checkpointing=True)
    trained = 4 * plain["trainable_parameters"]
    assert plain["memory_of_what_is_trained"] == {
        "weights": trained,
        "gradients": trained,
        "optimizer": 2 * trained,
        "average": 0,
    }
    assert rich["memory_of_what_is_trained"]["average"] == trained
    assert rich["disk_bytes"] - plain["disk_bytes"] == 4 * (4 * trained) - 3 * (3 * trained)
    assert (plain["images_per_step"], rich["images_per_step"]) == (2, 6)
    assert rich["epochs"] == pytest.approx(3 * plain["epochs"])
    assert rich["seconds_per_step"] > plain["seconds_per_step"]

"""The craft of a step: however it is made, what comes out is known."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import KilledError, asked, entries, killer, same, weights
from variants import some_at_once

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches.batches import Batch
from latentdrift.adapt.training.cost_estimate import plan
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.optimization import losses, optimizers
from latentdrift.adapt.training.records import trackers
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base

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


# Rates, optimisers


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


@pytest.mark.parametrize("name", some_at_once(METHODS, ("lora", "textual-inversion")))
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


@pytest.mark.slow
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

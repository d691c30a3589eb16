"""The loop: exact when it goes on, honest when it stops, the same for every method."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import loaded_base, small
from PIL import Image
from safetensors.torch import load_file

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches.batches import Batches
from latentdrift.adapt.training.cost_estimate import plan
from latentdrift.adapt.training.loop.preview import LAST_PICTURES, PICTURES
from latentdrift.adapt.training.loop.stop_signals import held_back
from latentdrift.adapt.training.records.training_log import TrainingLog
from latentdrift.adapt.training.train import FitResult, fit
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, OptionError, ResourceError
from latentdrift.model.adapter_info import PreviewVerdict
from latentdrift.model.base import Base

STEPS = 7
rows = pytest.mark.parametrize("name", METHODS)
Fit = Callable[..., FitResult]


class KilledError(Exception):
    """Stands for a process that is gone."""


def killer(at: int, error: type[BaseException] = KilledError) -> Callable[[int, float], None]:
    def on_step(done: int, loss: float) -> None:
        if done == at:
            raise error

    return on_step


def short_fit(
    base: Path,
    cohort: Cohort,
    out: Path,
    *,
    on_step: Any = None,
    preview: Any = None,
    judge: Any = None,
    **more: Any,
) -> FitResult:
    options = FitOptions(
        cohort=cohort.folder, out=out, base=str(base), **small(**{"steps": STEPS, **more})
    )
    return fit(
        loaded_base(base),
        cohort,
        options,
        out,
        on_step=on_step,
        preview=preview,
        judge=judge,
        quiet=True,
    )


@pytest.fixture
def run(tiny_base_folder: Path, cohort: Cohort, tmp_path: Path) -> Fit:
    """A short fit into tmp_path / `to`."""

    def call(to: str = "run", *, data: Cohort = cohort, **more: Any) -> FitResult:
        return short_fit(tiny_base_folder, data, tmp_path / to, **more)

    return call


@pytest.fixture(scope="module")
def straight(
    tiny_base_folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], FitResult]:
    """An uninterrupted run of a method with the options of `run`, made once."""
    made: dict[str, FitResult] = {}

    def get(name: str = "lora") -> FitResult:
        if name not in made:
            made[name] = short_fit(
                tiny_base_folder, cohort, tmp_path_factory.mktemp("straight") / name, method=name
            )
        return made[name]

    return get


def weights(result: FitResult) -> dict[str, torch.Tensor]:
    return load_file(METHODS[result.info.to_dict()["method"]].file_in(result.adapter))


def same(one: FitResult, other: FitResult) -> bool:
    mine = weights(one)
    theirs = weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@rows
def test_a_killed_run_goes_on_to_the_same_bits(
    name: str, run: Fit, straight: Any, tmp_path: Path
) -> None:
    at = random.Random(name).randrange(1, STEPS)
    with pytest.raises(KilledError):
        run(method=name, on_step=killer(at))
    assert not (tmp_path / "run" / "adapter").exists()
    resumed = run(method=name)
    assert resumed.resumed == at // 3 * 3
    assert same(straight(name), resumed)
    assert resumed.info == straight(name).info
    steps = [entry["step"] for entry in entries(tmp_path / "run") if "loss" in entry]
    assert steps == list(range(1, STEPS + 1))


@pytest.mark.slow
def test_kill_9_and_the_same_command_again(
    run: Fit, straight: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from latentdrift.adapt.training.train import fit\n"
        "from latentdrift.config import FitOptions\n"
        "from latentdrift.data.cohort.cohort import Cohort\n"
        "from latentdrift.model.base import Base\n"
        "base, cohort, out = sys.argv[1:]\n"
        f"options = FitOptions(cohort=cohort, out=out, base=base, **{small(steps=STEPS)!r})\n"
        "die = lambda done, loss: os.kill(os.getpid(), signal.SIGKILL) if done == 5 else None\n"
        "base = Base.load(base, device='cpu', precision='fp32')\n"
        "fit(base, Cohort.load(cohort), options, Path(out), on_step=die, quiet=True)\n"
    )
    arguments = [
        sys.executable,
        "-c",
        script,
        str(tiny_base_folder),
        str(tiny_cohort_folder),
        str(tmp_path / "run"),
    ]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    resumed = run()
    assert resumed.resumed == 3
    assert same(straight(), resumed)


def test_an_interrupt_leaves_a_checkpoint_of_the_very_step(
    run: Fit, straight: Any, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(on_step=killer(4, KeyboardInterrupt))
    assert (tmp_path / "run" / "checkpoints" / "step-000004").exists()
    resumed = run()
    assert resumed.resumed == 4
    assert same(straight(), resumed)


def test_ctrl_c_waits_for_the_end_of_an_update() -> None:
    whole = False
    with pytest.raises(KeyboardInterrupt), held_back():
        os.kill(os.getpid(), signal.SIGINT)
        whole = True
    assert whole


def test_an_interrupt_before_the_first_step_just_stops(
    run: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Batches, "__call__", interrupted)
        run()
    assert run().resumed == 0


def test_a_finished_run_says_so_and_does_nothing(run: Fit, tmp_path: Path) -> None:
    first = run()
    stamp = (first.adapter / "adapter.json").stat().st_mtime_ns
    again = run(on_step=killer(1))
    assert again.already
    assert again.info == first.info
    assert (first.adapter / "adapter.json").stat().st_mtime_ns == stamp


def test_other_options_in_the_same_folder_are_named(run: Fit) -> None:
    run()
    with pytest.raises(OptionError, match=r"another `out`") as error:
        run(steps=9, rank=4)
    assert "steps (7 there, 9 now)" in str(error.value)
    assert "rank (2 there, 4 now)" in str(error.value)
    assert "seed" not in str(error.value)
    assert run(checkpoint_every=5, preview_every=0).already  # these do not change the result


def test_a_folder_with_other_things_is_left_alone(run: Fit, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.docx").touch()
    with pytest.raises(OptionError, match="is not empty and holds no run"):
        run()


def test_a_changed_cohort_is_noticed(run: Fit, cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        run(on_step=killer(4))
    shutil.copytree(cohort.folder, tmp_path / "changed")
    table = cohort.rows().copy()
    table.loc[0, "age"] = 99.0
    table.to_csv(tmp_path / "changed" / "metadata.csv", index=False)
    with pytest.raises(
        OptionError, match=r"holds a run with other settings: cohort \(.*examples \("
    ):
        run(data=Cohort.load(tmp_path / "changed"))


def test_a_loss_that_is_no_number_stops_the_run_with_a_good_checkpoint(
    run: Fit, tmp_path: Path
) -> None:
    steps: list[int] = []
    original = Batches.__call__

    def poisoned(self: Batches, step: int) -> Any:
        batch = original(self, step)
        return (
            type(batch)(batch.x0 * float("nan"), batch.eps, batch.t, batch.prompts, batch.captions)
            if step == 4
            else batch
        )

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OptionError) as error:
        patch.setattr(Batches, "__call__", poisoned)
        run(on_step=lambda done, loss: steps.append(done))
    assert "is not a number at step 5" in str(error.value)
    assert "the last good checkpoint is step 3" in str(error.value)
    assert "lower `learning_rate`" in str(error.value)
    state = load_file(tmp_path / "run" / "checkpoints" / "step-000003" / "state.safetensors")
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert steps == [1, 2, 3, 4]


def test_a_learning_rate_that_explodes_is_caught(run: Fit) -> None:
    with pytest.raises(OptionError, match="learning rate 1e\\+30"):
        run(learning_rate=1e30, steps=30)


def test_the_log_says_losses_and_held_out_losses(run: Fit, tmp_path: Path) -> None:
    info = run().info.to_dict()
    watched = [
        (entry["step"], entry["held_out"])
        for entry in entries(tmp_path / "run")
        if "held_out" in entry
    ]
    assert [step for step, _ in watched] == [0, 3, 6, 7]
    assert info["losses"]["held_out_before"] == watched[0][1]
    assert info["losses"]["held_out"] == watched[-1][1]
    losses = [entry["loss"] for entry in entries(tmp_path / "run") if "loss" in entry]
    assert info["losses"]["train"] == pytest.approx(np.mean(losses))
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_training_helps_on_images_that_it_does_not_see(run: Fit) -> None:
    losses = run(method="full", steps=40, checkpoint_every=40).info.to_dict()["losses"]
    assert losses["held_out"] < 0.7 * losses["held_out_before"]


def test_a_cohort_without_held_out_images_trains_without_a_held_out_loss(
    run: Fit, cohort: Cohort, tmp_path: Path
) -> None:
    shutil.copytree(cohort.folder, tmp_path / "all")
    cohort.rows().assign(split="train").to_csv(tmp_path / "all" / "metadata.csv", index=False)
    assert run(data=Cohort.load(tmp_path / "all")).info.to_dict()["losses"]["held_out"] is None


@pytest.mark.parametrize("given", ["none", "0,0,0,0"])
def test_training_without_drift_is_the_same_run_in_every_spelling(
    given: str, run: Fit, straight: Any
) -> None:
    result = run(drift=given)
    assert result.info.to_dict()["drift"]["mode"] == "off"
    assert same(
        result, straight()
    )  # automatic drift is of the start alone, and leaves training as it is


@rows
def test_drift_changes_the_result_and_is_stored(name: str, run: Fit, straight: Any) -> None:
    drifted = run(method=name, drift="0.1,-0.05,0.2,0")
    assert not same(straight(name), drifted)
    assert drifted.info.to_dict()["drift"] == {
        "mode": "both",
        "form": "noise_mean",
        "start": "shift",
        "source": "given",
        "train": [0.1, -0.05, 0.2, 0.0],
        "infer": [0.1, -0.05, 0.2, 0.0],
    }


def test_automatic_drift_is_the_closed_form(
    run: Fit, straight: Any, cohort: Cohort, tiny_base_folder: Path
) -> None:
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    mean, _ = base.moments(torch.from_numpy(cohort.batch(cohort.rows("train"), 32)))
    alpha_bar = torch.cumprod(
        1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0
    )
    expected = alpha_bar[981].sqrt() * mean.double().mean(
        (0, 2, 3)
    )  # 981: where 50 leading steps with offset 1 begin
    stored = straight().info.to_dict()["drift"]
    assert stored["mode"] == "infer"
    assert stored["t0"] == 981
    assert stored["train"] == []
    assert stored["infer"] == pytest.approx(expected.tolist(), rel=1e-4)
    assert all(
        low < value < high
        for value, (low, high) in zip(stored["infer"], stored["interval"], strict=True)
    )
    both = run(drift="auto", drift_mode="both").info.to_dict()["drift"]
    assert both["train"] == pytest.approx(expected.tolist(), rel=1e-4)
    assert both["infer"] == pytest.approx((2 * expected).tolist(), rel=1e-4)


def test_every_class_has_a_closed_form_of_its_own(
    run: Fit, cohort: Cohort, tiny_base_folder: Path
) -> None:
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    rows = cohort.rows("train")
    a = base.schedule.a(981).item()
    result = run(drift="auto", drift_by="diagnosis")
    groups = {group["phrase"]: group for group in result.info.to_dict()["drift"]["groups"]}
    assert set(groups) == set(rows["diagnosis"])
    for phrase, group in groups.items():
        mean, _ = base.moments(
            torch.from_numpy(cohort.batch(rows[rows["diagnosis"] == phrase], 32))
        )
        assert group["infer"] == pytest.approx(
            (a * mean.double().mean((0, 2, 3))).tolist(), rel=1e-4
        )
    trained = run("trained", drift="auto", drift_by="diagnosis", drift_mode="both")
    assert not same(trained, result)  # each image's own class is in the noise that it is trained on
    for wrong, message in [
        ({"drift": "0.1", "drift_by": "diagnosis"}, "needs `drift=auto`"),
        ({"drift_by": "diagnosis", "drift_form": "per_step"}, "not with the ablation 'per_step'"),
        ({"drift_by": "age"}, "unknown category for `drift_by` 'age'; known: diagnosis, sex"),
        ({"drift_by": "diagnosis", "patient_info": False}, "which `patient_info=False` leaves out"),
    ]:
        with pytest.raises(OptionError, match=message):
            run("wrong", **wrong)


def test_starts_that_need_more_images_are_refused_before_work(run: Fit, tmp_path: Path) -> None:
    with pytest.raises(
        CohortError, match="`drift_mode=leak-low` needs 10 training images, there are"
    ):
        run(drift_mode="leak-low")
    assert not (tmp_path / "run").exists()
    with pytest.raises(OptionError, match="has no part in a 'pin-sample' start"):
        run(drift="0.3", drift_mode="pin-sample")
    assert not (tmp_path / "run").exists()
    drawn = run("drawn", drift="none", drift_mode="pin-sample").info.to_dict()["drift"]
    assert (drawn["mode"], drawn["infer"], drawn["source"]) == ("pin-sample", [], "none")
    stored = run(drift_mode="pin").info.to_dict()["drift"]
    assert (stored["mode"], stored["start"], len(stored["infer"])) == ("pin", "pin", 4)


def test_previews_are_drawn_labelled_and_change_nothing(
    run: Fit, straight: Any, tmp_path: Path
) -> None:
    seen: list[list[str]] = []

    def preview(
        base: Base, drift: Any, statistics: Any, prompts: list[str], shown: Any, report: Any
    ) -> np.ndarray:
        torch.randn(3)  # a preview may use the global generator
        seen.append(prompts)
        return np.full((len(prompts), 8, 8, 3), 128, np.uint8)

    drawn = run(preview=preview, preview_every=3)
    assert len(seen) == 2
    assert all("brain MRI" in prompt for prompt in seen[0])
    paths = sorted((tmp_path / "run" / "previews").iterdir())
    assert [path.name for path in paths] == ["step-000003.png", "step-000006.png"]
    with Image.open(paths[0]) as picture:
        assert "Synthetic" in picture.info
    assert same(drawn, straight())


def test_pictures_are_judged_in_the_log_the_card_and_the_adapter(
    run: Fit, straight: Any, tmp_path: Path
) -> None:
    judged: list[int] = []

    def preview(
        base: Base, drift: Any, statistics: Any, prompts: list[str], shown: Any, report: Any
    ) -> np.ndarray:
        return np.full((len(prompts), 8, 8, 3), len(prompts), np.uint8)

    def judge(pictures: np.ndarray, report: Any) -> PreviewVerdict:
        judged.append(len(pictures))
        return PreviewVerdict(
            colour="red", sentence="No picture shows a brain.", pictures=len(pictures)
        )

    made = run(preview=preview, judge=judge, preview_every=3)
    assert judged == [PICTURES, PICTURES, LAST_PICTURES]
    assert made.info.to_dict()["judgement"] == {
        "colour": "red",
        "sentence": "No picture shows a brain.",
        "pictures": LAST_PICTURES,
    }
    card = (made.adapter / "README.md").read_text()
    assert (
        f"{LAST_PICTURES} pictures, judged by critics of anatomy: red. No picture shows a brain."
        in card
    )
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["judged"]) for line in lines if "judged" in line] == [
        (3, "red"),
        (6, "red"),
        (STEPS, "red"),
    ]
    assert same(made, straight())
    judged.clear()
    assert run("none", preview=preview, judge=judge, preview_every=0).info.judgement is None
    assert not judged


def test_the_work_after_the_last_step_is_announced_and_has_bars(
    run: Fit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    labels: list[str] = []

    def bar(self: TrainingLog, label: str) -> Callable[[int, int], None]:
        return lambda done, total: labels.append(f"{label} {done} of {total}")

    def preview(
        base: Base, drift: Any, statistics: Any, prompts: list[str], shown: Any, report: Any
    ) -> np.ndarray:
        report(len(prompts), len(prompts))
        return np.zeros((len(prompts), 8, 8, 3), np.uint8)

    def judge(pictures: np.ndarray, report: Any) -> PreviewVerdict:
        report(1, 1)
        return PreviewVerdict(colour="grey", sentence="None.", pictures=len(pictures))

    options = {"preview": preview, "judge": judge, "preview_every": STEPS + 1}
    with pytest.raises(KilledError):
        run(on_step=killer(STEPS), **options)
    monkeypatch.setattr(TrainingLog, "bar", bar)
    with caplog.at_level(logging.INFO):
        assert run(**options).resumed == STEPS
    work = f"{LAST_PICTURES} images that critics of anatomy judge, then the adapter"
    assert f"{STEPS} of {STEPS} steps done; next: {work}" in caplog.text
    assert [label for label in labels if "latents" not in label] == [
        f"previews {LAST_PICTURES} of {LAST_PICTURES}",
        "critics 1 of 1",
    ]


def test_the_seed_and_nothing_else_decides(run: Fit, straight: Any) -> None:
    torch.manual_seed(12345)
    assert same(run("same"), straight())
    assert not same(run("other", seed=1), straight())


def test_no_space_is_said_before_work(
    run: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    with pytest.raises(
        ResourceError, match=r"writes about 0\.00 GB and .* has 0\.00 GB free; free some space"
    ):
        run()
    assert not (tmp_path / "run").exists()


def test_a_prompt_past_the_limit_is_said_before_work(run: Fit, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"the text encoder .* reads 75: .*fewer `vectors` than 64, or leave"
    ):
        run(method="textual-inversion", vectors=64, prompt_style="diverse")
    assert not (tmp_path / "run").exists()
    assert (
        run(method="textual-inversion", vectors=64, patient_info=False).info.to_dict()["options"][
            "vectors"
        ]
        == 64
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "lorra"}, "unknown method 'lorra'; known: .*lora, "),
        ({"drift": "much"}, "drift 'much' is not understood"),
        ({"drift": "1,2"}, "drift '1,2' has 2 values; give one, or 4"),
    ],
)
def test_bad_options_are_said_before_a_folder_is_made(
    given: dict, message: str, run: Fit, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        run(**given)
    assert not (tmp_path / "run").exists()


def test_a_cohort_without_training_images_is_refused(
    run: Fit, cohort: Cohort, tmp_path: Path
) -> None:
    shutil.copytree(cohort.folder, tmp_path / "none")
    cohort.rows().assign(split="test").to_csv(tmp_path / "none" / "metadata.csv", index=False)
    with pytest.raises(CohortError, match="no image in its train split"):
        run(data=Cohort.load(tmp_path / "none"))


@rows
def test_a_plan_counts_what_is_trained_and_written(
    name: str, straight: Any, cohort: Cohort, tiny_base_folder: Path
) -> None:
    from diffusers import ControlNetModel

    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    projections = {
        key: module
        for key, module in base.network.named_modules()
        if key.endswith(("to_q", "to_k", "to_v", "to_out.0"))
    }
    others = ("ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "conv1", "conv2", "time_emb_proj")
    layers = [
        module.weight
        for key, module in base.network.named_modules()
        if key in projections or key.endswith(others)
    ]
    expected = {
        "full": sum(parameter.numel() for parameter in base.network.parameters()),
        "lora": sum(2 * (len(weight) + weight[0].numel()) for weight in layers),
        "textual-inversion": 2 * 32,
    }
    expected |= {"dreambooth": expected["full"], "dreambooth-lora": expected["lora"]}
    keys_and_values = [
        module
        for key, module in projections.items()
        if ".attn2.to_k" in key or ".attn2.to_v" in key
    ]
    expected["custom-diffusion"] = 2 * 32 + sum(layer.weight.numel() for layer in keys_and_values)
    expected["instruct-pix2pix"] = expected["full"] + base.network.conv_in.weight.numel()
    images = (
        {"train": 4, "validation": 1}
        if METHODS[name].image_input == "source"
        else {"train": 8, "validation": 2}
    )  # pairs
    expected["controlnet"] = ControlNetModel.from_unet(
        base.network, conditioning_embedding_out_channels=(16, 32, 96)
    ).num_parameters()
    options = FitOptions(cohort=cohort.folder, out=Path("unused"), **small(name, steps=STEPS))
    cost = plan(base, cohort, options)
    assert cost["trainable_parameters"] == expected[name]
    assert cost["images"] == images
    assert cost["epochs"] == pytest.approx(7 * 2 / images["train"], abs=0.01)
    assert 0 < cost["seconds_per_step"] * STEPS <= cost["seconds"]
    assert cost["memory_bytes"] > 1e8
    folder = straight(name).adapter.parent
    written = sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in (".safetensors", ".npy")
    )
    assert 0.6 * written - 1e4 < cost["disk_bytes"] < 2 * written + 1e4

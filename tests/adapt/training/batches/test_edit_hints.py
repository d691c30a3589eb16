"""Edits beside hints: what is shown, that it is the same all along, and that every editor works
with ControlNets in the stack."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from edits import edit
from fits import short_fit
from PIL import Image
from tiny import random_control
from variants import some_at_once

from latentdrift import config, record, service
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches.edit_hints import Sourced, sourced
from latentdrift.adapt.training.train import FitResult
from latentdrift.cli import dry_run
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.controlnet_hints import Hint
from latentdrift.data.images.letterbox import Fit
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.edit.inversions.inversion_cache import InversionCache
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.model import Model
from latentdrift.sample.guidance import guide
from latentdrift.sample.samplers import run
from latentdrift.seeds import generator
from latentdrift.study.editors.editor_benchmark import EditorBenchmark

BY_PROMPTS = [name for name, row in EDITORS.items() if not row.takes_instruction]
X = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
HINTS = list(torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(5)))
MASK = torch.zeros(1, 1, 32, 32)
MASK[..., 8:24, 8:24] = 1.0
LEARNS = {
    "method": "controlnet",
    "learning_rate": 0.02,
    "steps": 2,
    "drift": "none",
    "preview_every": 0,
}


@pytest.fixture(scope="module")
def plain(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def base(plain: Base) -> Base:
    """Two ControlNets of unlike weight."""
    return replace(
        plain, controls=((random_control(plain, 1), 0.5), (random_control(plain, 2), 1.0))
    )


def edited(
    base: Base,
    editor: str,
    target: str = "a normal chest MRI",
    hints: list[torch.Tensor] = HINTS,
    **how: Any,
) -> Any:
    row = EDITORS[editor]
    asked = {"steps": 5, "guidance": 2.0, "seed": 0, **how}
    mask = MASK if row.needs_mask else None
    return edit(
        base, Drift(), X, "a brain MRI", target, editor=editor, hints=hints, mask=mask, **asked
    )


@pytest.mark.parametrize(
    "editor", some_at_once(BY_PROMPTS, ("ddim", "prompt-to-prompt", "inpaint"))
)
def test_every_editor_edits_beside_hints(base: Base, editor: str) -> None:
    """The hint reaches the picture, and where the prompt does not change nothing does."""
    one, other = (edited(base, editor, hints=hints) for hints in (HINTS, HINTS[::-1]))
    assert one.counterfactual.isfinite().all() and not torch.equal(
        one.counterfactual, one.reconstruction
    )
    assert not torch.equal(one.counterfactual, other.counterfactual)
    same = edited(base, editor, target="a brain MRI")
    assert torch.allclose(same.reconstruction, same.counterfactual, atol=1e-4)


@pytest.mark.parametrize(
    "editor",
    some_at_once([name for name in BY_PROMPTS if not EDITORS[name].needs_controlnet], ("sdedit",)),
)
def test_controlnets_of_no_weight_edit_as_the_base(plain: Base, base: Base, editor: str) -> None:
    silent = replace(base, controls=tuple((net, 0.0) for net, _ in base.controls))
    with_ = edited(silent, editor)
    without = edited(plain, editor, hints=[])
    assert torch.allclose(
        with_.reconstruction, without.reconstruction, atol=1e-4
    )  # gradients through them add in another order
    assert torch.allclose(with_.counterfactual, without.counterfactual, atol=1e-4)


def test_a_network_that_is_told_what_to_change_edits_beside_hints(
    plain: Base, tiny_base_folder: Path
) -> None:
    told = FitOptions(cohort=Path("c"), out=Path("o"), method="instruct-pix2pix")
    wide, _ = METHODS["instruct-pix2pix"].prepare(
        Base.load(tiny_base_folder, device="cpu", precision="fp32"), told, {}
    )
    both = replace(wide, controls=((random_control(plain, 1), 1.0),))
    one, other, none = (
        edit(
            base, Drift(), X, "", "make it older", editor="instruct-pix2pix", hints=hints, steps=3
        ).counterfactual
        for base, hints in ((both, HINTS[:1]), (both, HINTS[1:]), (wide, []))
    )
    assert not torch.equal(one, other) and not torch.equal(one, none)


def test_an_image_comes_back_beside_its_hint(base: Base) -> None:
    """Where hints were not the same up and down, more steps would not help."""
    kept = base.decode(base.moments(X)[0])

    def error(inversion: str, steps: int) -> torch.Tensor:
        again = edited(base, "ddim", steps=steps, inversion=inversion).reconstruction
        return (again - kept).abs().max()

    assert (
        error("negative-prompt", 80) < error("negative-prompt", 20) / 4
    )  # of second order in the step, 16 in the limit
    assert error("direct", 20) < 1e-5


@torch.no_grad()
def test_a_picture_from_noise_is_what_sampling_draws(base: Base) -> None:
    made = edited(base, "controlnet")
    context = [base.embed([text]) for text in ("", "a brain MRI", "a normal chest MRI")]
    start = torch.randn((4, 8, 8), generator=generator(0, "edit", "controlnet"))[None]
    beside = tuple(hint[None] for hint in HINTS)
    for said, picture in zip(context[1:], (made.reconstruction, made.counterfactual), strict=True):
        contexts = tuple(replace(each, hints=beside) for each in (context[0], said))
        drawn = run(
            guide(base.denoiser(), 2.0),
            base.schedule,
            "ddim",
            5,
            start,
            contexts,
            [torch.Generator()],
        )
        torch.testing.assert_close(picture, base.decode(drawn), rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_picture_from_noise_starts_where_the_adapters_sampling_does(base: Base) -> None:
    """A drift of the start is a shift of it; without one the two are the same picture."""
    how: dict[str, Any] = {"editor": "controlnet", "hints": HINTS, "steps": 5, "guidance": 2.0}
    none, moved = (
        edit(base, drift, X, "a", "b", **how) for drift in (Drift(), Drift.of((0.5,) * 4, "infer"))
    )
    assert not torch.equal(none.counterfactual, moved.counterfactual)
    start = torch.randn((4, 8, 8), generator=generator(0, "edit", "controlnet"))[None]
    beside = tuple(hint[None] for hint in HINTS)
    silent = base.embed([""])
    s = base.schedule.s(base.schedule.timesteps(5)[0])
    contexts = tuple(replace(each, hints=beside) for each in (silent, base.embed(["b"])))
    drawn = run(
        guide(base.denoiser(), 2.0),
        base.schedule,
        "ddim",
        5,
        start + 0.5 * s,
        contexts,
        [torch.Generator()],
    )
    torch.testing.assert_close(moved.counterfactual, base.decode(drawn), rtol=0, atol=1e-4)


def test_another_hint_is_another_inversion(base: Base, tmp_path: Path) -> None:
    shelf = InversionCache(tmp_path, {"base": base.hash})
    for hints in (HINTS, HINTS[::-1], HINTS):
        edited(base, "ddim", hints=hints, cache=shelf)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize(
    ("editor", "hints", "message"),
    [
        ("ddim", 1, "1 hints were given to edit by a network with 2 ControlNets"),
        ("sdedit", 0, "0 hints were given to edit by a network with 2 ControlNets"),
        ("instruct-pix2pix", 2, "take sdedit or ddim .* or controlnet, or leave `editor` out"),
    ],
)
def test_what_does_not_fit_is_a_sentence(base: Base, editor: str, hints: int, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        edited(base, editor, hints=HINTS[:hints])


def test_without_a_controlnet_there_is_no_hint_to_draw_from(plain: Base) -> None:
    with pytest.raises(OptionError, match="this network has none; add one with `also=RUN`"):
        edited(plain, "controlnet", hints=[])
    with pytest.raises(
        OptionError, match="2 hints were given to edit by a network with 0 ControlNets"
    ):
        edited(plain, "ddim")


# On disk


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The phantoms with a mask each but the last, whose label 3 is a box that moves to the
    right."""
    folder = Path(shutil.copytree(tiny_cohort_folder, tmp_path_factory.mktemp("masked") / "cohort"))
    (folder / "masks").mkdir()
    table = Cohort.load(folder).rows().copy()
    table["roi"] = [f"masks/{row}.png" for row in table.index]
    table.loc[table.index[-1], "roi"] = None
    for row in table.index:
        mask = np.zeros((32, 32), np.uint8)
        mask[4:14, 2 + row : 12 + row] = 3
        Image.fromarray(mask).save(folder / "masks" / f"{row}.png")
    table.to_csv(folder / "metadata.csv", index=False)
    return Cohort.load(folder)


@pytest.fixture(scope="module")
def runs(
    cohort: Cohort, tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, FitResult]:
    root = tmp_path_factory.mktemp("runs")
    made = {
        hint: short_fit(tiny_base_folder, cohort, root / hint.split("=")[0], hint=hint, **LEARNS)
        for hint in ("edges", "mask=roi")
    }
    return made | {
        "lora": short_fit(tiny_base_folder, cohort, root / "lora", **{**LEARNS, "method": "lora"})
    }


@pytest.fixture
def ask(
    runs: dict[str, FitResult], cohort: Cohort, tmp_path: Path
) -> Callable[..., config.EditOptions]:
    def call(adapter: str, to: str = "made", **more: Any) -> config.EditOptions:
        given = {
            "source": cohort.folder,
            "set": ("age=80",),
            "limit": 1,
            "steps": 2,
            "precision": "fp32",
            **more,
        }
        given["also"] = tuple(
            f"{runs[name].adapter}={weight}" for name, weight in given.get("also", ())
        )
        return config.EditOptions(adapter=str(runs[adapter].adapter), out=tmp_path / to, **given)

    return call


def only(folder: Path) -> dict[str, Any]:
    """The record of the one edit in a folder."""
    (path,) = folder.glob("*/record.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("row", [0, 3])
def test_hints_are_those_of_training_made_from_the_image_itself(cohort: Cohort, row: int) -> None:
    wanted = (Hint("edges"), Hint("mask", "roi", (3,)), Hint("earlier"))
    (work,) = [cohort.rows().iloc[[row]]]
    picture = (cohort.batch(work, 32)[0, :1] + 1) / 2
    found = Sourced(wanted, (None,) * 3, cohort).of(picture, Fit(32, 32, 32), row)
    for hint, made in zip(wanted, found, strict=True):
        assert made.shape == (3, 32, 32)
        assert np.allclose(made[0], hint.picture(cohort, row, 32)[0], atol=1e-6), (
            hint
        )  # the earlier visit is the row's own


def test_a_subject_is_shown_as_its_row_was(
    ask: Callable[..., config.EditOptions], cohort: Cohort
) -> None:
    work = service.edit_run_of(ask("edges", limit=3))
    for asked in work.requests:
        subject = asked.entry.open()
        (hint,) = work.hints.of(subject.picture(), subject.fit, asked.entry.row)
        assert np.array_equal(hint[0], Hint("edges").picture(cohort, asked.entry.row, 32)[0])


def test_several_weighted_hints_end_to_end(
    ask: Callable[..., config.EditOptions], cohort: Cohort, tmp_path: Path
) -> None:
    """Edges and masks on a LoRA, of which the weights reach the picture."""
    options = ask("lora", also=(("edges", 0.5), ("mask=roi", 0.8)))
    service.run("edit", options, quiet=True)
    said = only(options.out)
    assert said["editor"] == "controlnet"
    first, second = said["hints"]
    assert first == {"hint": "edges", "file": None}
    assert second["hint"] == "mask=roi" and len(second["file"]) == 64
    adapters = record.read(options.out)["inputs"]["adapters"]
    assert [(part["method"], part.get("weight", 1)) for part in adapters] == [
        ("lora", 1),
        ("controlnet", 0.5),
        ("controlnet", 0.8),
    ]
    again = service.run(
        "replay", config.ReplayOptions(record=options.out, out=tmp_path / "again"), quiet=True
    )
    assert again["same"]
    other = ask("lora", "other", also=(("edges", 0.5), ("mask=roi", 0.2)))
    service.run("edit", other, quiet=True)
    pictures = [
        np.asarray(Image.open(next(folder.glob("*/counterfactual.png"))))
        for folder in (options.out, other.out)
    ]
    assert not np.array_equal(*pictures)


def test_images_without_a_mask_are_left_out(
    ask: Callable[..., config.EditOptions], cohort: Cohort, caplog: pytest.LogCaptureFixture
) -> None:
    options = ask("mask=roi", limit=None)
    work = service.edit_run_of(options)
    rows = {asked.entry.row for asked in work.requests}
    assert len(cohort.rows()) - 1 not in rows and len(rows) == len(cohort.rows()) - 1
    assert (
        f"1 of {len(cohort.rows())} images have no mask for the hint and are left out"
        in caplog.text
    )


def test_a_mask_that_a_file_gives(
    ask: Callable[..., config.EditOptions], cohort: Cohort, tmp_path: Path
) -> None:
    """An image file has no mask; the file's is that of its row, to the bit, and another file is
    another edit."""
    source = cohort.folder / cohort.rows()["file_name"].iloc[0]
    mask = tmp_path / "mask.png"
    shutil.copy(cohort.folder / "masks" / "0.png", mask)
    how: dict[str, Any] = {"source": source, "given": ("age=60",), "editor": "controlnet"}
    with pytest.raises(
        OptionError,
        match=(
            r"needs a hint 'mask=roi', which an image file alone does not have; give it with "
            r"`hint_image=FILE`"
        ),
    ):
        service.edit_run_of(ask("mask=roi", **how))
    work = service.edit_run_of(ask("mask=roi", hint_image=(mask,), **how))
    subject = work.requests[0].entry.open()
    (hint,) = work.hints.of(subject.picture(), subject.fit, None)
    assert np.array_equal(hint[0], Hint("mask", "roi", (3,)).picture(cohort, 0, 32)[0])
    options = ask(
        "edges", also=(("mask=roi", 1.0),), hint_image=(mask,), **how
    )  # edges from the image, the mask from the file
    service.run("edit", options, quiet=True)
    before = only(options.out)["hints"]
    stamp = next(options.out.glob("*/record.json")).stat().st_mtime_ns
    service.run("edit", options, quiet=True)
    assert next(options.out.glob("*/record.json")).stat().st_mtime_ns == stamp
    Image.new("L", (32, 32), 3).save(mask)
    service.run("edit", options, quiet=True)
    after = only(options.out)["hints"]
    assert before[0] == after[0] and before[1] != after[1]


def test_a_mask_of_a_file_lies_where_its_image_does(tmp_path: Path, cohort: Cohort) -> None:
    """Of pixels that are twice as high as wide: the file does not say so, its image does."""
    mask = np.zeros((16, 32), np.uint8)
    path = tmp_path / "mask.png"
    mask[4:8, 10:20] = 3
    Image.fromarray(mask).save(path)
    fit = Fit(16, 32, 32, aspect=2.0)
    given = Sourced((Hint("mask", "roi", (3,)),), (path,)).of(
        np.zeros((1, 32, 32), np.float32), fit, None
    )
    rows, columns = np.nonzero(given[0][0].numpy())
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 15, 10, 19)


def test_the_number_of_given_hints_is_said(
    runs: dict[str, FitResult], ask: Callable[..., config.EditOptions]
) -> None:
    picture = Path("any.png")
    for adapter, also, count, message in (
        (
            "edges",
            (),
            2,
            "`hint_image` gives 2 pictures, and this network has 1 ControlNets; give one for each$",
        ),
        ("lora", (), 1, "`hint_image` gives 1 pictures, and this network has 0 ControlNets"),
        (
            "edges",
            (("mask=roi", 1.0),),
            3,
            "has 2 ControlNets; give one for each, or for 1 that are shown masks",
        ),
    ):
        with pytest.raises(OptionError, match=message):
            service.edit_run_of(ask(adapter, also=also, hint_image=(picture,) * count))


def test_a_base_alone_is_shown_no_hints(plain: Base) -> None:
    assert sourced(Model.of_base(plain), None).sources(None) == []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], float]]:
    """A clock for dry runs by which each latent that a U-Net is shown takes a tenth of a second,
    and nothing else takes time."""
    shown = [0]

    def count(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if isinstance(module, UNet2DConditionModel):
            shown[0] += len(arguments[0])

    hook = torch.nn.modules.module.register_module_forward_pre_hook(count)
    read = lambda: shown[0] / 10  # noqa: E731
    monkeypatch.setattr(dry_run, "time", SimpleNamespace(perf_counter=read))
    yield read
    hook.remove()


@pytest.mark.parametrize(("editor", "inverts"), [("ddim", True), ("controlnet", False)])
def test_a_dry_run_says_how_long_edits_take(
    editor: str,
    inverts: bool,
    ask: Callable[..., config.EditOptions],
    tmp_path: Path,
    clock: Callable[[], float],
) -> None:
    """To the evaluation of the network, what the edits themselves take."""
    options = ask("edges", editor=editor, steps=10, limit=2)
    told = dry_run.run("edit", options)
    assert not list(tmp_path.glob("made"))
    began = clock()
    service.run("edit", options, quiet=True)
    assert told["seconds"] == pytest.approx(clock() - began, abs=0.01)
    assert told["seconds_per_counterfactual"] > 0 and (told["seconds_per_inversion"] > 0) == inverts
    each = told["seconds_per_inversion"] + told["seconds_per_counterfactual"]
    assert told["seconds"] == pytest.approx(2 * each, abs=0.01)


def test_a_dry_run_is_near_where_iterations_follow_the_image(
    ask: Callable[..., config.EditOptions], clock: Callable[[], float]
) -> None:
    options = ask("edges", editor="ddim", steps=10, limit=2)
    told = dry_run.run("edit", options)
    began = clock()
    service.run("edit", options, quiet=True)
    assert told["seconds"] == pytest.approx(clock() - began, rel=0.25)


def test_the_bench_edits_beside_hints(
    runs: dict[str, FitResult], cohort: Cohort, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"steps": 2, "n": 1, "bootstrap": 10, "precision": "fp32"}
    options = config.BenchEditorsOptions(
        adapter=str(runs["mask=roi"].adapter),
        cohort=cohort.folder,
        split="train",
        editors=("ddim", "controlnet"),
        out=tmp_path / "bench",
        **how,
    )
    service.run("bench editors", options, quiet=True)
    assert len(list((tmp_path / "bench" / "results" / "controlnet").glob("*.json"))) == 1
    phantom = options.model_copy(update={"cohort": None, "phantom": "brain"})
    with pytest.raises(OptionError, match="which an image file alone does not have"):
        EditorBenchmark.of(service.load_model(phantom, phantom.also), phantom)

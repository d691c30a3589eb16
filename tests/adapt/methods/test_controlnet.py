"""ControlNets: what they add, what they are shown in training and in drawing, and how they stand in
a stack."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import KilledError, killer, short_fit
from PIL import Image
from tiny import random_control, tiny_base

from latentdrift import config, record, service
from latentdrift.adapt.adapters.adapter_stack import add
from latentdrift.adapt.interop.exports import export
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods import controlnet, lora
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches import hint_batches
from latentdrift.adapt.training.batches.row_cache import CacheRoot
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.setup.training_setup import Job, job
from latentdrift.adapt.training.setup.training_start import begin
from latentdrift.adapt.training.train import FitResult
from latentdrift.cli import dry_run
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError, CohortError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.model import Model

HINTS = ("edges", "mask=roi", "earlier")
LEARNS = {
    "method": "controlnet",
    "learning_rate": 0.02,
    "steps": 3,
    "drift": "none",
    "preview_every": 0,
}
DRAWS: dict[str, Any] = {"n": 5, "steps": 2, "precision": "fp32"}


def load(folder: Path, precision: str = "fp32") -> Base:
    return Base.load(folder, device="cpu", precision=precision)


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The phantoms with masks of two labels: a box at the upper left, further right in each image;
    image 5 has none."""
    folder = Path(shutil.copytree(tiny_cohort_folder, tmp_path_factory.mktemp("masked") / "cohort"))
    (folder / "masks").mkdir()
    table = Cohort.load(folder).rows().copy()
    table["roi"] = [f"masks/{row}.png" for row in table.index]
    table.loc[5, "roi"] = None
    for row in table.index:
        mask = np.zeros((32, 32), np.uint8)
        mask[4:14, 2 + row : 12 + row] = 3
        mask[4:8, 2 + row : 6 + row] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{row}.png")
    table.to_csv(folder / "metadata.csv", index=False)
    return Cohort.load(folder)


@pytest.fixture(scope="module")
def runs(
    cohort: Cohort, tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, FitResult]:
    """A ControlNet for each kind of hint, a LoRA and a word."""
    root = tmp_path_factory.mktemp("runs")
    made = {
        hint: short_fit(tiny_base_folder, cohort, root / hint.split("=")[0], hint=hint, **LEARNS)
        for hint in HINTS
    }
    others = ("lora", "textual-inversion")
    return made | {
        name: short_fit(
            tiny_base_folder,
            cohort,
            root / name,
            **{**LEARNS, "method": name, "learning_rate": 0.1},
        )
        for name in others
    }


@pytest.fixture
def draw(runs: dict[str, FitResult], cohort: Cohort, tmp_path: Path) -> Callable[..., Cohort]:
    """`generate` into tmp_path / `to`, with the ControlNet of a hint or another adapter."""

    def call(adapter: str, to: str = "made", **more: Any) -> Cohort:
        given = {"like": cohort.folder, **DRAWS, **more}
        place = str(runs[adapter].adapter) if adapter in runs else adapter
        service.run(
            "generate",
            config.GenerateOptions(adapter=place, out=tmp_path / to, **given),
            quiet=True,
        )
        return Cohort.load(tmp_path / to)

    return call


def pixels(made: Cohort) -> np.ndarray:
    return np.stack([made.stored(row) for row in made.rows().to_dict("records")]).astype(int)


def inputs(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, times and hints of two images."""
    source = torch.Generator().manual_seed(3)
    xt = torch.randn((2, 4, 8, 8), generator=source)
    hints = torch.rand((count, 2, 3, 32, 32), generator=source)
    return xt, torch.tensor([10, 700]), hints


@torch.no_grad()
def test_two_controlnets_add_the_weighted_sum_of_what_each_says(tiny_base_folder: Path) -> None:
    plain = load(tiny_base_folder)
    (one, two), weights = [random_control(plain, seed) for seed in (1, 2)], (0.6, 1.7)
    xt, t, hints = inputs(2)
    text = plain.embed(["a brain MRI", "a scan"])
    both = load(tiny_base_folder)
    both = replace(both, controls=((one, weights[0]), (two, weights[1])))
    said = [
        net(xt, t, text.embeddings, hint, return_dict=False)
        for net, hint in zip((one, two), hints, strict=True)
    ]
    down = [weights[0] * a + weights[1] * b for a, b in zip(said[0][0], said[1][0], strict=True)]
    mid = weights[0] * said[0][1] + weights[1] * said[1][1]
    expected = plain.network(
        xt,
        t,
        text.embeddings,
        down_block_additional_residuals=down,
        mid_block_additional_residual=mid,
    ).sample
    found = both.denoiser()(xt, t, replace(text, hints=tuple(hints)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(
        found, both.denoiser()(xt, t, replace(text, hints=tuple(hints.flip(0)))), atol=1e-3
    )
    assert not torch.allclose(found, plain.denoiser()(xt, t, text), atol=1e-3)


@torch.no_grad()
def test_drift_reaches_the_latent_of_both_networks_and_never_the_hint(
    tiny_base_folder: Path,
) -> None:
    plain = load(tiny_base_folder)
    delta = (0.5, -0.25, 0.125, 0.0)
    net = random_control(plain, 1)
    base = replace(plain, controls=((net, 1.0),))
    seen: dict[str, Any] = {}
    for name, part in (("unet", base.network), ("control", net)):
        part.register_forward_pre_hook(lambda _m, given, name=name: seen.update({name: given}))
    xt, t, hints = inputs(1)
    text = base.embed(["a brain MRI", "a scan"])
    Drift.of(delta).wrap_training(base.denoiser(), base.schedule)(
        xt, t, replace(text, hints=(hints[0],))
    )
    s = (1 - base.schedule.alpha_bar[t]).sqrt().reshape(-1, 1, 1, 1)
    drifted = (xt + s * torch.tensor(delta).reshape(1, 4, 1, 1)).float()
    torch.testing.assert_close(seen["control"][0], drifted, rtol=0, atol=1e-6)
    assert torch.equal(seen["control"][0], seen["unet"][0])
    assert torch.equal(seen["control"][3], hints[0])


def test_frozen_weights_stay_small_and_trained_ones_fine(tiny_base_folder: Path) -> None:
    base, parameters = METHODS["controlnet"].prepare(
        load(tiny_base_folder, "bf16"), FitOptions(cohort=Path("c"), out=Path("o")), {}
    )
    assert base.dtype == base.network.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in parameters.values()} == {torch.float32}
    xt, t, hints = inputs(1)
    text = base.embed(["a brain MRI", "a scan"])
    base.denoiser()(xt, t, replace(text, hints=(hints[0],))).square().sum().backward()
    assert (
        sum(weight.grad is not None and bool(weight.grad.any()) for weight in parameters.values())
        > 0
    )
    assert not any(weight.requires_grad for weight in base.network.parameters())


@pytest.mark.parametrize("factor", [4, 8])
def test_a_hint_is_brought_to_the_size_of_the_latent(factor: int, tmp_path: Path) -> None:
    base = load(tiny_base(tmp_path / "base", factor=factor))
    net = controlnet.prepare(base, FitOptions(cohort=Path("c"), out=Path("o")), {})[0].controls[0][
        0
    ]
    said = net.controlnet_cond_embedding(torch.zeros(1, 3, 64, 64))
    assert said.shape[2:] == (64 // factor, 64 // factor)


def test_what_was_trained_on_stands_in_the_adapter(runs: dict[str, FitResult]) -> None:
    assert runs["edges"].info.to_dict()["hint"] == {"kind": "edges", "column": None, "labels": []}
    assert runs["mask=roi"].info.to_dict()["hint"] == {
        "kind": "mask",
        "column": "roi",
        "labels": [1, 3],
    }
    assert runs["lora"].info.to_dict()["hint"] is None
    assert runs["earlier"].info.to_dict()["options"] == {"hint": "earlier"}
    page = (runs["edges"].adapter / "README.md").read_text()
    assert 'ControlNetModel.from_pretrained("ADAPTER/controlnet")' in page
    assert "--hint-image HINT" in page


def test_images_without_a_hint_are_left_out_and_counted(
    cohort: Cohort, tiny_base_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for hint, missing, shown in (
        ("mask=roi", 1, {row: row for row in (0, 1, 2, 3, 4, 6, 7)}),
        ("earlier", 4, {1: 0, 3: 2, 5: 4, 7: 6}),
    ):
        caplog.clear()
        todo = hinted_job(load(tiny_base_folder), cohort, hint)
        assert {example.row: example.shown for example in todo.train} == shown
        assert f"{missing} of 8 train images have no hint '{hint}': left out" in caplog.text
    shutil.copytree(cohort.folder, tmp_path / "alone")
    cohort.rows().assign(patient=[f"P{row}" for row in cohort.rows().index]).to_csv(
        tmp_path / "alone/metadata.csv", index=False
    )
    with pytest.raises(
        CohortError,
        match=r"none of 8 images of cohort .*alone has a hint 'earlier' \(the picture of the same",
    ):
        short_fit(
            tiny_base_folder,
            Cohort.load(tmp_path / "alone"),
            tmp_path / "run",
            hint="earlier",
            **LEARNS,
        )
    assert not (tmp_path / "run").exists()


def hinted_job(base: Base, cohort: Cohort, hint: str, **more: Any) -> Job:
    return job(
        base,
        cohort,
        FitOptions(cohort=cohort.folder, out=Path("o"), method="controlnet", hint=hint, **more),
    )


def test_hints_in_training_are_those_of_the_table(
    cohort: Cohort, tiny_base_folder: Path, tmp_path: Path
) -> None:
    todo = hinted_job(load(tiny_base_folder), cohort, "earlier")
    shown = hint_batches.beside(cohort, todo.hint, todo.sources, 32, CacheRoot(tmp_path))(
        todo.train[:2]
    )
    assert shown.shape == (2, 3, 32, 32)
    assert torch.allclose(
        shown, torch.from_numpy((cohort.batch(cohort.rows().iloc[[0, 2]], 32) + 1) / 2), atol=1e-6
    )
    (stored,) = tmp_path.glob("hints-*/hint.npy")
    assert np.load(stored).shape == (len(todo.sources), 1, 32, 32)  # grey


def test_other_masks_are_another_run(
    cohort: Cohort, tiny_base_folder: Path, tmp_path: Path
) -> None:
    data = Cohort.load(shutil.copytree(cohort.folder, tmp_path / "cohort"))
    more = {**LEARNS, "hint": "mask=roi", "checkpoint_every": 1}
    with pytest.raises(KilledError):
        short_fit(tiny_base_folder, data, tmp_path / "run", on_step=killer(2), **more)
    Image.fromarray(np.full((32, 32), 3, np.uint8)).save(data.folder / "masks" / "0.png")
    with pytest.raises(OptionError, match="holds a run with other settings: hints"):
        short_fit(tiny_base_folder, data, tmp_path / "run", **more)


def test_less_memory_is_the_same_training(
    cohort: Cohort, tiny_base_folder: Path, tmp_path: Path, runs: dict[str, FitResult]
) -> None:
    again = short_fit(
        tiny_base_folder,
        cohort,
        tmp_path / "run",
        gradient_checkpointing=True,
        hint="edges",
        **LEARNS,
    )
    assert again.info.to_dict()["losses"]["train"] == pytest.approx(
        runs["edges"].info.to_dict()["losses"]["train"], rel=1e-5
    )
    todo = hinted_job(load(tiny_base_folder), cohort, "edges", gradient_checkpointing=True)
    base, parameters = begin(load(tiny_base_folder), todo)
    Trainer(base, parameters, base.embed, Drift(), todo, torch.float32)
    assert base.controls[0][0].is_gradient_checkpointing


def test_it_copies_what_it_is_trained_on(
    cohort: Cohort, tiny_base_folder: Path, tmp_path: Path, runs: dict[str, FitResult]
) -> None:
    start = (str(runs["lora"].adapter),)
    on_lora = load_adapter(runs["lora"].adapter, device="cpu", precision="fp32").base
    net = controlnet.prepare(on_lora, FitOptions(cohort=Path("c"), out=Path("o")), {})[0].controls[
        0
    ][0]
    folded = load_adapter(runs["lora"].adapter, device="cpu", precision="fp32").base
    lora.merge(folded)
    expected = dict(folded.network.down_blocks.named_parameters())
    found = dict(net.down_blocks.named_parameters())
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert not all(
        torch.equal(found[name], value)
        for name, value in load(tiny_base_folder).network.down_blocks.named_parameters()
    )
    made = short_fit(tiny_base_folder, cohort, tmp_path / "run", start=start, **LEARNS)
    parts = load_adapter(made.adapter, device="cpu", precision="fp32").adapters
    assert [part.method for part in parts] == ["lora", "controlnet"]
    with pytest.raises(
        OptionError,
        match="`start` names a ControlNet, and a fit shows the network no hints but its own",
    ):
        short_fit(
            tiny_base_folder,
            cohort,
            tmp_path / "other",
            start=(str(made.adapter),),
            **{**LEARNS, "method": "lora"},
        )


@torch.no_grad()
def test_controlnets_a_lora_and_a_word_stand_in_one_base(
    runs: dict[str, FitResult], tiny_base_folder: Path
) -> None:
    plain = load(tiny_base_folder)
    xt, t, hints = inputs(2)
    texts = ["a brain MRI", "a scan"]
    before = plain.denoiser()(xt, t, plain.embed(texts))
    bare = Model.of_base(load(tiny_base_folder))
    names = ("edges", "lora", "textual-inversion", "earlier")
    stack = add(bare, [f"{runs[name].adapter}={0.5 if name == 'edges' else 1}" for name in names])
    assert [weight for _, weight in stack.base.controls] == [0.5, 1.0]
    assert [part.method for part in stack.adapters] == [
        "controlnet",
        "lora",
        "textual-inversion",
        "controlnet",
    ]
    assert [hint.kind for hint in hint_batches.hints(stack)] == ["edges", "earlier"]
    assert stack.base.embed(["a <cohort>"]).embeddings.isfinite().all()
    assert not torch.allclose(
        stack.base.denoiser()(xt, t, replace(stack.base.embed(texts), hints=tuple(hints))),
        before,
        atol=1e-3,
    )
    restored = stack.without().base
    assert torch.equal(restored.denoiser()(xt, t, restored.embed(texts)), before)


@torch.no_grad()
def test_a_weight_of_nothing_is_the_base(
    runs: dict[str, FitResult], tiny_base_folder: Path
) -> None:
    plain = load(tiny_base_folder)
    xt, t, hints = inputs(1)
    none = add(
        Model.of_base(load(tiny_base_folder)),
        [f"{runs['edges'].adapter}=0"],
    ).base
    text = plain.embed(["a brain MRI", "a scan"])
    assert torch.equal(
        none.denoiser()(xt, t, replace(text, hints=(hints[0],))), plain.denoiser()(xt, t, text)
    )


def test_images_that_follow_a_cohort_are_shown_their_rows_hints(
    draw: Callable[..., Cohort],
) -> None:
    first = pixels(draw("edges"))
    assert np.array_equal(first, pixels(draw("edges", "again", batch_size=8)))
    assert np.array_equal(first[:2], pixels(draw("edges", "fewer", n=2)))
    assert (first != pixels(draw("earlier", "other", split="train"))[:5]).any()


def test_masks_stay_beside_the_pictures_that_were_drawn_from_them(
    draw: Callable[..., Cohort], cohort: Cohort, caplog: pytest.LogCaptureFixture
) -> None:
    made = draw("mask=roi", n=7, split="train")
    assert (
        "1 of 8 images of" in caplog.text
        and "have no hint 'mask=roi': they are not followed" in caplog.text
    )
    followed = [0, 1, 2, 3, 4, 6, 7]
    assert list(made.rows()["age"]) == list(cohort.rows()["age"].iloc[followed])
    for row, source in zip(made.rows()["mask"], followed, strict=True):
        mask = np.asarray(Image.open(made.folder / row))
        assert np.array_equal(
            mask, np.asarray(Image.open(cohort.folder / "masks" / f"{source}.png"))
        )
    assert "mask" not in made.attributes
    assert {
        name for name in record.read(made.folder)["results"]["outputs"] if name.startswith("masks/")
    } == set(made.rows()["mask"])
    pairs = hinted_job(
        load(Path(made.info.model_dump()["base"]["name"])), made, "mask=mask"
    )  # what it was made for: training on pairs
    assert len(pairs.train) == 7


def test_other_hints_are_other_pictures(
    runs: dict[str, FitResult], cohort: Cohort, tmp_path: Path
) -> None:
    adapted = load_adapter(runs["mask=roi"].adapter, device="cpu", precision="fp32")
    data = Cohort.load(shutil.copytree(cohort.folder, tmp_path / "cohort"))
    picture = tmp_path / "hint.png"

    def shown(**more: Any) -> hint_batches.Pictures:
        asked = config.GenerateOptions(adapter="a", out=tmp_path / "o", **more)
        found = hint_batches.pictures(asked, adapted, [2, 0, 2], 32)
        assert found is not None
        return found

    followed = shown(like=data.folder)
    assert list(followed) == [0, 1, 2]
    assert torch.equal(followed[0][0], followed[2][0]) and not torch.equal(
        followed[0][0], followed[1][0]
    )
    keys = [followed.key]
    for level in (1, 3):  # a run that was interrupted goes on only under the same hints
        Image.new("L", (32, 32), level).save(data.folder / "masks" / "0.png")
        Image.new("L", (32, 32), level).save(picture)
        keys += [shown(like=data.folder).key, shown(prompt=("a scan",), hint_image=(picture,)).key]
    assert len(set(keys)) == 5
    assert shown(like=data.folder).key == keys[3]


def test_a_hint_that_is_given_is_shown_to_all(draw: Callable[..., Cohort], tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    colour = tmp_path / "colour.png"
    Image.fromarray(np.tile(np.uint8([0, 255]), (30, 12))).save(grey)
    Image.new("RGB", (32, 32), (255, 0, 0)).save(colour)
    how = {"like": None, "prompt": ("a brain MRI",)}
    one, two = (
        pixels(draw("edges", file.stem, hint_image=(file,), **how)) for file in (grey, colour)
    )
    assert (one != two).any()


def test_what_is_shown_has_to_be_said(draw: Callable[..., Cohort], tmp_path: Path) -> None:
    picture = tmp_path / "hint.png"
    Image.new("L", (32, 32)).save(picture)
    how: dict[str, Any] = {"like": None, "prompt": ("a brain MRI",)}
    for adapter, more, message in (
        (
            "edges",
            {},
            r"needs a hint beside noise and text: give `like=COHORT`, .* or `hint_image=FILE`, "
            r"one for each",
        ),
        (
            "edges",
            {"hint_image": (picture, picture)},
            "`hint_image` gives 2 pictures, and this network has 1 ControlNets",
        ),
        (
            "lora",
            {"hint_image": (picture,)},
            "`hint_image` gives 1 pictures, and this network has 0 ControlNets",
        ),
    ):
        with pytest.raises(OptionError, match=message):
            draw(adapter, **how, **more)
    with pytest.raises(OptionError, match="unknown column for `hint=mask` 'roi'"):
        draw("mask=roi", like=draw("lora", "unmasked").folder)


def test_adapters_on_top_are_used_and_recorded(
    draw: Callable[..., Cohort], runs: dict[str, FitResult], tiny_base_folder: Path
) -> None:
    also = (f"{runs['edges'].adapter}=0.6", str(runs["earlier"].adapter))
    stack = draw("lora", "stack", also=also, split="train", n=3)
    alone = draw(str(tiny_base_folder), "alone", also=also, split="train", n=3)
    assert (pixels(stack) != pixels(alone)).any()
    parts = [("lora", 1.0, "lora"), ("controlnet", 0.6, "edges"), ("controlnet", 1.0, "earlier")]
    told = [
        {
            "method": method,
            "weight": weight,
            "sha256": record.sha256(METHODS[method].file_in(runs[name].adapter)),
        }
        for method, weight, name in parts
    ]
    assert [adapter.model_dump() for adapter in stack.info.adapters] == told
    assert [adapter.model_dump() for adapter in alone.info.adapters] == told[1:]
    assert record.read(stack.folder)["inputs"]["adapters"] == told
    weaker = draw(
        "lora", "weaker", also=(also[0].replace("0.6", "0.1"), also[1]), split="train", n=3
    )
    assert (pixels(stack) != pixels(weaker)).any()


def test_a_record_with_hints_is_made_again(
    draw: Callable[..., Cohort], runs: dict[str, FitResult], tmp_path: Path
) -> None:
    made = draw("mask=roi", also=(str(runs["textual-inversion"].adapter),), n=2)
    again = config.ReplayOptions(record=made.folder / "record.json", out=tmp_path / "again")
    told = service.run("replay", again, quiet=True)
    assert told["same"] and told["files"] == 5  # two pictures, two masks, the table


def test_a_dry_run_draws_with_hints(
    runs: dict[str, FitResult], cohort: Cohort, tmp_path: Path
) -> None:
    asked = config.GenerateOptions(
        adapter=str(runs["edges"].adapter), out=tmp_path / "o", like=cohort.folder, **DRAWS
    )
    assert dry_run.run("generate", asked)["seconds"] > 0


def test_previews_are_drawn_with_hints(
    cohort: Cohort, tiny_base_folder: Path, tmp_path: Path
) -> None:
    asked = FitOptions(
        cohort=cohort.folder,
        out=tmp_path / "run",
        base=str(tiny_base_folder),
        batch_size=2,
        precision="fp32",
        **{**LEARNS, "steps": 1, "preview_every": 1},
    )
    service.run("fit", asked, quiet=True)
    assert list((tmp_path / "run" / "previews").glob("*.png"))


def test_studies_that_draw_from_text_alone_say_so_before_work(
    cohort: Cohort, tiny_base_folder: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"cohort": cohort.folder, "out": tmp_path / "out", "precision": "fp32"}
    message = (
        "studies of drift sample from text alone, and a network of method 'controlnet' needs "
        "further inputs; take full, lora"
    )
    with pytest.raises(OptionError, match=message):
        service.run(
            "bench drift",
            config.BenchDriftOptions(base=str(tiny_base_folder), methods=("controlnet",), **asked),
            quiet=True,
        )
    search = config.DriftSearchOptions(
        adapter=str(tiny_base_folder), stage="train", method="controlnet", **asked
    )
    with pytest.raises(OptionError, match=message):
        service.run("drift search", search, quiet=True)


def test_stock_diffusers_loads_what_is_exported(
    runs: dict[str, FitResult], tiny_base_folder: Path, tmp_path: Path
) -> None:
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    assert controlnet.FILE in export(runs["edges"].adapter, "diffusers", tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert (
        "StableDiffusionControlNetPipeline.from_pretrained(BASE, "
        'controlnet=ControlNetModel.from_pretrained("out/' in page
    )
    net = ControlNetModel.from_pretrained(tmp_path / "out" / "controlnet")
    pipe = StableDiffusionControlNetPipeline.from_pretrained(
        tiny_base_folder, controlnet=net, safety_checker=None, feature_extractor=None
    )
    pipe.set_progress_bar_config(disable=True)
    hint = Image.fromarray(np.tile(np.uint8([0, 255]), (32, 16))).convert("RGB")
    assert pipe(
        "a brain MRI", image=hint, height=32, width=32, num_inference_steps=2, output_type="np"
    ).images.shape == (
        1,
        32,
        32,
        3,
    )
    with pytest.raises(
        AdapterError,
        match="an adapter of method 'controlnet' has no form in kohya; take `to=diffusers`",
    ):
        export(runs["edges"].adapter, "kohya", tmp_path / "kohya")
    assert json.loads((tmp_path / "out" / "drift.json").read_text())["mode"] == "off"

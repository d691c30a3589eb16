"""InstructPix2Pix from pairs of visits to an edited picture: what is learned, dropped and left
alone, and the two scales."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from edits import edit
from fits import asked, short_fit
from PIL import Image
from variants import some_at_once
from visit_intervals import growing

from latentdrift import config, service
from latentdrift.adapt.adapters import model_card
from latentdrift.adapt.adapters.adapter_stack import add
from latentdrift.adapt.interop.exports import export
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods.examples import Example, of_pairs
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.batches import Batches, LossWeights
from latentdrift.adapt.training.batches.change_weights import change_weights
from latentdrift.adapt.training.batches.row_cache import CacheRoot
from latentdrift.adapt.training.setup.training_setup import job
from latentdrift.attributes.specification import Attribute
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError, CohortError, OptionError
from latentdrift.longitudinal.tissue_volumes import tissue_volumes
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.prompts import VolumeChange
from latentdrift.seeds import generator
from latentdrift.study.benchmarks.benchmark import Bench

METHOD = "instruct-pix2pix"
INSTRUCTION = "Age this 70 years old female brain MRI into a 77 brain MRI with dementia"
X = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
HOW = {"strength": 0.6, "steps": 4, "guidance": 3.0, "image_guidance": 1.5, "seed": 0}


def load(folder: Path) -> Base:
    return Base.load(folder, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)


@pytest.fixture(scope="module")
def run(tiny_base_folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a few steps, with previews, made by the verb."""
    out = tmp_path_factory.mktemp("ip2p") / "run"
    wanted = config.FitOptions(
        cohort=cohort.folder,
        base=str(tiny_base_folder),
        out=out,
        method=METHOD,
        steps=4,
        batch_size=2,
        preview_every=2,
        learning_rate=1e-2,
        precision="fp32",
        tracker="none",
        instruction="word",
    )
    service.run("fit", wanted, quiet=True)
    return out


@pytest.fixture(scope="module")
def plain(tiny_base_folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter of an ordinary fine-tuning."""
    return short_fit(
        tiny_base_folder, cohort, tmp_path_factory.mktemp("full") / "full", method="full", steps=2
    ).adapter


def fit_options(cohort: Cohort, **more: Any) -> config.FitOptions:
    return METHODS[METHOD].completed(
        config.FitOptions(cohort=cohort.folder, out=Path("o"), method=METHOD, **more)
    )


def of_train(
    cohort: Cohort, options: config.FitOptions
) -> tuple[Cohort, str, config.FitOptions, str, int]:
    """Arguments of `of_pairs` for the training split at 32 px."""
    return cohort, "train", options, "brain MRI", 32


@contextmanager
def changed(cohort: Cohort, folder: Path, **columns: Any) -> Iterator[Cohort]:
    """A copy of a cohort with other columns."""
    shutil.copytree(cohort.folder, folder)
    cohort.rows().assign(**columns).to_csv(folder / "metadata.csv", index=False)
    yield Cohort.load(folder)


# --- what is learned ------------------------------------------------------------------------------


def test_years_are_learned_in_both_directions_and_none_for_each_visit(
    cohort: Cohort, tmp_path: Path
) -> None:
    """Days say the years exactly; ages, which tables round, say them where there are no days."""
    days = [0 if n % 2 == 0 else 913 for n in range(len(cohort.rows()))]
    with changed(cohort, tmp_path / "days", days=days) as dated:
        found = of_pairs(dated, "train", fit_options(dated, instruction="years"), "brain MRI", 32)
    of_first = {
        (one.shown, one.row): one.caption for one in found if {one.shown, one.row} <= {0, 1}
    }
    state = "brain MRI with no dementia"
    assert of_first == {
        (0, 1): f"Age this 60 years old female {state} by 2.5 years into a {state}",
        (1, 0): f"Age this 61 years old female {state} by -2.5 years into a {state}",
        (0, 0): f"Age this 60 years old female {state} by 0 years into a {state}",
        (1, 1): f"Age this 61 years old female {state} by 0 years into a {state}",
    }
    assert len(found) == 4 * 4 and not any({0, 2} <= {one.shown, one.row} for one in found)
    with changed(cohort, tmp_path / "ages", days=None) as aged:
        undated = of_pairs(aged, "train", fit_options(aged, instruction="years"), "brain MRI", 32)
    assert (
        "by 1 years into" in next(one for one in undated if (one.shown, one.row) == (0, 1)).caption
    )


def test_volumes_are_those_of_the_pairs_images(cohort: Cohort) -> None:
    """Of each direction, and none of a visit and itself."""
    options = fit_options(cohort, instruction="volumes")
    found = {(one.shown, one.row): one.caption for one in of_pairs(*of_train(cohort, options))}
    volumes = [
        tissue_volumes((cohort.batch(cohort.rows().loc[[row]], 32)[0].mean(0) + 1) / 2)
        for row in (0, 1)
    ]
    for pair, (before, after) in {(0, 1): volumes, (1, 0): volumes[::-1]}.items():
        change = VolumeChange(
            100 * (after.ventricles - before.ventricles), 100 * (after.fluid - before.fluid)
        )
        assert f"1 years ({change.words}) into" in found[pair] and change.fluid
    assert "by 0 years (ventricles +0 %, fluid +0 % of the head) into" in found[0, 0]


@pytest.mark.parametrize(("given", "share"), [({}, 0.5), ({"change_weight": 0.9}, 0.9)])
def test_the_loss_counts_more_where_visits_differ(
    given: dict[str, float], share: float, tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    """Half of the loss by default; none of it without the option."""
    base, root = load(tiny_base_folder), CacheRoot(tmp_path)
    moments = latent_cache.latents(base, cohort, 32, root)

    def weights(**options: float) -> LossWeights | None:
        todo = job(base, cohort, fit_options(cohort, **options))
        return todo.weights(base, cohort, moments, root)

    examples = of_pairs(*of_train(cohort, fit_options(cohort)))
    found = weights(**given)
    assert found is not None
    expected = change_weights(moments, examples, share)
    assert torch.equal(found(examples), expected) and float(expected.max()) > 1.5
    assert weights(change_weight=0.0) is None


def test_volumes_are_of_brains_alone(cohort: Cohort) -> None:
    chests = replace(cohort, info=cohort.info.model_copy(update={"describe": "chest X-ray"}))
    options = fit_options(cohort, instruction="volumes")
    with pytest.raises(OptionError, match="this cohort holds chest X-ray; take `instruction=years"):
        of_pairs(*of_train(chests, options))


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (
            None,
            (
                "Age this 60 years old female brain MRI with no dementia into a 61 brain MRI "
                "with no dementia"
            ),
        ),
        (
            "word",
            (
                "Age this sixty years old female brain MRI with no dementia into a sixty-one "
                "brain MRI with no dementia"
            ),
        ),
        (
            "binned",
            (
                "Age this 60 years old female brain MRI with no dementia slightly into a "
                "brain MRI with no dementia"
            ),
        ),
    ],
)
def test_a_pair_is_the_later_picture_an_instruction_and_the_earlier_one(
    encoding: str | None, expected: str, cohort: Cohort
) -> None:
    found = of_pairs(
        cohort, "train", fit_options(cohort, instruction=encoding), cohort.describe, 32
    )
    assert [(example.shown, example.row) for example in found] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    assert found[0].caption == expected
    assert [
        (one.shown, one.row)
        for one in of_pairs(cohort, "validation", fit_options(cohort), "brain MRI", 32)
    ] == [(8, 9)]


def test_a_caption_of_the_later_visit_is_the_instruction(cohort: Cohort, tmp_path: Path) -> None:
    notes = ["", "one year on", "ignored", "", *[f"note {row}" for row in range(4, 12)]]
    with changed(cohort, tmp_path / "noted", note=notes) as noted:
        noted.info.kept["note"] = Attribute(type="category", vocabulary=[])
        said = [
            one.caption
            for one in of_pairs(noted, "train", fit_options(noted, caption="note"), "brain MRI", 32)
        ]
    assert [said[0], *said[2:]] == ["one year on", "note 5", "note 7"]
    assert said[1].startswith("Age this 61 years old male brain MRI with dementia into a 62")


def test_pairs_that_cannot_be_worded_are_left_out_and_counted(
    cohort: Cohort, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ages = cohort.rows()["age"].copy()
    ages[3] = 40  # younger than before
    with changed(cohort, tmp_path / "odd", age=ages) as odd:
        assert len(of_pairs(odd, "train", fit_options(odd), "brain MRI", 32)) == 3
    assert (
        "1 of 4 train pairs left out, the first: an instruction ages, and 40 is younger than 61"
        in caplog.text
    )


def test_a_cohort_without_pairs_says_what_is_needed(
    cohort: Cohort, tmp_path: Path, tiny_base_folder: Path
) -> None:
    patients = [f"P{row}" for row in range(12)]
    with (
        changed(cohort, tmp_path / "single", patient=patients) as single,
        pytest.raises(
            CohortError,
            match=(
                r"has none in its train split: two pictures of one `patient` and `view`, in "
                r"an order"
            ),
        ),
    ):
        short_fit(tiny_base_folder, single, tmp_path / "run", method=METHOD)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"patient_info": False}, "`patient_info=False` is about sentences for single pictures"),
        (
            {"prompt_style": "diverse"},
            "`prompt_style` is about sentences .*; `instruction` says how they are worded",
        ),
        ({"age_encoding": "word"}, "`age_encoding` is about sentences"),
        ({"drift_by": "diagnosis"}, "`drift_by` is about"),
        ({"prior_images": 5}, "shows it what the base was never shown"),
        (
            {"train_text_encoder": True},
            "`train_text_encoder` does not go with `method=instruct-pix2pix`",
        ),
        (
            {"method": "full", "instruction": "word"},
            "`method=full` learns single pictures; take instruct-pix2pix",
        ),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    given: dict[str, Any], message: str, cohort: Cohort, tiny_base_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        short_fit(tiny_base_folder, cohort, tmp_path / "run", **{"method": METHOD, **given})


@pytest.mark.parametrize("dropout", [0.1, 0.3])
def test_text_source_and_both_are_left_out_each_as_often(dropout: float) -> None:
    """Brooks et al. 2023, section 3.2.1: 5 % each; diffusers' script: text below 2 p, source from p
    to 3 p, with p = 5 %."""
    moments = latent_cache.Moments(
        np.zeros((8, 1, 2, 2), np.float32), np.zeros((8, 1, 2, 2), np.float32)
    )
    examples = [Example(row, f"picture {row}", row) for row in range(8)]

    def beside(drawn: Any) -> torch.Tensor:
        return torch.stack([torch.full((1, 2, 2), 1.0 + example.row) for example in drawn])

    batches = Batches(moments, examples, 8, dropout, 1000, seed=1, beside=beside, blinds=True)
    steps = 1000
    seen: Counter[tuple[bool, bool]] = Counter()
    for step in range(steps):
        batch = batches(step)
        assert batch.beside is not None
        for prompt, caption, shown in zip(batch.prompts, batch.captions, batch.beside, strict=True):
            told = prompt != ""
            blank = not shown.any()
            assert prompt in ("", caption) and (
                blank or shown.unique().tolist() == [1.0 + int(caption.split()[1])]
            )
            seen[told, blank] += 1
    draws = 8 * steps
    for what, share in {
        (False, False): dropout / 2,
        (False, True): dropout / 2,
        (True, True): dropout / 2,
    }.items():
        assert seen[what] / draws == pytest.approx(
            share, abs=4 * (share * (1 - share) / draws) ** 0.5
        )


def test_what_is_shown_is_what_stock_diffusers_shows(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    base = load(tiny_base_folder)
    moments = latent_cache.latents(base, cohort, 32, CacheRoot(tmp_path))
    todo = job(base, cohort, asked(tiny_base_folder, cohort, tmp_path / "run", method=METHOD))
    beside = todo.beside(base, cohort, moments, CacheRoot(tmp_path))
    assert beside is not None
    shown = beside([Example(3, "", 2), Example(1, "", 0)])
    with torch.no_grad():
        mode = base.vae.encode(
            torch.from_numpy(cohort.batch(cohort.rows().iloc[[2, 0]], 32))
        ).latent_dist.mode()
    torch.testing.assert_close(shown, mode, rtol=0, atol=1e-5)


# --- the network ----------------------------------------------------------------------------------


def drawn(seed: int) -> torch.Tensor:
    return torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(seed))


def said_of(base: Base, source: torch.Tensor | None = None) -> torch.Tensor:
    """What a network says of fixed noise."""
    with torch.no_grad():
        text = base.embed([INSTRUCTION])
        return base.denoiser()(drawn(0), 500, replace(text, source=source))


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_at_first_no_source_changes_anything(scale: float, tiny_base_folder: Path) -> None:
    base = load(tiny_base_folder)
    before = said_of(base)
    base.family.widen(base)
    assert base.sees_source
    assert base.network.config.in_channels == base.network.conv_in.in_channels == 8
    assert torch.equal(said_of(base, scale * drawn(1)), before)


def test_training_makes_it_read_the_source(run: Path) -> None:
    base = load_adapter(run).base
    one, other = (said_of(base, drawn(seed)) for seed in (1, 2))
    assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("training", [True, False])
def test_drift_moves_the_noise_and_never_the_source(training: bool, tiny_base_folder: Path) -> None:
    delta = (0.1, -0.05, 0.2, 0.0)
    base = load(tiny_base_folder)
    seen = []

    def unet(x: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor]:
        seen.append(x)
        return (x[:, :4],)

    echo: Any = unet
    echo.config = SimpleNamespace(in_channels=8)
    xt, source = torch.randn((2, 2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    drift = Drift.of(delta)
    network = replace(base, network=echo).denoiser()
    wrapped = (drift.wrap_training if training else drift.wrap)(network, base.schedule)
    said = wrapped(xt, 700, replace(base.embed(["a", "b"]), source=source))
    shift = torch.tensor(delta).reshape(1, 4, 1, 1)
    s = base.schedule.s(700).float()
    assert torch.equal(seen[0][:, 4:], source)
    torch.testing.assert_close(seen[0][:, :4], xt + s * shift)
    torch.testing.assert_close(said, xt + s * shift - shift)


@pytest.mark.parametrize(
    "method", some_at_once(("full", "custom-diffusion", "dreambooth", "lora"), ("lora",))
)
def test_it_starts_from_another_adapter_and_comes_back(
    method: str, tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    few = {"prior_images": 0} if METHODS[method].defaults.get("prior_images") else {}
    first = short_fit(
        tiny_base_folder,
        cohort,
        tmp_path / "first",
        method=method,
        steps=2,
        learning_rate=1e-2,
        **few,
    )
    started = load_adapter(first.adapter, device="cpu", precision="fp32").base
    start = (str(tmp_path / "first"),)
    made = short_fit(
        tiny_base_folder,
        cohort,
        tmp_path / "run",
        method=METHOD,
        start=start,
        steps=1,
        learning_rate=1e-12,
    )
    again = load_adapter(made.adapter, device="cpu", precision="fp32")
    torch.testing.assert_close(said_of(again.base, drawn(1)), said_of(started), rtol=0, atol=1e-5)
    assert (said_of(started) - said_of(load(tiny_base_folder))).abs().max() > 1e-4
    assert [part["method"] for part in made.info.to_dict()["start"]] == [method]
    assert made.info.to_dict()["start"][0]["needed"] == (
        method == "custom-diffusion"
    )  # its words; the rest is in the whole network
    assert torch.equal(said_of(again.without().base), said_of(load(tiny_base_folder)))


def test_it_goes_on_from_its_own_kind_and_nothing_else_does(
    run: Path, plain: Path, tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    more = short_fit(
        tiny_base_folder, cohort, tmp_path / "more", method=METHOD, start=(str(run),), steps=1
    )
    assert load_adapter(more.adapter).base.network.config.in_channels == 8
    with pytest.raises(OptionError, match="takes a source image, and `method=lora` has none"):
        short_fit(tiny_base_folder, cohort, tmp_path / "lora", method="lora", start=(str(run),))
    with pytest.raises(
        AdapterError, match="replaces the whole network and would discard the adapters before it"
    ):
        add(load_adapter(plain), [str(run)])


def test_studies_that_draw_from_prompts_refuse_it(
    cohort: Cohort, tiny_base_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        OptionError,
        match="a network of method 'instruct-pix2pix' needs further inputs",
    ):
        Bench(
            config.BenchDriftOptions(
                cohort=cohort.folder, out=tmp_path, methods=(METHOD,), base=str(tiny_base_folder)
            )
        )
    searched = config.DriftSearchOptions(
        cohort=cohort.folder,
        out=tmp_path,
        base=str(tiny_base_folder),
        stage="train",
        method=METHOD,
        precision="fp32",
    )
    with pytest.raises(OptionError, match="take full, lora"):
        dry_run.run("drift search", searched)


# --- two scales -----------------------------------------------------------------------------------


def stock_picture(pipe: Any, guidance: float, image_guidance: float) -> torch.Tensor:
    """What a stock pipeline makes of X from the editor's noise."""
    from diffusers import DDIMScheduler

    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    pipe.set_progress_bar_config(disable=True)
    latents = torch.randn((1, 4, 8, 8), generator=generator(0, "edit", METHOD))
    how = {
        "num_inference_steps": 4,
        "guidance_scale": guidance,
        "image_guidance_scale": image_guidance,
    }
    drawn = pipe(INSTRUCTION, image=(X + 1) / 2, latents=latents, output_type="np", **how).images[0]
    return torch.from_numpy(drawn * 2 - 1).permute(2, 0, 1)[None]


@pytest.mark.parametrize(("guidance", "image_guidance"), [(3.0, 1.5), (7.5, 1.0)])
def test_the_stock_pipeline_makes_the_same_picture(
    guidance: float, image_guidance: float, run: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    from diffusers import StableDiffusionInstructPix2PixPipeline as Pipeline
    from diffusers import UNet2DConditionModel

    base = load_adapter(run, precision="fp32").base
    how = {**HOW, "guidance": guidance, "image_guidance": image_guidance}
    ours = edit(base, Drift(), X, "not read", INSTRUCTION, editor=METHOD, **how)
    files = export(run, "diffusers", tmp_path / "model")
    assert "model_index.json" in files
    assert (
        'StableDiffusionInstructPix2PixPipeline.from_pretrained("model")'
        in (tmp_path / "model" / "README.md").read_text()
    )
    whole = Pipeline.from_pretrained(tmp_path / "model", safety_checker=None)
    info = load_adapter(run, precision="fp32").info
    assert "StableDiffusionInstructPix2PixPipeline" in model_card.card(info)
    unet = UNet2DConditionModel.from_pretrained(run / "adapter" / "unet")
    parts = Pipeline.from_pretrained(
        tiny_base_folder, unet=unet, safety_checker=None
    )  # as the card says
    for pipe in (whole, parts):
        torch.testing.assert_close(
            stock_picture(pipe, guidance, image_guidance), ours.counterfactual, rtol=0, atol=1e-4
        )


def test_every_scale_and_the_seed_reach_the_picture_and_strength_is_refused(run: Path) -> None:
    adapted = load_adapter(run, precision="fp32")

    def picture(**how: Any) -> torch.Tensor:
        made = edit(
            adapted.base,
            adapted.drift,
            X,
            "",
            INSTRUCTION,
            editor=METHOD,
            statistics=adapted.statistics,
            **HOW | how,
        )
        assert torch.equal(made.reconstruction, adapted.base.decode(adapted.base.moments(X)[0]))
        return made.counterfactual

    first = picture()
    assert torch.equal(picture(), first)
    for change in (
        {"seed": 1},
        {"seed": 2},
        {"guidance": 1.0},
        {"image_guidance": 3.0},
        {"steps": 5},
    ):
        assert not torch.equal(picture(**change), first)
    assert not torch.equal(picture(seed=1), picture(seed=2))
    with pytest.raises(OptionError, match="`strength` has no part in editor 'instruct-pix2pix'"):
        picture(strength=0.2)


# --- the verbs


def test_fit_keeps_the_encoding_and_draws_previews(run: Path) -> None:
    info = json.loads((run / "adapter" / "adapter.json").read_text())
    assert info["method"] == METHOD and info["prompt"]["instruction"] == "word"
    previews = sorted((run / "previews").glob("*.png"))
    assert [path.name for path in previews] == ["step-000002.png", "step-000004.png"]
    with Image.open(previews[1]) as picture:
        assert np.asarray(picture).std() > 1


def edited(run: Path, cohort: Cohort, out: Path, **options: Any) -> dict[str, Any]:
    asked = {"set": ("age=85",), "steps": 4, "split": "test", "limit": 1, **options}
    return service.run(
        "edit",
        config.EditOptions(adapter=str(run), source=cohort.folder, out=out, **asked),
        quiet=True,
    )


def test_edit_takes_its_own_editor_and_its_own_words(
    run: Path, cohort: Cohort, tmp_path: Path
) -> None:
    assert edited(run, cohort, tmp_path / "edits")["images"] == 1
    (folder,) = (path.parent for path in (tmp_path / "edits").glob("*/record.json"))
    said = json.loads((folder / "record.json").read_text())
    info = json.loads((run / "adapter" / "adapter.json").read_text())
    assert said["instruction"] == (
        "Age this sixty-five years old male brain MRI with dementia into an eighty-five brain MRI "
        "with dementia"
    )
    assert said["editor"] == METHOD and said["image_guidance"] == 1.5 and "strength" not in said
    assert {"original.png", "reconstruction.png", "counterfactual.png", "difference.png"} < {
        p.name for p in folder.iterdir()
    }
    schedule = load_adapter(
        run
    ).base.schedule  # 4 steps start at time 751, and the closed form is of 981
    ratio = (schedule.a(751) / schedule.a(info["drift"]["t0"])).item()
    assert said["drift"]["infer"] == pytest.approx(
        [ratio * value for value in info["drift"]["infer"]]
    )
    again = service.run(
        "replay",
        config.ReplayOptions(record=tmp_path / "edits", out=tmp_path / "again"),
        quiet=True,
    )
    assert again["same"] and again["files"] == 6
    planned = dry_run.run(
        "edit",
        config.EditOptions(
            adapter=str(run), source=cohort.folder, out=tmp_path / "x", set=("age=85",)
        ),
    )
    assert planned["editor"] == METHOD and planned["instruction"].startswith(
        "Age this sixty years old"
    )


def test_an_instruction_in_free_words_is_what_the_network_is_told(
    run: Path, cohort: Cohort, tmp_path: Path
) -> None:
    said = {}
    for name, options in {
        "alone": {"set": (), "instruction": "make this brain old"},
        "aged": {
            "set": ("age=50",),
            "instruction": "make this brain old",
        },  # the record may say what words do not: younger, too
        "other": {"set": (), "instruction": "make this brain red"},
    }.items():
        edited(run, cohort, tmp_path / name, **options)
        (path,) = (tmp_path / name).glob("*/record.json")
        with Image.open(path.with_name("counterfactual.png")) as picture:
            said[name] = json.loads(path.read_text()), np.asarray(picture).astype(int)
    (alone, one), (aged, same), (other, another) = said.values()
    assert (
        alone["instruction"] == aged["instruction"] == "make this brain old"
        and other["instruction"] == "make this brain red"
    )
    assert (
        alone["source_prompt"] == aged["source_prompt"] and "65 year old" in alone["source_prompt"]
    )
    assert "target_prompt" not in alone and "50 year old" in aged["target_prompt"]
    assert alone["changes"] == {} and aged["changes"] == {"age": 50.0}
    assert np.array_equal(one, same) and not np.array_equal(one, another)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"set": (), "grid": ("age=70,80",), "instruction": "age"},
            "`grid` would draw the same picture at every step: give one",
        ),
        ({"set": (), "instruction": "old " * 80}, "has 80 tokens and the text encoder of base"),
        ({"set": ("age=50",)}, "an instruction ages, and 50 is younger than 65 years"),
        ({"set": ("age=65",)}, "the edit changes nothing"),
        (
            {"editor": "ddim"},
            "editor 'ddim' does not fit this network, which takes a source image and an "
            "instruction; take",
        ),
        (
            {"editor": "ddmi"},
            "unknown editor 'ddmi'; known: controlnet, ddim, diffedit, edit-friendly",
        ),
    ],
)
def test_edits_that_cannot_be_are_sentences(
    options: dict[str, Any], message: str, run: Path, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        edited(run, cohort, tmp_path / "edits", **options)


def test_its_editor_needs_its_network(plain: Path, cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError,
        match="this network, which takes no source image; take sdedit or ddim",
    ):
        edited(plain, cohort, tmp_path / "edits", editor=METHOD)
    with pytest.raises(
        OptionError, match="`instruction` has no part in editor 'ddim', but in instruct-pix2pix"
    ):
        edited(plain, cohort, tmp_path / "edits", instruction="age")


def test_generate_says_that_it_edits(run: Path, tmp_path: Path) -> None:
    asked = config.GenerateOptions(adapter=str(run), prompt=("a brain MRI",), out=tmp_path / "g")
    with pytest.raises(
        OptionError,
        match=rf"is for editing: .*run latentdrift edit {re.escape(str(run))} IMAGE --set age=85",
    ):
        service.run("generate", asked, quiet=True)


def test_pairs_are_of_registered_visits_where_there_are_some(
    cohort: Cohort, caplog: pytest.LogCaptureFixture
) -> None:
    """A visit that could not be registered stands in no pair, and the log says so."""
    caplog.set_level("INFO")
    every = of_pairs(cohort, "train", fit_options(cohort), "brain MRI", 32)
    assert "are not registered" in caplog.text
    table = cohort.table.copy()
    table["registration"] = "registered"
    lost = every[0].row
    table.loc[lost, "registration"] = "failed: correlation below 0.5"
    known = Cohort(cohort.folder, table, cohort.info)
    kept = of_pairs(known, "train", fit_options(cohort), "brain MRI", 32)
    assert lost not in {place for one in kept for place in (one.row, one.shown)}
    others = [one for one in every if lost not in (one.row, one.shown)]
    assert [(one.row, one.shown) for one in kept] == [(one.row, one.shown) for one in others]
    assert f"{len(table[table['split'] == 'train']) - 1} images are registered" in caplog.text


# --- years as numbers -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dated(tiny_base_folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that reads the years, at a rate at which a few steps show."""
    return short_fit(
        tiny_base_folder,
        cohort,
        tmp_path_factory.mktemp("years") / "run",
        method=METHOD,
        instruction="years",
        prediction="v_prediction",
        steps=4,
        batch_size=2,
        learning_rate=1e-2,
    ).adapter


def test_an_edit_by_years_is_compared_with_one_by_none(
    dated: Path, cohort: Cohort, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def edits(**change: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        out = tmp_path / "-".join(map(str, change.values()))
        options = config.EditOptions(
            adapter=str(dated), source=cohort.folder, limit=1, out=out, steps=2, **change
        )
        service.run("edit", options, quiet=True)
        (folder,) = [path.parent for path in out.glob("*/record.json")]
        names = ("original", "reconstruction", "counterfactual")
        pictures = {name: np.asarray(Image.open(folder / f"{name}.png")) for name in names}
        return json.loads((folder / "record.json").read_text()), pictures

    older, pictures = edits(age="+5", guidance=50.0)
    assert older["instruction"] == (
        "Age this 60 years old female brain MRI with no dementia by 5 years into a brain MRI with "
        "no dementia"
    )
    assert older["source_prompt"] == older["instruction"].replace("by 5 years", "by 0 years")
    younger, others = edits(age="-5", guidance=50.0)
    assert "by -5 years" in younger["instruction"]
    assert (pictures["reconstruction"] == others["reconstruction"]).all()
    assert (pictures["counterfactual"] != others["counterfactual"]).any()
    assert older["detail"] is True
    caplog.clear()
    edits(age="+5", guidance=0.0)  # deaf to the instruction
    (small,) = [message for message in caplog.messages if "hardly distinguishes" in message]
    assert small.endswith("ask for more years, raise `guidance`, or train longer.")
    same = pictures["counterfactual"].astype(int) - pictures["original"]
    assert (
        abs(same).mean() < abs(pictures["reconstruction"].astype(int) - pictures["original"]).mean()
    )


def test_years_that_are_not_known_are_asked_for(
    dated: Path, cohort: Cohort, tmp_path: Path
) -> None:
    """Years count from an age; where the age stays, nobody has to know it."""
    scan = cohort.folder / cohort.rows()["file_name"].iloc[0]

    def edited(change: str) -> Path:
        out = tmp_path / change.partition("=")[0]
        options = config.EditOptions(
            adapter=str(dated), source=scan, out=out, set=(change,), steps=2
        )
        service.run("edit", options, quiet=True)
        return out

    with pytest.raises(
        OptionError, match=r"its age is not known; give it with `given=\{'age': 70\}`"
    ):
        edited("age=85")
    record = json.loads((edited("diagnosis=dementia") / "000000" / "record.json").read_text())
    assert record["instruction"] == "Age this brain MRI by 0 years into a brain MRI with dementia"


def test_an_edit_says_the_volumes_that_are_predicted(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    """Of the image, and of the edited one on the way back."""
    adapter = short_fit(
        tiny_base_folder,
        cohort,
        tmp_path / "run",
        method=METHOD,
        instruction="volumes",
        prediction="v_prediction",
        steps=1,
    ).adapter
    growing(0.002).write(adapter)
    options = config.EditOptions(
        adapter=str(adapter),
        source=cohort.folder,
        limit=1,
        out=tmp_path / "edits",
        steps=2,
        age="+5",
        reverse=True,
    )
    service.run("edit", options, quiet=True)
    (folder,) = [path.parent for path in (tmp_path / "edits").glob("*/record.json")]
    there, back = (
        json.loads(path.read_text())
        for path in (folder / "record.json", *folder.glob("reverse/*/record.json"))
    )
    assert "by 5 years (ventricles +1 %, fluid +1 % of the head) into" in there["instruction"]
    assert "by 0 years (ventricles +0 %, fluid +0 % of the head) into" in there["source_prompt"]
    assert "by -5 years (ventricles -1 %, fluid -1 % of the head) into" in back["instruction"]
    (adapter / "volume-model.json").unlink()
    with pytest.raises(OptionError, match=r"its volume-model\.json is missing"):
        service.run("edit", options.model_copy(update={"out": tmp_path / "others"}), quiet=True)


def test_the_mean_of_seeds_has_a_row_and_its_coverage(
    dated: Path, cohort: Cohort, tmp_path: Path
) -> None:
    options = config.BenchEditorsOptions(
        adapter=str(dated),
        cohort=cohort.folder,
        split="train",
        n=2,
        steps=2,
        seeds=3,
        bootstrap=20,
        out=tmp_path / "bench",
    )
    service.run("bench editors", options, quiet=True)
    rows = {
        row["editor"]: row["metrics"]
        for row in json.loads((tmp_path / "bench" / "editors.json").read_text())["rows"]
    }
    assert [name for name in rows if name.startswith(METHOD)] == [
        METHOD,
        f"{METHOD}, as drawn",
        f"{METHOD}, mean of 3 seeds",
    ]
    mean = rows[f"{METHOD}, mean of 3 seeds"]
    assert 0 <= mean["coverage"]["value"] <= 1 and "coverage" not in rows[METHOD]
    assert mean["psnr"]["value"] != rows[METHOD]["psnr"]["value"]


def test_no_stock_pipeline_draws_what_reads_years(dated: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="which no pipeline of diffusers passes on"):
        export(dated, "diffusers", tmp_path / "out")
    card = (dated / "README.md").read_text()
    assert "latentdrift edit" in card and "stock diffusers" not in card

"""Custom Diffusion, ControlNets and U-Nets that diffusers wrote, in ours: the same picture as the
stock pipeline's."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edits import edit
from fits import short_fit
from PIL import Image
from safetensors.torch import save_file
from tiny import tiny_base

from latentdrift import config, service
from latentdrift.adapt.interop.exports import export
from latentdrift.adapt.interop.importer import adopt
from latentdrift.adapt.loading import load_adapter
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError, BaseModelError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.sample.generate import SamplingOptions, generate
from latentdrift.seeds import generator

HOW: dict[str, Any] = {"seed": 5, "steps": 3, "guidance": 2.0, "sampler": "ddim"}
PICTURE = torch.rand((1, 3, 32, 32), generator=torch.Generator().manual_seed(0))  # in [0, 1]


def load(folder: Path) -> Base:
    return Base.load(folder, device="cpu", precision="fp32")


def shaken(module: Any, size: float = 0.05) -> Any:
    """Its weights, moved so far that pictures change."""
    source = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in module.parameters():
            weight += size * torch.randn(weight.shape, generator=source)
    return module


def taken(base: Path, file: Path, run: Path, **how: Any) -> Base:
    """Adopted, and loaded from the folder that was made."""
    adopt(load(base), file, run, **how)
    return load_adapter(run, device="cpu", precision="fp32").base


def quiet(pipe: Any) -> Any:
    from diffusers import DDIMScheduler

    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def stock(folder: Path, kind: str = "StableDiffusionPipeline", **parts: Any) -> Any:
    import diffusers

    return quiet(
        getattr(diffusers, kind).from_pretrained(
            folder, safety_checker=None, feature_extractor=None, **parts
        )
    )


def theirs(pipe: Any, prompt: str, **more: Any) -> np.ndarray:
    """A stock pipeline's picture [R, R, 3] in [-1, 1] from our noise."""
    latents = torch.randn((1, 4, 8, 8), generator=generator(5, "image", 0))
    made = pipe(
        prompt, latents=latents, num_inference_steps=3, guidance_scale=2.0, output_type="np", **more
    )
    return made.images[0] * 2 - 1


def ours(base: Base, prompt: str, hint: torch.Tensor | None = None) -> np.ndarray:
    shown = None if hint is None else {0: [hint]}
    return next(
        picture
        for _, picture in generate(base, Drift(), {0: prompt}, SamplingOptions(**HOW), None, shown)
    )


# --- Custom Diffusion -----------------------------------------------------------------------------


def custom(base_folder: Path, folder: Path, *, pickled: bool, queries: bool = False) -> Path:
    """As diffusers' train_custom_diffusion.py writes it: random projections, and the word in a file
    of its own."""
    from diffusers.models.attention_processor import CustomDiffusionAttnProcessor

    base = load(base_folder)
    processors = {}
    for number, name in enumerate(base.network.attn_processors):
        layer = base.network.get_submodule(name.removesuffix(".processor"))
        cross = name.endswith("attn2.processor")
        size = {
            "hidden_size": layer.to_q.out_features,
            "cross_attention_dim": layer.to_k.in_features if cross else None,
        }
        torch.manual_seed(number)
        processors[name] = CustomDiffusionAttnProcessor(
            train_kv=cross, train_q_out=cross and queries, **size
        )
    base.network.set_attn_processor(processors)
    base.network.save_attn_procs(folder, safe_serialization=not pickled)
    row = torch.randn(32, generator=torch.Generator().manual_seed(4)) * 0.5
    if pickled:
        torch.save({"<new1>": row}, folder / "<new1>.bin")
    else:
        save_file({"<new1>": row}, folder / "<new1>.safetensors")
    return folder


@pytest.mark.parametrize("pickled", [True, False])
def test_custom_diffusion_draws_what_the_stock_pipeline_draws(
    pickled: bool, tiny_base_folder: Path, tmp_path: Path
) -> None:
    folder = custom(tiny_base_folder, tmp_path / "theirs", pickled=pickled)
    prompt = "a <new1> brain mri"
    ending = "bin" if pickled else "safetensors"
    base = taken(tiny_base_folder, folder, tmp_path / "run")
    info = json.loads((tmp_path / "run" / "adapter.json").read_text())
    assert (info["method"], info["tokens"], info["describe"]) == (
        "custom-diffusion",
        ["<new1>"],
        "<new1> image",
    )
    assert info["adopted"]["file"] == f"pytorch_custom_diffusion_weights.{ending}"
    pipe = stock(tiny_base_folder)
    same = custom(tiny_base_folder, tmp_path / "same", pickled=True)
    # of its own safetensors diffusers 0.42 reads none back: they lack the layers that are not
    # changed
    pipe.unet.load_attn_procs(
        same,
        weight_name="pytorch_custom_diffusion_weights.bin",
        use_safetensors=False,
        _pipeline=pipe,
    )
    pipe.load_textual_inversion(same, weight_name="<new1>.bin")
    np.testing.assert_allclose(ours(base, prompt), theirs(pipe, prompt), atol=2e-5)
    assert (
        np.abs(ours(base, "a brain mri") - ours(load(tiny_base_folder), "a brain mri")).max() > 0.01
    )
    if not pickled:  # as it lies
        found = load_adapter(folder, base=str(tiny_base_folder), device="cpu", precision="fp32")
        assert np.array_equal(ours(found.base, prompt), ours(base, prompt))
        assert np.array_equal(
            ours(found.without().base, "a brain mri"), ours(load(tiny_base_folder), "a brain mri")
        )


def test_what_we_export_comes_back(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    """Custom Diffusion and ControlNet, from `fit` to diffusers' files and back to the same
    picture."""
    cohort = Cohort.load(tiny_cohort_folder)
    for method, hint in (("custom-diffusion", None), ("controlnet", PICTURE[0])):
        few = {"prior_images": 0} if method == "custom-diffusion" else {}
        made = short_fit(
            tiny_base_folder,
            cohort,
            tmp_path / method,
            method=method,
            steps=2,
            learning_rate=1e-2,
            **few,
        )
        export(made.adapter, "diffusers", tmp_path / f"{method}-out")
        before = load_adapter(made.adapter, device="cpu", precision="fp32").base
        after = taken(tiny_base_folder, tmp_path / f"{method}-out", tmp_path / f"{method}-back")
        prompt = f"a {made.info.to_dict()['describe']}"
        assert np.array_equal(ours(after, prompt, hint), ours(before, prompt, hint))


def test_custom_diffusion_that_is_not_ours_is_refused(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    queries = custom(tiny_base_folder, tmp_path / "queries", pickled=True, queries=True)
    with pytest.raises(
        AdapterError,
        match=r"changes more than keys and values .*; train it with --freeze_model crossattn_kv",
    ):
        adopt(load(tiny_base_folder), queries, tmp_path / "run")
    wordless = custom(tiny_base_folder, tmp_path / "wordless", pickled=True)
    (wordless / "<new1>.bin").unlink()
    with pytest.raises(
        AdapterError, match=r"comes without its word; put that file, such as <new1>.bin, beside it"
    ):
        adopt(load(tiny_base_folder), wordless, tmp_path / "run")
    wide = custom(tiny_base(tmp_path / "wide", context=48), tmp_path / "48", pickled=True)
    with pytest.raises(
        AdapterError,
        match=r"diffusers Custom Diffusion for prompts 48 wide; base '.*' has prompts 32 wide",
    ):
        adopt(load(tiny_base_folder), wide, tmp_path / "run")


# --- ControlNet -----------------------------------------------------------------------------------


def control(
    base_folder: Path, folder: Path, widths: tuple[int, ...] = (8, 16, 24), **how: Any
) -> Path:
    from diffusers import ControlNetModel

    torch.manual_seed(0)
    net = shaken(
        ControlNetModel.from_unet(
            load(base_folder).network, conditioning_embedding_out_channels=widths
        ),
        0.2,
    )
    net.save_pretrained(folder, **how)
    return folder


@pytest.mark.parametrize("place", ["", "controlnet"])
@pytest.mark.parametrize("pickled", [True, False])
def test_a_controlnet_draws_what_the_stock_pipeline_draws(
    place: str, pickled: bool, tiny_base_folder: Path, tmp_path: Path
) -> None:
    from diffusers import ControlNetModel

    net = control(tiny_base_folder, tmp_path / "theirs" / place, safe_serialization=not pickled)
    base = taken(tiny_base_folder, tmp_path / "theirs", tmp_path / "run", hint="earlier")
    pipe = stock(
        tiny_base_folder,
        "StableDiffusionControlNetPipeline",
        controlnet=ControlNetModel.from_pretrained(net),
    )
    made = ours(base, "a brain mri", PICTURE[0])
    np.testing.assert_allclose(made, theirs(pipe, "a brain mri", image=PICTURE), atol=2e-5)
    assert np.abs(made - ours(base, "a brain mri", 1 - PICTURE[0])).max() > 1e-3
    info = json.loads((tmp_path / "run" / "adapter.json").read_text())
    assert (info["method"], info["hint"]["kind"]) == ("controlnet", "earlier")


def test_generate_takes_a_controlnet_as_it_lies(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    net = control(tiny_base_folder, tmp_path / "net")
    Image.fromarray(np.tile(np.uint8([0, 255]), (32, 16))).save(tmp_path / "hint.png")
    asked: dict[str, Any] = {"adapter": str(net), "base": str(tiny_base_folder), "n": 1, "steps": 2}
    hinted = config.GenerateOptions(
        out=tmp_path / "one", prompt=("a brain",), hint_image=(tmp_path / "hint.png",), **asked
    )
    assert service.run("generate", hinted, quiet=True)["images"] == 1
    followed = config.GenerateOptions(
        out=tmp_path / "two", like=tiny_cohort_folder, **asked
    )  # their edges
    assert service.run("generate", followed, quiet=True)["images"] == 1


def test_a_controlnet_of_another_base_or_kind_is_refused(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    f8 = control(tiny_base_folder, tmp_path / "f8", widths=(8, 16, 24, 32))
    with pytest.raises(
        AdapterError,
        match=r"8 pixels to a latent; latentdrift shows 3 channels, and base '.*' has 4 pixels",
    ):
        adopt(load(tiny_base_folder), f8, tmp_path / "run")
    wide = control(tiny_base(tmp_path / "wide", width=64), tmp_path / "64")
    with pytest.raises(
        AdapterError, match=r"does not fit base '.*': .* is \(.*\) in it and \(.*\) in this base"
    ):
        adopt(load(tiny_base_folder), wide, tmp_path / "run")
    pooled = control(tiny_base_folder, tmp_path / "pooled")
    told = json.loads((pooled / "config.json").read_text())
    (pooled / "config.json").write_text(json.dumps({**told, "global_pool_conditions": True}))
    with pytest.raises(
        AdapterError,
        match="is a ControlNet with global_pool_conditions True, which latentdrift does not know",
    ):
        adopt(load(tiny_base_folder), pooled, tmp_path / "run")
    (pooled / "config.json").write_text("[]")
    with pytest.raises(BaseModelError, match=r"config\.json is no table of names"):
        adopt(load(tiny_base_folder), pooled, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- U-Nets


def widened(unet: Any, channels: int) -> Any:
    """As diffusers' train_instruct_pix2pix.py does it, and trained: nothing is zero any more."""
    unet = copy.deepcopy(unet)
    first = torch.nn.Conv2d(channels, unet.conv_in.out_channels, 3, padding=1)
    unet.conv_in = first
    unet.register_to_config(in_channels=channels)
    return shaken(unet)


@pytest.mark.parametrize("layout", ["unet", "folder", "pickled", "pipeline"])
def test_a_fine_tuned_unet_draws_what_the_stock_pipeline_draws(
    layout: str, tiny_base_folder: Path, tmp_path: Path
) -> None:
    pipe = stock(tiny_base_folder)
    folder = tmp_path / "theirs"
    shaken(pipe.unet)
    if layout == "pipeline":
        pipe.save_pretrained(folder)
    else:
        pipe.unet.save_pretrained(
            folder / "unet" if layout == "folder" else folder,
            safe_serialization=layout != "pickled",
        )
    base = taken(tiny_base_folder, folder, tmp_path / "run")
    np.testing.assert_allclose(ours(base, "a brain"), theirs(pipe, "a brain"), atol=2e-5)
    assert json.loads((tmp_path / "run" / "adapter.json").read_text())["method"] == "full"


@pytest.mark.parametrize("layout", ["unet", "pipeline"])
def test_instruct_pix2pix_edits_as_the_stock_pipeline_does(
    layout: str, tiny_base_folder: Path, tmp_path: Path
) -> None:
    kind = "StableDiffusionInstructPix2PixPipeline"
    folder = tmp_path / "theirs"
    instruction = "make the brain old"
    pipe = stock(tiny_base_folder, kind, unet=widened(load(tiny_base_folder).network, 8))
    (pipe if layout == "pipeline" else pipe.unet).save_pretrained(folder)
    base = taken(tiny_base_folder, folder, tmp_path / "run")
    assert base.sees_source
    how: dict[str, Any] = {
        "editor": "instruct-pix2pix",
        "steps": 4,
        "guidance": 3.0,
        "image_guidance": 1.5,
        "seed": 0,
    }
    made = (
        edit(base, Drift(), PICTURE * 2 - 1, "", instruction, **how)
        .counterfactual[0]
        .permute(1, 2, 0)
        .numpy()
    )
    noise = torch.randn((1, 4, 8, 8), generator=generator(0, "edit", "instruct-pix2pix"))
    drawn = pipe(
        instruction,
        image=PICTURE,
        latents=noise,
        num_inference_steps=4,
        guidance_scale=3.0,
        image_guidance_scale=1.5,
        output_type="np",
    ).images[0]
    np.testing.assert_allclose(made, drawn * 2 - 1, atol=1e-4)


def test_a_pipelines_schedule_comes_along_and_its_other_parts_have_to_be_the_bases(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    pipe = stock(tiny_base_folder)
    pipe.scheduler.register_to_config(prediction_type="v_prediction")
    pipe.save_pretrained(tmp_path / "v")
    assert (
        taken(tiny_base_folder, tmp_path / "v", tmp_path / "run").schedule.prediction_type
        == "v_prediction"
    )
    half = shutil.copytree(tiny_base_folder, tmp_path / "half")
    base = load(half)
    for part, module in {"vae": base.vae, "unet": base.network, **base.text_encoders}.items():
        module.half().save_pretrained(half / part)
    adopt(load(tiny_base_folder), half, tmp_path / "of-half")
    for name, change in {
        "text_encoder": lambda: shaken(pipe.text_encoder, 1e-3),
        "schedule": lambda: pipe.scheduler.register_to_config(beta_end=0.02),
    }.items():
        change()
        pipe.save_pretrained(tmp_path / name)
        with pytest.raises(
            AdapterError,
            match=rf"is a whole pipeline with another .*{name}.*, take it as a base of its own",
        ):
            adopt(load(tiny_base_folder), tmp_path / name, tmp_path / "other")


def test_a_unet_of_another_kind_is_refused(tiny_base_folder: Path, tmp_path: Path) -> None:
    widened(load(tiny_base_folder).network, 9).save_pretrained(tmp_path / "inpaint")
    with pytest.raises(
        AdapterError,
        match=r"is a U-Net that reads 9 channels; .* knows 4, noise, and 8, noise and a source",
    ):
        adopt(load(tiny_base_folder), tmp_path / "inpaint", tmp_path / "run")
    with pytest.raises(
        AdapterError, match=r"is a diffusers U-Net for prompts 32 wide, .*give that one with `base`"
    ):
        load_adapter(tmp_path / "inpaint" / "diffusion_pytorch_model.safetensors")
    save_file(
        {"add_embedding.linear_1.weight": torch.zeros(1), "conv_in.weight": torch.zeros(1)},
        tmp_path / "xl.safetensors",
    )
    with pytest.raises(AdapterError, match="is a U-Net or ControlNet for SDXL"):
        adopt(load(tiny_base_folder), tmp_path / "xl.safetensors", tmp_path / "run")
    shaken(load(tiny_base_folder).network).save_pretrained(tmp_path / "unet")
    with pytest.raises(
        OptionError,
        match=r"`hint` describes the input of a ControlNet, and .* is a diffusers U-Net",
    ):
        adopt(load(tiny_base_folder), tmp_path / "unet", tmp_path / "run", hint="edges")

"""Every row of METHODS through one table of properties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from method_fits import (
    beside,
    info,
    load,
    predict,
    prepared,
    prompts,
    trained,
)
from variants import some_at_once

from latentdrift.adapt.methods import controlnet, custom_diffusion, lora, textual_inversion
from latentdrift.adapt.methods.methods import METHODS, method
from latentdrift.errors import OptionError
from latentdrift.model.base import Base

PLAIN = ["a brain MRI of a 75 year old female", ""]
rows = pytest.mark.parametrize("name", METHODS)
some_rows = pytest.mark.parametrize(
    "name", some_at_once(METHODS, ("full", "lora", "textual-inversion"))
)


def modules(base: Base) -> dict[str, torch.nn.Module]:
    return {"vae": base.vae, "text": base.text_encoders["text_encoder"], "unet": base.network} | {
        f"control {place}": net for place, (net, _) in enumerate(base.controls)
    }


def tensors(base: Base) -> dict[str, torch.Tensor]:
    parts = modules(base).items()
    return {
        f"{part}.{name}": tensor.clone()
        for part, module in parts
        for name, tensor in module.state_dict().items()
    }


@rows
def test_nothing_changes_before_the_first_step(name: str, tiny_base_folder: Path) -> None:
    begun, parameters = prepared(load(tiny_base_folder), name)
    assert parameters
    assert torch.equal(predict(begun), predict(load(tiny_base_folder)))


@rows
def test_only_its_parameters_move_and_all_of_them_do(name: str, tiny_base_folder: Path) -> None:
    begun, parameters = prepared(load(tiny_base_folder), name)
    before = tensors(begun)
    expected = {id(parameter) for parameter in parameters.values()}
    base, trainer, _ = trained(load(tiny_base_folder), name)
    assert {key for key, value in tensors(base).items() if not torch.equal(value, before[key])} == {
        f"{part}.{key}"
        for part, module in modules(base).items()
        for key, value in module.named_parameters()
        if any(value is parameter for parameter in trainer.parameters.values())
    }
    assert len(expected) == len(trainer.parameters)


@pytest.mark.parametrize(
    "name",
    some_at_once([name for name, row in METHODS.items() if row.trains_network], ("lora",)),
)
def test_the_loss_falls_on_a_batch_that_is_learned_by_heart(
    name: str, tiny_base_folder: Path
) -> None:
    _, _, losses = trained(load(tiny_base_folder), name, steps=30)
    kind = {
        "full_finetuning.": 0.5,
        "instruct_pix2pix": 0.5,
        "lora.": 0.97,
        "custom_diffusion": 0.97,
        "controlnet": 0.97,
    }
    share = next(
        share for part, share in kind.items() if part in f"{METHODS[name].prepare.__module__}."
    )
    assert losses[-1] < share * losses[0]
    assert min(losses) == min(losses[20:])


@rows
def test_saved_and_loaded_is_the_same_to_the_bit(
    name: str, tiny_base_folder: Path, tmp_path: Path
) -> None:
    base, _, _ = trained(load(tiny_base_folder), name)
    METHODS[name].save(base, tmp_path)
    again = METHODS[name].apply(load(tiny_base_folder), tmp_path, info(name), 1.0)
    for texts in (PLAIN, prompts(name)):
        assert torch.equal(predict(again, texts), predict(base, texts))
    assert not torch.equal(predict(again, prompts(name)), plain_prediction(name, tiny_base_folder))


def plain_prediction(name: str, folder: Path) -> torch.Tensor:
    """What the base says without training; of a new word, what the words say that it starts
    from."""
    return predict(prepared(load(folder), name)[0], prompts(name))


@rows
def test_taken_away_leaves_the_base_to_the_bit(
    name: str, tiny_base_folder: Path, tmp_path: Path
) -> None:
    row = METHODS[name]
    row.save(trained(load(tiny_base_folder), name)[0], tmp_path)
    untouched = load(tiny_base_folder)
    restored = row.remove(row.apply(load(tiny_base_folder), tmp_path, info(name), 1.0))
    before = tensors(untouched)
    after = tensors(restored)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(predict(restored), predict(untouched))
    before_words, after_words = (
        len(each.tokenizers["tokenizer"].get_vocab()) for each in (untouched, restored)
    )
    assert before_words == after_words


@some_rows
def test_drift_of_zero_is_no_drift_and_any_other_is_not(name: str, tiny_base_folder: Path) -> None:
    plain, zero, drifted = (
        trained(load(tiny_base_folder), name, delta=delta)[1].parameters
        for delta in ((), (0.0,) * 4, (0.1,) * 4)
    )
    assert all(torch.equal(plain[key], zero[key]) for key in plain)
    assert any(not torch.equal(plain[key], drifted[key]) for key in plain)


def _stock_unet(pipe: Any, folder: Path) -> None:
    from diffusers import UNet2DConditionModel

    pipe.unet = UNet2DConditionModel.from_pretrained(folder / "unet")


def _stock_custom_diffusion(pipe: Any, folder: Path) -> None:
    pipe.unet.load_attn_procs(folder, weight_name=custom_diffusion.FILE, _pipeline=pipe)
    pipe.load_textual_inversion(folder, weight_name=textual_inversion.FILE)


def _stock_controlnet(pipe: Any, folder: Path) -> None:
    from diffusers import ControlNetModel

    net = ControlNetModel.from_pretrained(folder / "controlnet")

    class Controlled(torch.nn.Module):
        """The two networks as a stock pipeline calls them."""

        def __init__(self, unet: torch.nn.Module) -> None:
            super().__init__()
            self.unet = unet

        def forward(
            self, xt: torch.Tensor, t: torch.Tensor, context: torch.Tensor, hint: torch.Tensor
        ) -> Any:
            down, mid = net(xt, t, context, controlnet_cond=hint, return_dict=False)
            return self.unet(
                xt,
                t,
                context,
                down_block_additional_residuals=down,
                mid_block_additional_residual=mid,
            )

    pipe.unet = Controlled(pipe.unet)


# File of a method, None for a whole network -> how stock diffusers loads it.
STOCK: dict[str | None, Any] = {
    None: _stock_unet,
    lora.FILE: lambda pipe, folder: pipe.load_lora_weights(folder),
    textual_inversion.FILE: lambda pipe, folder: pipe.load_textual_inversion(folder),
    custom_diffusion.FILE: _stock_custom_diffusion,
    controlnet.FILE: _stock_controlnet,
}


@rows
def test_loads_in_stock_diffusers(name: str, tiny_base_folder: Path, tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    base, _, _ = trained(load(tiny_base_folder), name)
    METHODS[name].save(base, tmp_path)
    pipe = StableDiffusionPipeline.from_pretrained(
        tiny_base_folder, safety_checker=None, feature_extractor=None
    )
    STOCK[METHODS[name].file](pipe, tmp_path)
    context = torch.cat([pipe.encode_prompt(text, "cpu", 1, False)[0] for text in prompts(name)])
    torch.testing.assert_close(context, base.embed(prompts(name)).embeddings, rtol=0, atol=1e-6)
    xt = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        shown = beside(base, 2)
        wide = torch.cat([xt, shown.pop(0)], dim=1) if base.sees_source else xt
        theirs = pipe.unet(wide, torch.tensor([10, 700]), context, *shown).sample
    torch.testing.assert_close(theirs, predict(base, prompts(name)), rtol=0, atol=1e-6)


@some_rows
def test_16_bit_bases_are_trained_by_32_bit_parameters(name: str, tiny_base_folder: Path) -> None:
    _, trainer, losses = trained(load(tiny_base_folder, "bf16"), name)
    exact = trained(load(tiny_base_folder), name)[2]
    assert all(parameter.dtype == torch.float32 for parameter in trainer.parameters.values())
    assert losses == pytest.approx(exact, rel=0.05)


@some_rows
def test_v_prediction_is_trained_too(name: str, tiny_v_folder: Path) -> None:
    _, _, losses = trained(load(tiny_v_folder), name, steps=30)
    assert losses[-1] < losses[0]


def test_an_unknown_method_names_the_known() -> None:
    with pytest.raises(
        OptionError,
        match=r"unknown method 'lorra'; known: .*full, .*lora, .* \(did you mean 'lora'",
    ):
        method("lorra")


def test_default_rates_follow_the_width_of_the_network(tiny_base_folder: Path) -> None:
    base = load(tiny_base_folder)  # 32 channels against Stable Diffusion's 320
    assert METHODS["lora"].learning_rate(base) == pytest.approx(1e-3)
    assert METHODS["textual-inversion"].learning_rate(base) == 5e-3

"""The ways in which other trainers name and order the matrices of a LoRA -> ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from latentdrift.adapt.adapters.checkpoint_reader import Foreign
from latentdrift.adapt.methods.lora import METADATA, Lora, Pair, pairs, places
from latentdrift.errors import AdapterError
from latentdrift.model import model_files
from latentdrift.model.base import Base
from latentdrift.model.families.family import Family, LoraPart

# A matrix, in peft's, diffusers' (three ages of it) and kohya's words.
MATRIX = re.compile(
    r"(?P<module>.+?)(?:\.lora_(?P<peft>[AB])(?:\.\w+)?|(?:\.lora(?:_linear_layer)?\.|_lora\.|\.lora_)(?P<side>down|up))\.weight"
)
SIDES = {"A": "A", "B": "B", "down": "A", "up": "B"}
# cloneofsimo/lora keeps no names: (up, down) pairs in the order of diffusers' modules at the time,
# where the feed-forward part,
# which not every file has, stood between self- and cross-attention.
SELF = [f"attn1.{part}" for part in ("to_q", "to_k", "to_v", "to_out.0")]
GATE = ["ff.net.0.proj"]
CROSS = [f"attn2.{part}" for part in ("to_q", "to_k", "to_v", "to_out.0")]
ATTENTION = ("k_proj", "v_proj", "q_proj", "out_proj")  # the order of transformers' CLIPAttention
OLD_TEXT = {
    "to_q": "q_proj",
    "to_k": "k_proj",
    "to_v": "v_proj",
    "to_out": "out_proj",
}  # diffusers before 0.18


def by_name(foreign: Foreign, base: Base, settings: Mapping[str, Any] | None = None) -> Lora:
    """Matrices under the names of modules: diffusers and peft.

    Args:
        foreign: The file.
        base: Base that the matrices must fit; its family names the components.
        settings: As in diffusers' metadata; default: the file's own.
    """
    named, alphas = _sorted_out(foreign, lambda name: _module(name, base.family))
    matrices = pairs(
        named, json.loads(foreign.metadata.get(METADATA, "{}")) if settings is None else settings
    )
    return {
        name: Pair(pair.a, pair.b, alphas.get(name, pair.alpha)) for name, pair in matrices.items()
    }


def peft(foreign: Foreign, base: Base) -> Lora:
    """Read a LoRA of peft; its scale stands in adapter_config.json beside the file.

    Args:
        foreign: The file.
        base: Base that the matrices must fit.

    Raises:
        AdapterError: adapter_config.json is missing, or not supported.
        BaseModelError: It is damaged.
    """
    path = foreign.path.with_name("adapter_config.json")
    if not path.is_file():
        raise AdapterError(
            f"{foreign.path} was saved by peft, which keeps the scale in {path.name}: put "
            "that file beside it"
        )
    config = model_files.config(path)
    if config.get("use_dora") or config.get("peft_type", "LORA") != "LORA":
        kind = "DoRA" if config.get("use_dora") else config["peft_type"]
        raise AdapterError(f"{path} says that it is {kind}; latentdrift reads plain LoRA")
    settings = {
        f"{part.component}.{key}": value
        for part in base.family.lora_parts
        for key, value in config.items()
    }
    return by_name(foreign, base, settings)


def kohya(foreign: Foreign, base: Base) -> Lora:
    """Read a LoRA of kohya, whose names have `_` for every dot; a missing alpha is the rank.

    Args:
        foreign: The file.
        base: Base that the matrices must fit.
    """
    spelled = {kohya_name(name, base.family): name for name in places(base)}
    named, alphas = _sorted_out(
        foreign, lambda stem: spelled.get(stem.replace("lora_te1_", "lora_te_"), stem)
    )
    return {
        name: Pair(pair.a, pair.b, alphas.get(name, pair.alpha))
        for name, pair in pairs(named, {}).items()
    }


def kohya_name(name: str, family: Family) -> str:
    """Name of a module in a file of kohya: `unet.mid_block.x` -> `lora_unet_mid_block_x`.

    Args:
        name: Name of the module, with its component first.
        family: Family of the base.
    """
    component, rest = name.split(".", 1)
    kohya = {part.component: part.kohya for part in family.lora_parts}
    return f"{kohya[component]}_{rest.replace('.', '_')}"


def cloneofsimo(foreign: Foreign, base: Base) -> Lora:
    """Read a LoRA of cloneofsimo: numbered pairs for U-Net and text encoder, with alpha equal to
    the rank.

    Args:
        foreign: The file.
        base: Base that the matrices must fit.

    Raises:
        AdapterError: The number of pairs does not fit the base.
    """
    matrices = {}
    for part, numbered in numbered_pairs(foreign).items():
        text = _text_order(base)
        is_text = len(numbered) == len(text) if "0" in foreign.tensors else part == "text_encoder"
        names = text if is_text else _unet_order(base, len(numbered))
        if len(names) != len(numbered):
            raise AdapterError(
                f"{foreign.path} changes {len(numbered)} modules of the {part.replace('_', ' ')}, "
                f"and base '{base.name}' has {len(names)} of their kind; it was made for another "
                "base: give that one with `base`"
            )
        for name, (up, down) in zip(names, numbered, strict=True):
            matrices[name] = Pair(down.float(), up.float(), float(down.shape[0]))
    return matrices


def numbered_pairs(foreign: Foreign) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Numbered matrices of a file: part -> (up, down) in order.

    A plain list does not name its part. There the shapes decide, because those of a text encoder
    are all equal.
    """
    tensors = foreign.tensors
    if "0" in tensors:
        listed = [(tensors[str(i)], tensors[str(i + 1)]) for i in range(0, len(tensors), 2)]
        sides = {size for up, down in listed for size in (up.shape[0], down.shape[1])}
        return {"unet" if len(sides) > 1 else "text_encoder": listed}
    matrices: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for part in ("unet", "text_encoder"):
        count = sum(key.startswith(f"{part}:") for key in tensors) // 2
        if count:
            matrices[part] = [
                (tensors[f"{part}:{i}:up"], tensors[f"{part}:{i}:down"]) for i in range(count)
            ]
    return matrices


def _unet_order(base: Base, count: int) -> list[str]:
    blocks = [
        name.removesuffix(".attn1.to_q") for name in places(base) if name.endswith(".attn1.to_q")
    ]
    order = SELF + GATE + CROSS if count == len(blocks) * 9 else SELF + CROSS
    return [f"{block}.{name}" for block in blocks for name in order]


def _text_order(base: Base) -> list[str]:
    part = _text_part(base.family)
    layers = range(base.text_encoders[part.component].config.num_hidden_layers)
    return [
        f"{part.prefix}encoder.layers.{layer}.self_attn.{name}"
        for layer in layers
        for name in ATTENTION
    ]


def _text_part(family: Family) -> LoraPart:
    """The first text encoder."""
    return next(part for part in family.lora_parts if part.component != family.network_folder)


def _network_part(family: Family) -> LoraPart:
    """The denoising network."""
    return next(part for part in family.lora_parts if part.component == family.network_folder)


def _sorted_out(foreign: Foreign, name: Any) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Matrices under peft's names, and alphas by module.

    Raises:
        AdapterError: Something in the file is neither, or a matrix lacks its other half.
    """
    named: dict[str, Tensor] = {}
    alphas: dict[str, float] = {}
    for key, tensor in foreign.tensors.items():
        match = MATRIX.fullmatch(key)
        if match:
            named[
                f"{name(match['module'])}.lora_{SIDES[match['peft'] or match['side']]}.weight"
            ] = tensor
        elif key.endswith(".alpha"):
            alphas[name(key.removesuffix(".alpha"))] = float(tensor)
        else:
            raise AdapterError(
                f"{foreign.path} holds '{key}', which no LoRA has; latentdrift takes all of a file "
                "or nothing"
            )
    modules = {key.rsplit(".lora_", 1)[0] for key in named}
    halves = [
        key
        for module in modules
        for key in (f"{module}.lora_A.weight", f"{module}.lora_B.weight")
        if key not in named
    ]
    if halves:
        raise AdapterError(
            f"{foreign.path} lacks {halves[0]}, the other half of a change; copy it again from "
            "where it was made"
        )
    return named, alphas


def _module(name: str, family: Family) -> str:
    """A module's name of any age of diffusers or peft -> ours."""
    text = _text_part(family)
    name = name.replace(".processor", "").removeprefix("base_model.model.")
    if "encoder.layers." in name:  # the text encoder's
        *path, last = name[name.index("encoder.layers.") :].split(".")
        return text.prefix + ".".join([*path, OLD_TEXT.get(last, last)])
    if name.startswith(text.prefix):
        return name
    network = _network_part(family).prefix
    name = name.removeprefix(network)
    return network + (f"{name}.0" if name.endswith(".to_out") else name)

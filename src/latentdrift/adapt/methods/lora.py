"""LoRA: a low-rank change alpha / r B A of projections (Hu et al. 2021), by peft.

`fit` puts one beside every module that `Family.lora_targets` names. Files of other trainers have
other ranks and alphas per module, and parts in the text encoder: what is kept, applied and taken
away here is any of them.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from latentdrift.adapt.methods import textual_inversion
from latentdrift.adapt.methods.tensors import save_tensors
from latentdrift.config import FitOptions
from latentdrift.errors import AdapterError, unknown
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.base import Base
from latentdrift.model.families.families import FAMILIES
from latentdrift.model.families.family import LoraPart
from latentdrift.seeds import derive

FILE = (
    "pytorch_lora_weights.safetensors"  # the name that `pipe.load_lora_weights(folder)` looks for
)
OURS = "default"  # the name of matrices in peft
METADATA = "lora_adapter_metadata"  # where diffusers keeps what a state dict cannot say


@dataclass(frozen=True)
class Pair:
    """The change of one module."""

    a: Tensor
    """[r, in], or [r, in, k, k] of a convolution."""
    b: Tensor
    """[out, r], or [out, r, 1, 1]."""
    alpha: float
    """The change is alpha / r B A."""

    @property
    def rank(self) -> int:
        """Rank r of the change."""
        return self.a.shape[0]


Lora = dict[str, Pair]
"""Module, `unet.down_blocks...to_q` or `text_encoder.text_model.encoder...q_proj` -> its change."""


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, nn.Parameter]]:
    """Add matrices A (random, from the seed) and B (zero) to each chosen module, and train them.

    At first they change nothing.

    Args:
        base: The base; its networks are changed in place.
        options: Options of `fit`: targets, rank, alpha, seed.
        words: Not used.

    Returns:
        The base, and the trained parameters by name.

    Raises:
        OptionError: An unknown choice of modules.
    """
    family = base.family
    if options.targets not in family.lora_targets:
        raise unknown("row of TARGETS for `targets`", options.targets, family.lora_targets)
    scale = {"r": options.rank, "lora_alpha": options.alpha or options.rank}
    parameters: dict[str, nn.Parameter] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(options.seed, "lora"))  # peft draws A from torch's own generator
        for part, model in _parts(base):
            is_text = part.component != family.network_folder
            if is_text and not options.train_text_encoder:
                continue
            targets = family.lora_text_targets if is_text else family.lora_targets[options.targets]
            ours = _beside(model, {**scale, "target_modules": list(targets)})
            prefix = part.prefix if is_text else ""
            for name, weight in list(model.named_parameters()):
                if f".{ours}." in name:
                    own = prefix + name.replace(f".{ours}.", ".")
                    parameters[own] = weight.requires_grad_(True)
    return base, parameters


def save(base: Base, folder: Path) -> None:
    """Write the matrices under diffusers' names, and learned words to their own file."""
    write(collect(base), folder / FILE)
    if textual_inversion.has_words(base):
        textual_inversion.save(base, folder)


def apply(base: Base, folder: Path, info: AdapterInfo, weight: float = 1.0) -> Base:
    """Add the matrices of an adapter to a base; `remove` takes them out exactly.

    Args:
        base: The base; its networks are changed in place.
        folder: Adapter folder.
        info: adapter.json.
        weight: Factor of the change.

    Raises:
        AdapterError: The matrices do not fit the base.
    """
    lora = read(folder / FILE)
    rank = info.options.rank
    ranks = sorted({pair.rank for pair in lora.values()})
    wrong = (
        f"its matrices are of rank {', '.join(map(str, ranks))}, and not what rank {rank} needs "
        "here"
    )
    reason = wrong if rank is not None and ranks != [rank] else misfit(base, lora)
    if reason:
        raise AdapterError(
            f"{folder / FILE} does not fit base '{base.name}': {reason}; it was made for another "
            "network"
        )
    inject(base, lora, weight)
    return (
        textual_inversion.apply(base, folder, info)
        if (folder / textual_inversion.FILE).is_file()
        else base
    )


def remove(base: Base) -> Base:
    """Remove the matrices and learned words from a base; its own weights are unchanged."""
    from diffusers.utils import recurse_remove_peft_layers

    for _, model in _parts(base):
        if hasattr(model, "peft_config"):
            recurse_remove_peft_layers(model)
            del model.peft_config
    return textual_inversion.remove(base) if textual_inversion.has_words(base) else base


def places(base: Base) -> dict[str, Any]:
    """Modules that can have matrices: name in a file -> module."""
    modules: dict[str, Any] = {}
    for part, model in _parts(base):
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and ".lora_" not in name:
                # `base_layer` is a module that has matrices already
                own = name.removeprefix(part.inner).removesuffix(".base_layer")
                modules[part.prefix + own] = module
    return modules


def shaped(base: Base, lora: Lora) -> Lora:
    """Reshape matrices as their modules need them: a 1 x 1 convolution equals a linear layer.

    Args:
        base: The base.
        lora: Name of a module -> matrices.
    """
    there = places(base)

    def like(tensor: Tensor, dimensions: int) -> Tensor:
        flat = tensor.flatten(1) if tensor.shape[2:].numel() == 1 else tensor
        return (
            flat[..., None, None]
            if dimensions == 4 and flat.ndim == 2
            else flat
            if dimensions == 2
            else tensor
        )

    matrices = {}
    for name, pair in lora.items():
        dimensions = there[name].weight.ndim if name in there else pair.a.ndim
        matrices[name] = Pair(like(pair.a, dimensions), like(pair.b, dimensions), pair.alpha)
    return matrices


def misfit(base: Base, lora: Lora) -> str | None:
    """Reason why matrices do not fit a base; None where they do.

    Args:
        base: The base.
        lora: Name of a module -> matrices.
    """
    there = places(base)
    for name, pair in lora.items():
        if name not in there:
            return f"it changes {name}, which this base does not have"
        out, into, *window = there[name].weight.shape
        need = ((pair.rank, into, *window), (out, pair.rank, *[1 for _ in window]))
        if (pair.a.shape, pair.b.shape) != need:
            shapes = f"{tuple(pair.b.shape)} and {tuple(pair.a.shape)}"
            return f"its matrices for {name} are {shapes}, and {need[1]} and {need[0]} fit there"
    return None


def inject(base: Base, lora: Lora, weight: float = 1.0) -> None:
    """Put the matrices beside their modules, frozen, and beside those that are there already;
    `misfit` has found none.

    Args:
        base: Changed in place.
        lora: The matrices.
        weight: Factor of the change.
    """
    for part, model in _parts(base):
        has_inner = part.inner and hasattr(model, part.inner.removesuffix("."))
        inner = part.inner if has_inner else ""
        own = {inner + name: pair for name, pair in _of_part(lora, part).items()}
        if not own:
            continue
        weighted = {name: replace(pair, alpha=pair.alpha * weight) for name, pair in own.items()}
        ours = _beside(model, _config(weighted))
        with torch.no_grad():
            for name, pair in own.items():
                layer = model.get_submodule(name)
                layer.lora_A[ours].weight.copy_(pair.a)
                layer.lora_B[ours].weight.copy_(pair.b)


def merge(base: Base) -> None:
    """Add all matrices of a base to its weights, for good."""
    for _, model in _parts(base):
        if hasattr(model, "peft_config"):
            fold(model)


def fold(model: Any) -> None:
    """Add the matrices of one network to its weights, for good."""
    from diffusers.utils import recurse_remove_peft_layers
    from peft.tuners.tuners_utils import BaseTunerLayer

    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
    recurse_remove_peft_layers(model)
    del model.peft_config


def collect(base: Base) -> Lora:
    """Matrices of a base's modules, by name; with several adapters, those of the last."""
    pairs_by_name = {}
    for part, model in _parts(base):
        ours = list(getattr(model, "peft_config", {OURS: None}))[-1]
        for name, layer in model.named_modules():
            if ours in getattr(layer, "lora_A", {}):
                a, b = (
                    matrices[ours].weight.detach().float().cpu().contiguous()
                    for matrices in (layer.lora_A, layer.lora_B)
                )
                own = part.prefix + name.removeprefix(part.inner)
                pairs_by_name[own] = Pair(a, b, float(layer.lora_alpha[ours]))
    return pairs_by_name


def write(lora: Lora, path: Path) -> None:
    """Write a LoRA as `pipe.load_lora_weights` reads it; alphas that differ from the rank are
    metadata."""
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, Any] = {}
    for name, pair in lora.items():
        tensors |= {f"{name}.lora_A.weight": pair.a, f"{name}.lora_B.weight": pair.b}
    if len({pair.rank for pair in lora.values()} | {pair.alpha for pair in lora.values()}) > 1:
        for part in _all_parts():
            if own := _of_part(lora, part):
                config = _config(own)
                metadata |= {f"{part.component}.{key}": value for key, value in config.items()}
    about = {METADATA: json.dumps(metadata, sort_keys=True)} if metadata else {}
    save_tensors(tensors, path, {"format": "pt", **about})


def read(path: Path) -> Lora:
    """Read a LoRA that `write` wrote."""
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        about = file.metadata() or {}
    return pairs(tensors, json.loads(about.get(METADATA, "{}")))


def pairs(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Lora:
    """Build a LoRA from tensors under peft's names.

    Args:
        tensors: Content of the file.
        metadata: Alphas as diffusers stores them; where there is none, alpha is the rank.
    """
    from peft.utils.other import get_pattern_key

    lora = {}
    for key, a in tensors.items():
        if not key.endswith(".lora_A.weight"):
            continue
        name = key.removesuffix(".lora_A.weight")
        part = name.split(".")[0]
        short = name
        for known in _all_parts():
            short = short.removeprefix(known.prefix)
        settings = {
            name.removeprefix(f"{part}."): value
            for name, value in metadata.items()
            if name.startswith(f"{part}.")
        }
        pattern = settings.get("alpha_pattern") or {}
        alpha = float(settings.get("lora_alpha", a.shape[0]))
        alpha = float(pattern.get(get_pattern_key(list(pattern), short), alpha))
        if settings.get("use_rslora"):
            alpha *= math.sqrt(a.shape[0])  # scaled by alpha / sqrt(r) (Kalajdzievski 2023)
        lora[name] = Pair(a.float(), tensors[f"{name}.lora_B.weight"].float(), alpha)
    return lora


def _all_parts() -> list[LoraPart]:
    """Components of all families that can have matrices."""
    return list(dict.fromkeys(part for row in FAMILIES.values() for part in row.lora_parts))


def _parts(base: Base) -> list[tuple[LoraPart, Any]]:
    """The components of a base that can have matrices."""
    models = {base.family.network_folder: base.network, **base.text_encoders}
    return [(part, models[part.component]) for part in base.family.lora_parts]


def _of_part(lora: Lora, part: LoraPart) -> Lora:
    """The matrices of one component, by the names of its own modules."""
    return {
        name.removeprefix(part.prefix): pair
        for name, pair in lora.items()
        if name.startswith(part.prefix)
    }


def _config(lora: Lora) -> dict[str, Any]:
    """peft's configuration of these modules: the usual rank and alpha, and the exceptions by
    name."""
    rank = Counter(pair.rank for pair in lora.values()).most_common(1)[0][0]
    alpha = Counter(pair.alpha for pair in lora.values()).most_common(1)[0][0]
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {name: pair.rank for name, pair in lora.items() if pair.rank != rank},
        "alpha_pattern": {name: pair.alpha for name, pair in lora.items() if pair.alpha != alpha},
        "target_modules": sorted(lora),
    }


def _beside(model: Any, config: Mapping[str, Any]) -> str:
    """New matrices, frozen, in float32 whatever the weights are; returns the name that peft keeps
    them under."""
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    there = list(getattr(model, "peft_config", {}))
    ours = f"{OURS}{len(there) or ''}"
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Already found a `peft_config`"
        )  # several are meant
        inject_adapter_in_model(LoraConfig(**config), model, adapter_name=ours)
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.set_adapter([*there, ours])
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.requires_grad_(False).data.float()
    return ours

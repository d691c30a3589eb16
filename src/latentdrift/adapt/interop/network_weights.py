"""Networks of other tools in a base: projections of Custom Diffusion, a ControlNet, a U-Net that
draws or edits.

What a network looks like is the base's; a file only fills it, so that nothing but numbers is read,
and whatever does not fill it to the last tensor was made for another base.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentdrift.adapt.adapters.checkpoint_reader import Foreign
from latentdrift.adapt.methods import custom_diffusion
from latentdrift.errors import AdapterError, BaseModelError
from latentdrift.model import model_files
from latentdrift.model.base import Base, Schedule, read_schedule

HINT = "controlnet_cond_embedding"
PIPELINE = "model_index.json"
# Of a ControlNet's config.json: what we do not do, and what it is otherwise.
UNKNOWN = {"global_pool_conditions": False, "controlnet_conditioning_channel_order": "rgb"}


@dataclass(frozen=True)
class Network:
    """Network of a file, to be put into a base by a row of METHODS."""

    method: str
    tensors: Mapping[str, Tensor]


def custom(foreign: Foreign) -> Network:
    """Read the keys and values of the cross-attention (Custom Diffusion).

    Args:
        foreign: The file.

    Raises:
        AdapterError: It holds further weights.
    """
    tensors = {name: tensor for name, tensor in foreign.tensors.items() if tensor.numel()}
    more = sorted(
        name
        for name in tensors
        if not name.endswith(("to_k_custom_diffusion.weight", "to_v_custom_diffusion.weight"))
    )
    if more:
        raise AdapterError(
            f"{foreign.path} changes more than keys and values of the cross-attention ({more[0]}), "
            "which latentdrift does not do; train it with --freeze_model crossattn_kv"
        )
    return Network("custom-diffusion", tensors)


def control(foreign: Foreign) -> Network:
    """Read a ControlNet, with its config.json if that lies beside the file.

    Args:
        foreign: The file.

    Raises:
        AdapterError: It uses its hint in a way that is not supported.
        BaseModelError: Its config.json is damaged.
    """
    about = foreign.path.with_name("config.json")
    config = model_files.config(about) if about.is_file() else {}
    for name, ours in UNKNOWN.items():
        if config.get(name, ours) != ours:
            raise AdapterError(
                f"{foreign.path} is a ControlNet with {name} {config[name]}, which latentdrift "
                "does not know"
            )
    return Network("controlnet", foreign.tensors)


def whole(foreign: Foreign, base: Base) -> Network:
    """Read a whole U-Net; the number of its input channels says whether it reads a source image.

    Args:
        foreign: The file.
        base: Base that the network must fit.

    Raises:
        AdapterError: It has other inputs, or its pipeline has other components than the base.
    """
    reads = foreign.tensors["conv_in.weight"].shape[1]
    latent = base.latent_channels
    if reads not in (latent, 2 * latent):
        raise AdapterError(
            f"{foreign.path} is a U-Net that reads {reads} channels; for base '{base.name}' "
            f"latentdrift knows {latent}, noise, and {2 * latent}, noise and a source "
            "(InstructPix2Pix)"
        )
    if _pipeline(foreign, base):
        _check_pipeline(foreign, base)
    return Network("full" if reads == latent else "instruct-pix2pix", foreign.tensors)


def put(base: Base, network: Network, foreign: Foreign) -> Base:
    """Put a network of a file into a base.

    Args:
        base: The base; it may be changed in place.
        network: The network.
        foreign: Its file, for messages.

    Raises:
        AdapterError: It does not fit the base.
    """
    if network.method == "custom-diffusion":
        here = custom_diffusion.projections(base)
        _fill({name: layer.weight for name, layer in here.items()}, network, foreign, base)
        return base
    if network.method == "controlnet":
        net = _beside(base, network, foreign)
        _fill(net.state_dict(), network, foreign, base)
        net = nn.Module.to(
            net.requires_grad_(False).eval(), base.device, base.dtype
        )  # diffusers' own warns of nothing
        return replace(base, controls=((net, 1.0),))
    copied = copy.deepcopy(base.network)
    changed = replace(base, network=copied, schedule=_schedule(foreign, base))
    if network.method == "instruct-pix2pix":
        base.family.widen(changed)
    _fill(copied.state_dict(), network, foreign, base)
    copied.requires_grad_(False)
    return changed


def _fill(state: Mapping[str, Tensor], network: Network, foreign: Foreign, base: Base) -> None:
    """Every tensor into its place, and none left over."""
    sizes, theirs = (
        {name: tuple(tensor.shape) for name, tensor in side.items()}
        for side in (state, network.tensors)
    )
    wrong = sorted(
        name for name in sizes.keys() | theirs.keys() if sizes.get(name) != theirs.get(name)
    )
    if wrong:
        first = wrong[0]
        raise AdapterError(
            f"{foreign.path} does not fit base '{base.name}': {first} is "
            f"{theirs.get(first, 'not there')} in it and {sizes.get(first, 'not there')} in this "
            "base; give the base that it was made for with `base`"
        )
    with torch.no_grad():
        for name, place in state.items():
            place.copy_(network.tensors[name])


def _beside(base: Base, network: Network, foreign: Foreign) -> Any:
    """A ControlNet for this base that reads hints as the file's does."""
    first = network.tensors[f"{HINT}.conv_in.weight"]
    halvings: list[int] = []
    while (
        halving := f"{HINT}.blocks.{2 * len(halvings) + 1}.weight"
    ) in network.tensors:  # every other convolution halves
        halvings.append(network.tensors[halving].shape[0])
    if first.shape[1] != 3 or 2 ** len(halvings) != base.factor:
        raise AdapterError(
            f"{foreign.path} reads hints of {first.shape[1]} channels and of {2 ** len(halvings)} "
            f"pixels to a latent; latentdrift shows 3 channels, and base '{base.name}' has "
            f"{base.factor} pixels to a latent"
        )
    with torch.random.fork_rng(devices=[]):
        return base.family.new_controlnet(base, (first.shape[0], *halvings))


def _pipeline(foreign: Foreign, base: Base) -> Path | None:
    """The folder of the pipeline that a network's file is part of."""
    folder = foreign.path.parent
    is_part = folder.name == base.family.network_folder and (folder.parent / PIPELINE).is_file()
    return folder.parent if is_part else None


def _schedule(foreign: Foreign, base: Base) -> Schedule:
    """The base's, as the U-Net's pipeline alters it."""
    folder = _pipeline(foreign, base)
    if folder is None:
        return base.schedule
    theirs = read_schedule(folder)
    return base.schedule.altered(theirs.prediction_type, theirs.zero_snr)


def _check_pipeline(foreign: Foreign, base: Base) -> None:
    """Check that nothing but the U-Net was trained.

    Raises:
        AdapterError: Another autoencoder, text encoder or schedule.
    """
    folder = _pipeline(foreign, base) or foreign.path.parent
    other = []
    for part, own_part in {"vae": base.vae, **base.text_encoders}.items():
        try:
            theirs = base.family.load_component(folder, part, torch.float32).state_dict()
        except (OSError, ValueError, RuntimeError, BaseModelError) as error:
            raise AdapterError(
                f"the {part} of {folder} cannot be read ({error}); give its "
                f"{base.family.network_folder} folder alone"
            ) from error
        if not _same(own_part.state_dict(), theirs):
            other.append(part)
    schedule = read_schedule(folder)
    own = _schedule(foreign, base)
    if not torch.allclose(own.alpha_bar, schedule.alpha_bar):
        other.append("schedule")
    if other:
        raise AdapterError(
            f"{folder} is a whole pipeline with another {' and '.join(other)} than base "
            f"'{base.name}', and not an adapter of it: if it draws from text, take it as a base of "
            f"its own, `base={folder}`"
        )


def _same(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    """Whether two networks are the same, kept in any number format."""
    if mine.keys() != theirs.keys() or any(mine[name].shape != theirs[name].shape for name in mine):
        return False
    kinds = (torch.float32, torch.float16, torch.bfloat16)
    return any(
        all(torch.equal(mine[name].to(kind), theirs[name].to(kind)) for name in mine)
        for kind in kinds
    )

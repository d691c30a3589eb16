"""A base in training whose tensors have shapes and a device, but no memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from latentdrift.adapt.training.setup.training_setup import Job
from latentdrift.adapt.training.setup.training_start import begin
from latentdrift.model.base import Base

META = torch.device("meta")


def begun(base: Base, todo: Job) -> tuple[Base, dict[str, nn.Parameter]]:
    """Prepare a base for training, as `begin` does, without memory for it.

    Args:
        base: The base, from `Base.load`. One with weights is used up, as by a fit.
        todo: The resolved fit.

    Returns:
        The prepared base, and its trained parameters by name.

    Raises:
        As `begin`.
    """
    if base.has_weights:
        return begin(base, todo)
    with META:
        prepared, parameters = begin(replace(base, device=META), todo)
    return replace(prepared, device=base.device), parameters


def networks(base: Base) -> list[Any]:
    """Every network of a base: autoencoder, denoiser, text encoders and ControlNets."""
    controls = [network for network, _ in base.controls]
    return [base.vae, base.network, *base.text_encoders.values(), *controls]


def tensors(base: Base) -> Iterator[Tensor]:
    """Parameters and buffers of every network of a base."""
    for network in networks(base):
        yield from network.parameters()
        yield from network.buffers()


def fake(
    base: Base, parameters: Mapping[str, nn.Parameter]
) -> tuple[Base, dict[str, nn.Parameter]]:
    """Copy a base under a FakeTensorMode; the copy has the shapes and takes no memory.

    Args:
        base: The base, with weights or without; it stays as it is.
        parameters: Its trained parameters by name.

    Returns:
        The copy, and its trained parameters by name.
    """
    copies: dict[int, Any] = {}
    for tensor in tensors(base):
        copied = torch.empty(tensor.shape, dtype=tensor.dtype, device=base.device)
        copies[id(tensor)] = (
            nn.Parameter(copied, tensor.requires_grad)
            if tensor.dtype.is_floating_point and isinstance(tensor, nn.Parameter)
            else copied
        )
    trained = {name: copies[id(parameter)] for name, parameter in parameters.items()}
    parts = (base.vae, base.network, dict(base.text_encoders), base.controls)
    # deepcopy takes from its memo what is copied already: every tensor
    vae, network, encoders, controls = copy.deepcopy(parts, copies)
    copied_base = replace(base, vae=vae, network=network, text_encoders=encoders, controls=controls)
    return copied_base, trained

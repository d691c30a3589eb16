"""Bases without memory: the parameters of every method, with the same names and shapes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fits import asked
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from variants import some_at_once

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.planning.fake_base import begun, fake, networks, tensors
from latentdrift.adapt.training.setup.training_setup import job
from latentdrift.adapt.training.setup.training_start import begin
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", some_at_once(METHODS, ("lora", "controlnet")))
def test_a_base_without_weights_begins_as_one_with_weights(
    method: str, precision: str, tiny_base_folder: Path, cohort: Cohort
) -> None:
    shapes = []
    for weights in (True, False):
        base = Base.load(tiny_base_folder, device="cpu", precision=precision, weights=weights)
        more = {"hint": "edges"} if method == "controlnet" else {}
        options = asked(tiny_base_folder, cohort, Path("unused"), method=method, **more)
        todo = job(base, cohort, options)
        prepared, parameters = begun(base, todo) if not weights else begin(base, todo)
        assert prepared.has_weights is weights and prepared.device.type == "cpu"
        shapes.append(
            (
                {name: (tuple(p.shape), p.dtype) for name, p in parameters.items()},
                [(tuple(p.shape), p.dtype, p.requires_grad) for p in tensors(prepared)],
            )
        )
    assert shapes[0] == shapes[1]


def test_a_fake_base_shares_nothing_with_the_real_one(
    tiny_base_folder: Path, cohort: Cohort
) -> None:
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    todo = job(base, cohort, asked(tiny_base_folder, cohort, Path("unused"), method="lora"))
    prepared, parameters = begin(base, todo)
    before = [tensor.clone() for tensor in tensors(prepared)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        copied, trained = fake(prepared, parameters)
    assert all(isinstance(tensor, FakeTensor) for tensor in tensors(copied))
    assert trained.keys() == parameters.keys()
    own = {id(parameter) for parameter in copied.network.parameters()}
    assert all(id(parameter) in own for parameter in trained.values())
    assert len(networks(copied)) == len(networks(prepared))
    assert all(
        torch.equal(one, other) for one, other in zip(tensors(prepared), before, strict=True)
    )

"""The gradient of several processes is that of one, whatever is trained and however."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import forked
from torch import nn

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches.batches import Batch
from latentdrift.adapt.training.loop.distributed import Processes
from latentdrift.adapt.training.loop.shared_losses import SharedLosses

CASES: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in METHODS},
    "text encoder": {"method": "full", "train_text_encoder": True},
    "matrices in the text encoder": {"method": "lora", "train_text_encoder": True},
    "passes": {"method": "lora", "accumulate": 2},
    "weighted times and a parameter without a part": {
        "method": "lora",
        "accumulate": 2,
        "min_snr": 5.0,
        "unused": True,
    },
    "recomputed activations": {"method": "full", "gradient_checkpointing": True},
    "weighted images": {"method": "lora", "counts": [2.0, 1.0, 0.5, 0.25]},
    "bf16": {"method": "lora", "precision": "bf16", "accumulate": 2},
}
"""Entries of a case of `gradients.difference`."""
FEW = ("weighted times and a parameter without a part",)
"""Cases that the quick test runs: the others take a minute."""
TOLERANCE = {"bf16": 1e-2}
"""Largest relative difference of two gradients where it is not 1e-5."""

COMPARED = """
import json
import gradients

folder, cases = {folder!r}, json.loads({cases!r})
found = [gradients.difference(folder, case) for case in cases]
sys.stdout.write(json.dumps(found))
"""


AVERAGED = """
import json
import gradients
sys.stdout.write(json.dumps(gradients.averaged({folder!r}, {{"method": "lora", "accumulate": 2}})))
"""


def differences(names: list[str], base: Path, folder: Path) -> None:
    """Compare the gradients of two processes with those of one."""
    cases = json.dumps([CASES[name] for name in names])
    compared = COMPARED.format(folder=str(base), cases=cases)
    for rank in forked([], 2, folder, compared):
        assert rank.code == 0, rank.err
        for name, difference in zip(names, json.loads(rank.out), strict=True):
            assert difference < TOLERANCE.get(name, 1e-5), (name, difference)


def test_the_gradient_of_two_processes_is_that_of_one(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    differences(list(FEW), tiny_base_folder, tmp_path / "ranks")


@pytest.mark.slow
def test_the_gradient_of_two_processes_is_that_of_one_for_all_that_is_trained(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    differences([name for name in CASES if name not in FEW], tiny_base_folder, tmp_path / "ranks")


@pytest.mark.slow
def test_gradients_are_averaged_once_a_step(tiny_base_folder: Path, tmp_path: Path) -> None:
    program = AVERAGED.format(folder=str(tiny_base_folder))
    for rank in forked([], 2, tmp_path / "ranks", program):
        assert json.loads(rank.out) == [False, True]


def batch() -> Batch:
    x0, eps = torch.ones((2, 4, 1, 2, 2))
    return Batch(x0, eps, torch.arange(4), tuple("abcd"), tuple("ABCD"))


def test_one_process_computes_the_losses_themselves() -> None:
    weight = nn.Parameter(torch.ones(4))
    shared = SharedLosses(lambda batch: weight * batch.t, [weight], Processes())
    with shared.forward_pass(batch(), last=False) as losses:
        losses.sum().backward()
    assert weight.grad.tolist() == [0, 1, 2, 3]
    assert not torch.distributed.is_initialized()


def test_parameters_outside_of_the_graph_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    used, beside = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    monkeypatch.setattr(Processes, "largest", lambda self, number: number)

    def leaves_out(parameters: list[nn.Parameter], losses: Any) -> bool:
        return SharedLosses(losses, parameters, Processes(0, 2))._leaves_out_some(batch())

    assert not leaves_out([used], lambda batch: (used * 2 + batch.t).exp())
    assert leaves_out([used, beside], lambda batch: used * batch.t)
    assert not leaves_out([used, beside], lambda batch: (used * batch.t) @ beside)

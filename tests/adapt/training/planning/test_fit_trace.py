"""Memory and operations of a fit: what can be counted by hand, and how options change them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import asked

from latentdrift.adapt.training.planning.fake_base import tensors
from latentdrift.adapt.training.planning.fit_trace import BegunFit, FitTrace, Memory, trace
from latentdrift.adapt.training.planning.machine_memory import program
from latentdrift.adapt.training.setup.training_setup import job
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import META, Base

Begin = Callable[..., BegunFit]


@pytest.fixture(scope="module")
def begin(tiny_base_folder: Path, cohort: Cohort) -> Begin:
    """A fit of the tiny base, without weights."""

    @cache
    def make(precision: str = "fp32", **more: Any) -> BegunFit:
        base = Base.load(tiny_base_folder, device="cpu", precision=precision, weights=False)
        options = asked(tiny_base_folder, cohort, Path("unused"), **{"method": "full", **more})
        return BegunFit.of(base, job(base, cohort, options))

    return make


@cache
def counted(fit: BegunFit) -> FitTrace:
    """Trace of a fit; of each fit once."""
    return trace(fit)


def test_weights_and_the_optimisers_state_are_known_by_hand(begin: Begin) -> None:
    fit = begin(ema=0.9)
    trained = sum(parameter.nbytes for parameter in fit.base.network.parameters())
    memory = trace(fit, program=1000).memory
    assert memory.weights == sum(tensor.nbytes for tensor in tensors(fit.base))
    assert memory.optimizer == 2 * trained
    assert memory.average == trained
    assert memory.total == 1000 + sum(
        getattr(memory, kind)
        for kind in (
            "weights",
            "gradients",
            "optimizer",
            "average",
            "activations",
            "temporaries",
        )
    )


def test_the_peak_holds_all_gradients_where_little_else_is_needed(begin: Begin) -> None:
    fit = begin(batch_size=1)
    memory = counted(fit).memory
    lower = memory.weights + memory.optimizer + sum(p.nbytes for p in fit.parameters.values())
    assert memory.total >= lower


def test_memory_is_that_of_one_pass_and_time_that_of_all(begin: Begin) -> None:
    one = counted(begin(batch_size=2))
    four = counted(begin(batch_size=2, accumulate=4))
    # gradients of the first pass are there while the second runs
    assert one.memory.total <= four.memory.total
    assert four.memory.total - one.memory.total <= 4 * begin().trained
    assert four.memory.activations == pytest.approx(one.memory.activations, rel=0.3)
    assert four.operations.step == 4 * one.operations.step
    assert four.operations.encoding == one.operations.encoding


def test_a_step_is_three_forward_passes(begin: Begin) -> None:
    """Each layer multiplies once forwards and twice backwards (gradients of inputs and weights)."""
    operations = counted(begin(batch_size=8)).operations
    assert operations.step == pytest.approx(3 * operations.watching, rel=0.03)


@pytest.mark.slow
def test_activations_grow_with_the_batch_and_shrink_with_bits(begin: Begin) -> None:
    small, large, coarse = (
        counted(begin(method="lora", targets="attention", **more)).memory
        for more in ({"batch_size": 8}, {"batch_size": 16}, {"batch_size": 16, "precision": "bf16"})
    )
    assert large.activations == pytest.approx(2 * small.activations, rel=0.05)
    # autocast also saves the matrices of LoRA, which are float32, in bf16
    assert large.activations / 2 < coarse.activations < 0.75 * large.activations
    assert coarse.weights == pytest.approx(large.weights / 2, rel=0.01)


def test_what_is_recomputed_is_not_stored(begin: Begin) -> None:
    plain = counted(begin(batch_size=32))
    again = counted(begin(batch_size=32, gradient_checkpointing=True))
    assert again.memory.activations < 0.2 * plain.memory.activations
    assert again.memory.total < plain.memory.total
    assert again.operations.step > 1.2 * plain.operations.step


@pytest.mark.slow
def test_several_processes_share_a_batch_and_keep_the_memory_of_gradients(begin: Begin) -> None:
    fit = begin(batch_size=8)
    shared = trace(fit, processes=2).memory
    alone = counted(begin(batch_size=4)).memory
    assert shared.gradients == 4 * fit.trained
    assert alone.gradients < shared.gradients
    assert alone.total < shared.total <= alone.total + shared.gradients
    assert trace(begin(batch_size=8, accumulate=2), processes=2).memory.gradients == 4 * fit.trained


def test_a_coarse_network_stays_beside_the_exact_one(begin: Begin) -> None:
    """`full` trains float32 weights; the network that was loaded in bf16 is still referred to."""
    fit = begin("bf16")
    assert fit.unused == sum(parameter.nbytes for parameter in fit.base.network.parameters()) // 2
    assert begin().unused == 0


@pytest.mark.slow
def test_a_base_with_weights_counts_as_one_without(
    begin: Begin, tiny_base_folder: Path, cohort: Cohort
) -> None:
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    options = asked(tiny_base_folder, cohort, Path("unused"), method="lora")
    real = BegunFit.of(base, job(base, cohort, options))
    before = [tensor.clone() for tensor in tensors(real.base)]
    assert counted(real) == counted(begin(method="lora"))
    assert all(torch.equal(*pair) for pair in zip(tensors(real.base), before, strict=True))


def test_parts_sum_to_the_total() -> None:
    assert Memory(1, 2, 3, 4, 5, 6, 7).total == 28


@pytest.mark.slow
def test_a_network_of_stable_diffusions_size_is_planned_in_little_memory(begin: Begin) -> None:
    from diffusers import UNet2DConditionModel

    fit = begin()
    before = program()
    with META:
        network = UNet2DConditionModel(
            sample_size=64,
            cross_attention_dim=fit.base.network.config.cross_attention_dim,
            attention_head_dim=8,
            block_out_channels=(320, 640, 1280, 1280),
        )
    base = replace(fit.base, network=network)
    large = BegunFit(base, dict(network.named_parameters()), fit.todo, fit.dtype)
    memory = trace(large).memory
    assert large.trained > 7e8
    assert memory.total > 16 * large.trained  # weights, gradients and two moments of 4 bytes each
    assert program() - before < 1.5e9

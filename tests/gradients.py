"""Gradients of one trainer by all processes, and of its twin by this process alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from method_fits import beside, job, load, prompts
from torch import Tensor

from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.batches import Batch
from latentdrift.adapt.training.loop.distributed import ALONE, Processes
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.setup.training_start import begin
from latentdrift.model.drift import Drift

IMAGES = 4
OWN = ("method", "counts", "precision", "unused")
"""Entries of a case that are no options of the job: weights of the images, precision of the base,
and whether there is a parameter without a part in the losses."""


def difference(folder: str, case: Mapping[str, Any]) -> float:
    """Relative difference between the gradients of all processes and of one, of equal steps.

    Two steps are made, the second after an update of the weights.

    Args:
        folder: Folder of the base.
        case: Options of the fit, and entries of OWN.
    """
    twins = []
    for processes in (Processes.join("cpu"), ALONE):
        trainer, batch = _begun(folder, case, processes)
        twins.append([_gradient(trainer, batch) for _ in range(2)])
    pairs = zip(*twins, strict=True)
    return max(float((shared - own).norm() / own.norm()) for shared, own in pairs)


def averaged(folder: str, case: Mapping[str, Any]) -> list[bool]:
    """Whether the engine averages gradients in each pass of a step.

    Args:
        folder: Folder of the base.
        case: Options of the fit.
    """
    trainer, batch = _begun(folder, case, Processes.join("cpu"))
    trainer.update(batch)
    passes: list[bool] = []
    engine = trainer.shared._engine
    first = next(iter(trainer.parameters.values()))
    first.register_post_accumulate_grad_hook(
        lambda _: passes.append(engine.model.require_backward_grad_sync)
    )
    trainer.update(batch)
    return passes


def _begun(folder: str, case: Mapping[str, Any], processes: Processes) -> tuple[Trainer, Batch]:
    """A trainer and the batch of its steps."""
    options = {name: case[name] for name in case if name not in OWN}
    base = load(Path(folder), case.get("precision", "fp32"))
    number = base.dtype
    todo = job(case["method"], batch_size=IMAGES // options.get("accumulate", 1), **options)
    base, parameters = begin(base, todo)
    texts = prompts(case["method"])
    contexts = latent_cache.live_contexts(base, texts)
    if case.get("unused"):
        parameters = {**parameters, "unused": torch.nn.Parameter(torch.ones(3))}
    drift = Drift.of((0.1, 0, 0, 0))
    trainer = Trainer(base, parameters, contexts, drift, todo, number, processes)
    return trainer, _batch(base, texts, case.get("counts"))


def _batch(base: Any, texts: list[str], counts: list[float] | None) -> Batch:
    """Images of noise, whose prompts alternate."""
    source = torch.Generator().manual_seed(1)
    x0, eps = torch.randn((2, IMAGES, 4, 8, 8), generator=source)
    captions = tuple(texts[place % 2] for place in range(IMAGES))
    times = torch.tensor([50, 300, 600, 900])
    shown = next(iter(beside(base, IMAGES)), None)
    weights = None if counts is None else torch.tensor(counts)
    return Batch(x0, eps, times, captions, captions, beside=shown, counts=weights)


def _gradient(trainer: Trainer, batch: Batch) -> Tensor:
    """Gradient that a step is made with, in one row; parameters without one are missing."""
    seen: list[Tensor] = []

    def look(*_: Any) -> None:
        seen.extend(
            weight.grad.flatten().double()
            for weight in trainer.parameters.values()
            if weight.grad is not None
        )

    hook = trainer.optimizer.register_step_pre_hook(look)
    trainer.update(batch)
    hook.remove()
    return torch.cat(seen)

"""Short fits of any method in METHODS, without a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from infos import info_of

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.batches import Batch
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.optimization.lr_schedules import Rates
from latentdrift.adapt.training.optimization.optimizers import optimizer
from latentdrift.adapt.training.setup.training_setup import Job
from latentdrift.adapt.training.setup.training_start import begin
from latentdrift.config import FitOptions
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift
from latentdrift.model.noise import Noise

PLAIN = ["a brain MRI of a 75 year old female", ""]


def options(name: str, **more: Any) -> FitOptions:
    given = FitOptions(
        cohort=Path("c"), out=Path("o"), method=name, **{"rank": 4, "vectors": 3, **more}
    )
    return METHODS[name].completed(given)


def words(name: str) -> dict[str, str]:
    """What a fit of this method would learn, and what it starts as."""
    return {"<cohort>": "brain MRI"} if METHODS[name].learns_word else {}


def job(name: str, **more: Any) -> Job:
    asked = options(name, **more)
    rates = Rates.of(1e-2, "constant", None, asked.steps)
    return Job(
        asked,
        METHODS[name],
        rates,
        optimizer("adamw"),
        32,
        "",
        "brain MRI",
        words(name),
        (),
        (),
        Noise(),
        {},
    )


def prepared(base: Base, name: str, **more: Any) -> tuple[Base, dict[str, torch.nn.Parameter]]:
    return begin(base, job(name, **more))


def load(folder: Path, precision: str = "fp32") -> Base:
    return Base.load(folder, device="cpu", precision=precision)


def prompts(name: str) -> list[str]:
    return ["a <cohort> of a male", "the <cohort>"] if METHODS[name].learns_word else PLAIN


def beside(base: Base, images: int) -> list[torch.Tensor]:
    """What the network is shown beside noise and text: a source, where it sees one, and a hint for
    each ControlNet."""
    source = torch.Generator().manual_seed(2)
    pictures = list(torch.randn((int(base.sees_source), images, 4, 8, 8), generator=source))
    return pictures + list(torch.rand((len(base.controls), images, 3, 32, 32), generator=source))


def told(base: Base, texts: list[str]) -> Any:
    """The context of prompts, with what the network is shown."""
    return base.with_images(base.embed(texts), beside(base, len(texts)))


def predict(base: Base, texts: list[str] = PLAIN) -> torch.Tensor:
    xt = torch.randn((len(texts), 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return base.denoiser()(xt, torch.tensor([10, 700][: len(texts)]), told(base, texts))


def trained(
    base: Base, name: str, steps: int = 3, delta: tuple[float, ...] = (), **more: Any
) -> tuple[Base, Trainer, list[float]]:
    """The base after a few updates on one batch, and the losses."""
    number = base.dtype
    source = torch.Generator().manual_seed(1)
    todo = job(name, steps=steps, **more)
    base, parameters = begin(base, todo)
    texts = prompts(name)
    if todo.reads:
        contexts = latent_cache.live_contexts(base, texts)
    else:
        embedded = base.embed(texts)

        def contexts(asked: Any) -> Conditioning:
            return embedded[[texts.index(text) for text in asked]]

    trainer = Trainer(base, parameters, contexts, Drift.of(delta), todo, number)
    x0, eps = torch.randn((2, 2, 4, 8, 8), generator=source)
    shown = next(iter(beside(base, 2)), None)
    batch = Batch(x0, eps, torch.tensor([300, 800]), tuple(texts), tuple(texts), beside=shown)
    return base, trainer, [trainer.update(batch).loss for _ in range(steps)]


def info(name: str) -> AdapterInfo:
    given = options(name)
    return info_of(options={field: getattr(given, field) for field in METHODS[name].options})

"""EDITORS: from a source latent and what is said of it to a reconstruction and a counterfactual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentdrift.edit.instructed import Instruction, instruct_pix2pix
from latentdrift.edit.inversion import ddim_inversion
from latentdrift.errors import OptionError, unknown
from latentdrift.model.base import Base
from latentdrift.model.schedule import Denoiser, Schedule
from latentdrift.sample.guidance import guide
from latentdrift.sample.samplers import run


@dataclass(frozen=True)
class Task:
    """One edit by a prompt pair, in latents."""

    denoiser: Denoiser
    """The network with drift wrapped around it, that of the source's class."""
    changed: Denoiser
    """The same with that of the class that the image is changed to; one network where drift does not differ by class."""
    schedule: Schedule
    x0: Tensor
    """Scaled latent of the source image [1, C, h, w]."""
    source: Tensor
    """Context of the prompt that describes the source [1, L, D]."""
    target: Tensor
    """Context of the changed prompt."""
    empty: Tensor
    """Context of the empty prompt."""
    strength: float
    """Share of the trajectory that is run back, (0, 1]."""
    steps: int
    """Steps of the full trajectory."""
    guidance: float
    """Weight w of the changed prompt; 1 is none."""
    generator: torch.Generator
    """All that is random about the edit."""

    @property
    def depth(self) -> int:
        """Steps that are run back and forth again."""
        return max(1, round(self.strength * self.steps))

    def reconstruct(self, xt: Tensor, w: float, reference: Tensor) -> Tensor:
        """DDIM from xt, `depth` steps up, to x0, guided from the reference context towards the source's."""
        return self._sample(self.denoiser, xt, w, reference, self.source)

    def change(self, xt: Tensor, w: float, reference: Tensor) -> Tensor:
        """The same towards the changed prompt's."""
        return self._sample(self.changed, xt, w, reference, self.target)

    def _sample(self, network: Denoiser, xt: Tensor, w: float, reference: Tensor, condition: Tensor) -> Tensor:
        denoiser, start = guide(network, w), self.steps - self.depth
        return run(denoiser, self.schedule, "ddim", self.steps, xt, (reference, condition), [self.generator], start_index=start)


def sdedit(task: Task) -> tuple[Tensor, Tensor]:
    """Noise the source and sample it again under either prompt (Meng et al. 2022, SDEdit, algorithm 1)."""
    t = task.schedule.timesteps(task.steps)[task.steps - task.depth]
    eps = torch.randn(task.x0.shape, generator=task.generator).to(task.x0)
    xt = task.schedule.add_noise(task.x0, eps, t)
    w = task.guidance
    return task.reconstruct(xt, w, task.empty), task.change(xt, w, task.empty)


def ddim(task: Task) -> tuple[Tensor, Tensor]:
    """Invert the source under its own prompt and sample under the changed one (Song et al. 2021, section 5.5).

    Guidance leads away from the source's prompt instead of the empty one (Miyake et al. 2023, negative-prompt inversion):
    then the reconstruction is the case of no change, at any w.
    """
    xt = ddim_inversion(task.denoiser, task.schedule, task.x0, task.source, task.steps, task.depth)
    return task.reconstruct(xt, 1, task.source), task.change(xt, task.guidance, task.source)


@dataclass(frozen=True)
class Editor:
    """A row."""

    edit: Callable[[Any], tuple[Tensor, Tensor]]
    """From a `task` to the latents (reconstruction, counterfactual)."""
    task: type[Task] | type[Instruction] = Task
    """Two prompts for a network that knows pictures by them, or an instruction for one that is shown the source."""
    options: tuple[str, ...] = ("strength", "steps", "guidance", "seed")
    """The options of `edit` that reach it."""

    @property
    def instructed(self) -> bool:
        """Whether the network is shown the source and told what to change."""
        return self.task is Instruction


EDITORS: dict[str, Editor] = {
    "sdedit": Editor(sdedit),
    "ddim": Editor(ddim),
    "instruct-pix2pix": Editor(instruct_pix2pix, Instruction, ("steps", "guidance", "image_guidance", "seed")),
}


def chosen(name: str | None, base: Base) -> str:
    """The editor that is asked for, or else the one that the network is made for.

    Raises:
        OptionError: No such row, or one for another kind of network.
    """
    if name is None:
        return "instruct-pix2pix" if base.sees_source else "ddim"
    if name not in EDITORS:
        raise unknown("editor", name, EDITORS)
    if EDITORS[name].instructed != base.sees_source:
        able = " or ".join(known for known, row in EDITORS.items() if row.instructed == base.sees_source)
        reads = "is shown a picture and told what to change" if base.sees_source else "is not shown the picture to change"
        raise OptionError(f"editor '{name}' is not for this network, which {reads}; take {able}, or leave --editor out")
    return name

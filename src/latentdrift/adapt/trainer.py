"""One update of one denoiser: the same for every method."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentdrift.adapt import checkpoint
from latentdrift.adapt.batches import Batch
from latentdrift.adapt.job import Job
from latentdrift.adapt.losses import denoising_loss
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift

WARM_UP = 20  # steps of linear warm-up, at most a tenth of the run
MAX_NORM = 1.0  # of the gradient (diffusers' training examples)

Contexts = Callable[[Sequence[str]], Tensor]
"""Prompts -> embeddings [B, L, D], with a gradient where the text side is trained."""


@dataclass(frozen=True)
class Outcome:
    """One update: the loss before it, the gradient's norm, the learning rate."""

    loss: float
    norm: float
    rate: float

    @property
    def finite(self) -> bool:
        """Whether loss and gradient are numbers; where they are not, nothing was updated."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Trainer:
    """The network that is trained, AdamW, and how many steps are `done`."""

    def __init__(
        self,
        base: Base,
        parameters: Mapping[str, torch.nn.Parameter],
        contexts: Contexts,
        drift: Drift,
        todo: Job,
        number: torch.dtype,
    ) -> None:
        """
        Args:
            base: What the method's `prepare` returned.
            parameters: The same, float32.
            contexts: Embeddings of prompts.
            drift: Wraps the denoiser.
            todo: Rates and length of the run.
            number: Number format of the arithmetic: by autocast where the network's weights are finer.
        """
        self.base, self.parameters, self.contexts = base, parameters, contexts
        self.rate, self.number, self.done = todo.rate, number, 0
        self.warm_up = max(1, min(WARM_UP, todo.options.steps // 10))
        self.drift = drift
        self.optimizer = torch.optim.AdamW(
            list(parameters.values()), lr=todo.rate, weight_decay=todo.row.weight_decay, fused=True
        )

    def losses(self, batch: Batch) -> Tensor:
        """Loss per image [B]."""
        device = self.base.device
        x0, eps, t = batch.x0.to(device), batch.eps.to(device), batch.t.to(device)
        seen = None if batch.seen is None else batch.seen.to(device)
        denoiser = self.drift.wrap_training(self.base.denoiser(), self.base.schedule, batch.captions)
        with torch.autocast(device.type, self.number, enabled=self.number != self.base.dtype):
            return denoising_loss(denoiser, self.base.schedule, x0, eps, t, self.contexts(batch.prompts).to(device), seen)

    def update(self, batch: Batch) -> Outcome:
        """One optimiser step; none, if loss or gradient are not finite."""
        loss = self.losses(batch).mean()
        # The gradient of a mean over a latent underflows in fp16; that of the sum does not. The weights are float32.
        scale = batch.x0[0].numel() if self.number == torch.float16 else 1
        (loss * scale).backward()
        for weight in self.parameters.values():
            if weight.grad is not None and scale != 1:
                weight.grad.div_(scale)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), MAX_NORM)
        outcome = Outcome(loss.item(), norm.item(), self.rate * min(1.0, (self.done + 1) / self.warm_up))
        if outcome.finite:
            self.optimizer.param_groups[0]["lr"] = outcome.rate
            with _whole():
                self.optimizer.step()
                self.done += 1
        self.optimizer.zero_grad(set_to_none=True)
        return outcome

    @torch.no_grad()
    def held_out(self, batches: Sequence[Batch]) -> float | None:
        """Mean loss over fixed batches; None where there are none."""
        return torch.cat([self.losses(batch).cpu() for batch in batches]).mean().item() if batches else None

    def save(self, root: Path) -> None:
        """Write a checkpoint of the steps done."""
        checkpoint.write(root, self.done, self.parameters, self.optimizer)

    def restore(self, last: checkpoint.Checkpoint | None) -> None:
        """Go on from a checkpoint, if there is one."""
        if last:
            last.restore(self.parameters, self.optimizer)
            self.done = last.step


@contextmanager
def _whole() -> Iterator[None]:
    """Ctrl-C waits until the block is done, so that weights, optimiser and step count belong together."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    pending: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pending.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pending:
        raise KeyboardInterrupt

"""One update of one denoiser: the same for every method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentdrift.adapt.training.batches.batches import Batch
from latentdrift.adapt.training.loop import checkpoint
from latentdrift.adapt.training.loop.distributed import ALONE, Processes
from latentdrift.adapt.training.loop.shared_losses import SharedLosses
from latentdrift.adapt.training.loop.stop_signals import held_back
from latentdrift.adapt.training.optimization.early_stopping import Patience
from latentdrift.adapt.training.optimization.ema import Average
from latentdrift.adapt.training.optimization.losses import denoising_loss, min_snr
from latentdrift.adapt.training.setup.training_setup import Job
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift

MAX_NORM = 1.0  # of the gradient (diffusers' training examples)

Contexts = Callable[[Sequence[str]], Conditioning]
"""Prompts -> their encoding, with a gradient where the text encoder is trained."""


@dataclass(frozen=True)
class Outcome:
    """One update: the loss before it, the gradient's norm, the learning rate."""

    loss: float
    norm: float
    rate: float

    @property
    def finite(self) -> bool:
        """Whether loss and gradient norm are finite; if not, no weight was updated."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Trainer:
    """The network that is trained, its optimiser, and how many steps are `done`."""

    def __init__(
        self,
        base: Base,
        parameters: Mapping[str, torch.nn.Parameter],
        contexts: Contexts,
        drift: Drift,
        todo: Job,
        number: torch.dtype,
        processes: Processes = ALONE,
    ) -> None:
        """
        Args:
            base: What the method's `prepare` returned.
            parameters: The same, float32.
            contexts: Embeddings of prompts.
            drift: Wraps the denoiser.
            todo: Rates, optimiser and the ways of making a step.
            number: Number format of the arithmetic: by autocast where the network's weights are
                finer.
            processes: Processes that share the work.
        """
        options = todo.options
        self.base = base
        self.parameters = parameters
        self.contexts = contexts
        self.drift = drift
        self.number = number
        self.processes = processes
        self.rates = todo.rates
        self.passes = options.accumulate
        self.gamma = options.min_snr
        self.done = 0
        self.watched = -1
        """Steps that were done at the last look at the held-out loss."""
        self.optimizer = todo.optimizer.make(
            list(parameters.values()), todo.rate, todo.row.weight_decay
        )
        self.shared = SharedLosses(self.losses, list(parameters.values()), processes)
        self.average = Average(parameters, options.ema) if options.ema else None
        self.patience = Patience(options.patience) if options.patience else None
        if options.gradient_checkpointing:
            for net in (base.network, *(control for control, _ in base.controls)):
                net.enable_gradient_checkpointing()

    def losses(self, batch: Batch) -> Tensor:
        """Loss of each image, [B]; each latent has the weight that the batch gives it.

        Args:
            batch: A batch, on any device.
        """
        device = self.base.device
        x0 = batch.x0.to(device)
        eps = batch.eps.to(device)
        t = batch.t.to(device)
        seen = None if batch.seen is None else batch.seen.to(device)
        denoiser = self.drift.wrap_training(
            self.base.denoiser(), self.base.schedule, batch.captions
        )
        with torch.autocast(device.type, self.number, enabled=self.number != self.base.dtype):
            images = [] if batch.beside is None else [batch.beside.to(device)]
            read = self.base.with_images(self.contexts(batch.prompts).to(device), images)
            weight = None if batch.weight is None else batch.weight.to(device)
            return denoising_loss(denoiser, self.base.schedule, x0, eps, t, read, seen, weight)

    def update(self, batch: Batch) -> Outcome:
        """Make one optimiser step on the mean loss of a batch.

        The batch is processed in parts, of which each process takes its share. The step is skipped
        where loss or gradient are not finite.

        Args:
            batch: Batch of all processes, equal in each of them.

        Returns:
            Loss before the step, gradient norm and learning rate.
        """
        loss, norm = self.gradients(batch)
        outcome = Outcome(loss.item(), norm.item(), self.rates(self.done))
        if outcome.finite:
            self.optimizer.param_groups[0]["lr"] = outcome.rate
            with held_back():
                self.optimizer.step()
                if self.average:
                    self.average.follow(self.done)
                self.done += 1
        self.optimizer.zero_grad(set_to_none=True)
        return outcome

    def gradients(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Compute the clipped gradient of the mean loss of a batch, for the optimiser.

        Args:
            batch: Batch of all processes, equal in each of them.

        Returns:
            The loss, and the norm of its gradient before it is clipped.
        """
        # The gradient of a mean over a latent underflows in fp16; that of the sum does not. The
        # weights are float32.
        scale = batch.x0[0].numel() if self.number == torch.float16 else 1
        loss = torch.zeros((), device=self.base.device)
        parts = self._parts(batch)
        for part in parts:
            with self.shared.forward_pass(part, last=part is parts[-1]) as losses:
                share = self._weighted(losses, part).mean() * (len(part) / len(batch))
                # several processes take the mean of their gradients, and the sum is needed
                (share * (scale * self.processes.count)).backward()
                loss += share.detach()
        for weight in self.parameters.values():
            if weight.grad is not None and scale != 1:
                weight.grad.div_(scale)
        self.processes.add([loss])
        return loss, torch.nn.utils.clip_grad_norm_(self.parameters.values(), MAX_NORM)

    def _weighted(self, losses: Tensor, part: Batch) -> Tensor:
        """Losses of a part, times the weights of its times and images."""
        if self.gamma:
            losses = losses * min_snr(self.base.schedule, part.t, self.gamma).to(losses)
        if part.counts is not None:
            losses = losses * part.counts.to(losses)
        return losses

    def _parts(self, batch: Batch) -> list[Batch]:
        """Parts of a batch that go through this process's network one after another."""
        size = len(batch) // self.passes
        spans = [slice(first, first + size) for first in range(0, len(batch), size)]
        return [batch.part(span).part(self.processes.share(size)) for span in spans]

    @property
    def over(self) -> bool:
        """Whether early stopping ends the run before its last step."""
        return self.patience is not None and self.patience.over

    @torch.no_grad()
    def watch(self, batches: Sequence[Batch]) -> float | None:
        """Mean held-out loss with the final weights, over all processes.

        It is the unweighted loss, whatever is trained on, so runs can be compared. Early stopping
        takes note of it.

        Args:
            batches: Batches from `held_out`.

        Returns:
            The loss; None without batches.
        """
        with self.final_weights():
            mine = [
                self.losses(batch).cpu()
                for batch in batches[self.processes.rank :: self.processes.count]
            ]
        total = torch.cat([torch.zeros(0), *mine]).sum().to(self.base.device)
        self.processes.add([total])
        loss = (total / sum(len(batch) for batch in batches)).item() if batches else None
        with held_back():
            self.watched = self.done
            if self.patience and self.done and loss is not None:
                self.patience = self.patience.after(self.done, loss)
        return loss

    @contextmanager
    def final_weights(self) -> Iterator[None]:
        """Context in which the network has the weights of a fit that ends now.

        These are the averaged weights, or the trained ones where there is no average.
        """
        if self.average is None:
            yield
            return
        try:
            with held_back():
                self.average.swap()
            yield
        finally:
            if self.average.swapped:
                with held_back():
                    self.average.swap()

    def settle(self, root: Path) -> None:
        """Put the adapter's weights into the network, for good.

        They are those of the best checkpoint under early stopping, else the last; averaged, if
        there is an average.

        Args:
            root: The run's checkpoints folder.
        """
        if self.patience and self.patience.step:
            checkpoint.at(root, self.patience.step).load(
                self.parameters, average=self.average is not None
            )
        elif self.average:
            self.average.swap()

    def save(self, root: Path) -> None:
        """Write a checkpoint of the current step below `root`."""
        checkpoint.write(
            root,
            self.done,
            self.parameters,
            self.optimizer,
            self.average.weights if self.average else None,
            watched=self.watched,
            patience=self.patience,
        )

    def restore(self, last: checkpoint.Checkpoint | None) -> None:
        """Continue from a checkpoint; None: start from step 0."""
        if last:
            last.restore(
                self.parameters, self.optimizer, self.average.weights if self.average else None
            )
            self.done = last.step
            self.watched = last.watched
            if self.patience and last.patience:
                self.patience = last.patience

"""Memory and operations of a fit, counted by running its parts on tensors without memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from latentdrift.adapt.training.batches import latent_cache, row_cache
from latentdrift.adapt.training.batches.batches import AT_A_TIME, Batch
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.optimization.losses import draw_times
from latentdrift.adapt.training.planning.fake_base import begun, fake, tensors
from latentdrift.adapt.training.planning.live_memory import LiveMemory
from latentdrift.adapt.training.setup.training_setup import IMAGE_INPUTS, Job
from latentdrift.config import FitOptions
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift
from latentdrift.sample.generate import slots_of
from latentdrift.seeds import generator

UNSEEN = 1.25
"""Fits on a processor took up to so many times what a trace counts (docs/methods.md): kernels need
memory inside, and allocators lose some between tensors."""
PASSES = 2  # forward passes of a step that are traced: all after the first take the same memory
GUIDED = 2  # images in the network for each that is drawn: with its prompt and without

ATTENTION = {  # kernels of a processor, which torch's counter leaves out; shapes -> operations
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value)
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda grad, query, key, value, *_, **__: sdpa_backward_flop_count(grad, query, key, value)
    ),
}


@dataclass(frozen=True)
class Memory:
    """Bytes of a fit at the moment when it takes most.

    Attributes:
        program: Interpreter and libraries; 0 on a graphics card.
        weights: All networks that stay loaded, trained and frozen.
        gradients: Gradients of the trained weights.
        optimizer: State of the optimiser.
        average: Moving average of the trained weights.
        activations: Results that the backward pass needs.
        temporaries: All other tensors.
    """

    program: int = 0
    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    average: int = 0
    activations: int = 0
    temporaries: int = 0

    @property
    def total(self) -> int:
        """Sum of the parts."""
        return sum(asdict(self).values())

    @property
    def upper(self) -> int:
        """Bytes that have to be free for a fit to be sure of its memory."""
        return round(self.total * UNSEEN)


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of the parts of a fit.

    Attributes:
        encoding: Latents of row_cache.BLOCK images.
        step: One optimiser step.
        watching: Network without gradients, on AT_A_TIME images of the held-out loss; where there
            is none, on those that are drawn together.
    """

    encoding: int
    step: int
    watching: int


@dataclass(frozen=True)
class FitTrace:
    """Memory and operations of a fit."""

    memory: Memory
    operations: Operations


@dataclass(frozen=True, eq=False)
class BegunFit:
    """A fit before its first step, with weights or without.

    Attributes:
        base: The base as training begins.
        parameters: Its trained parameters by name.
        todo: The resolved fit.
        dtype: Number format of the arithmetic.
        unused: Bytes of networks that stay loaded and have no part in training.
    """

    base: Base
    parameters: Mapping[str, nn.Parameter]
    todo: Job
    dtype: torch.dtype
    unused: int = 0

    @classmethod
    def of(cls, base: Base, todo: Job) -> BegunFit:
        """Prepare a base for training.

        Args:
            base: The base with its schedule; one with weights is used up, as by a fit.
            todo: The resolved fit.
        """
        prepared, parameters = begun(base, todo)
        used = {id(tensor) for tensor in tensors(prepared)}
        unused = sum(tensor.nbytes for tensor in tensors(base) if id(tensor) not in used)
        return cls(prepared, parameters, todo, base.dtype, unused)

    def with_options(self, options: FitOptions) -> BegunFit:
        """The fit with options that leave its parameters as they are.

        Args:
            options: Its options with other steps.
        """
        return replace(self, todo=replace(self.todo, options=options))

    @property
    def trained(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters.values())


def trace(fit: BegunFit, *, processes: int = 1, program: int = 0) -> FitTrace:
    """Run the parts of a fit on tensors without memory, and count.

    Counted are the encoding of the images, an optimiser step, the held-out loss and the decoding of
    images. What kernels need inside is not seen, nor what an allocator loses between tensors.

    Args:
        fit: The fit.
        processes: Number of processes that share a batch.
        program: Bytes of the interpreter and libraries.
    """
    options = fit.todo.options
    passes = min(PASSES, options.accumulate)
    each = max(1, options.batch_size // processes)
    less = options.model_copy(update={"accumulate": passes, "batch_size": each})
    live = LiveMemory(fit.base.device)
    with FakeTensorMode(allow_non_fake_inputs=True), live:
        base, parameters = fake(fit.base, fit.parameters)
        unused = torch.empty(fit.unused, dtype=torch.uint8, device=base.device)
        live.count([*tensors(base), unused], "weights")
        short = replace(fit, base=base, parameters=parameters, todo=replace(fit.todo, options=less))
        _count_gradients(parameters, live, are_kept=processes > 1)
        operations = _operations(short, live)
    step = operations.step * options.accumulate // passes
    return FitTrace(Memory(program=program, **live.peak), replace(operations, step=step))


def _operations(fit: BegunFit, live: LiveMemory) -> Operations:
    """Run the parts of a fit in their order; its tensors have no memory."""
    base = fit.base
    todo = fit.todo
    trainer = Trainer(base, fit.parameters, contexts(base, todo), Drift(), todo, fit.dtype)
    size = todo.optimizer.state_bytes(fit.trained)
    state = torch.empty(size, dtype=torch.uint8, device=base.device)
    live.count([state], "optimizer")
    if trainer.average:
        live.count(trainer.average.weights.values(), "average")
    encoding = _flops(lambda: _encode(base, todo.resolution))
    batch = noise_batch(base, todo, todo.images_per_step * (2 if todo.options.prior_images else 1))
    step = _flops(lambda: _step(trainer, batch, live), grad=True)
    shown = AT_A_TIME if todo.validation else GUIDED * slots_of(base)
    watching = _flops(lambda: trainer.losses(noise_batch(base, todo, shown)))
    _flops(lambda: _decode(base, base.latent_size(todo.resolution)))
    return Operations(encoding, step, watching)


def _count_gradients(
    parameters: Mapping[str, nn.Parameter], live: LiveMemory, *, are_kept: bool
) -> None:
    """Count gradients as such when they are made.

    Args:
        parameters: Trained parameters by name.
        live: The count.
        are_kept: Whether their memory is taken before the first step and kept, as by the engine of
            several processes.
    """
    kept = {id(weight): torch.empty_like(weight) for weight in parameters.values() if are_kept}
    live.count(kept.values(), "gradients")

    def count(weight: nn.Parameter) -> None:
        if are_kept:
            weight.grad = kept[id(weight)]
        else:
            live.count([tensor for tensor in [weight.grad] if tensor is not None], "gradients")

    for parameter in parameters.values():
        parameter.register_post_accumulate_grad_hook(count)


def _encode(base: Base, side: int) -> None:
    """Encode the images that are encoded together, of so many pixels on a side."""
    pixels = torch.empty(row_cache.BLOCK, 3, side, side, device=base.device)
    base.family.moments(base, pixels.to(base.vae.dtype))


def _decode(base: Base, side: int) -> None:
    """Decode the images that are drawn together, of so many latents on a side."""
    shape = (slots_of(base), base.latent_channels, side, side)
    base.family.decode(base, torch.empty(shape, dtype=base.vae.dtype, device=base.device))


def _step(trainer: Trainer, batch: Batch, live: LiveMemory) -> None:
    """Gradients of a batch, with what is saved for them counted as activations."""
    with torch.autograd.graph.saved_tensors_hooks(live.save, lambda tensor: tensor):
        trainer.gradients(batch)
    trainer.optimizer.zero_grad(set_to_none=True)


def _flops(work: Callable[[], object], *, grad: bool = False) -> int:
    """Floating-point operations of `work`; grad: with gradients."""
    counter = FlopCounterMode(display=False, custom_mapping=ATTENTION)
    with counter, torch.set_grad_enabled(grad):
        work()
    return int(counter.get_total_flops())


def contexts(base: Base, todo: Job) -> Callable[[Sequence[str]], Conditioning]:
    """Function from prompts to an encoding of the shape and cost of theirs.

    Args:
        base: The base in training.
        todo: The resolved fit.
    """
    if todo.reads:
        return latent_cache.live_contexts(base, todo.prompts)
    with torch.no_grad():
        context = base.embed([todo.train[0].caption])
    return lambda prompts: context.expand(len(prompts))


def noise_batch(base: Base, todo: Job, count: int) -> Batch:
    """A batch of so many images of noise.

    Args:
        base: The base in training.
        todo: The resolved fit.
        count: Number of images.
    """
    source = generator(0, "plan")
    size = base.latent_size(todo.resolution)
    x0, eps = torch.randn((2, count, base.latent_channels, size, size), generator=source)
    captions = (todo.train[0].caption,) * count
    beside: Tensor | None = None
    if todo.row.image_input:
        shape = IMAGE_INPUTS[todo.row.image_input].shape(base, todo.resolution)
        beside = torch.zeros(count, *shape)
    times = draw_times(count, len(base.schedule.alpha_bar), source)
    return Batch(x0, eps, times, captions, captions, beside=beside)

"""Image + prompt pair -> the same image under the changed prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from latentdrift.edit.core.attention import Attention
from latentdrift.edit.core.controlnet import hashes, with_hints
from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.core.latent_blending import to_latents
from latentdrift.edit.core.sampling_start import start
from latentdrift.edit.core.task import Inverted, Task
from latentdrift.edit.core.token_alignment import of_prompts
from latentdrift.edit.editors.editors import EDITORS, Editor, check, chosen
from latentdrift.edit.editors.instruct_pix2pix import Instruction
from latentdrift.edit.editors.pix2pix_zero import direction
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.edit.inversions.inversion_cache import InversionCache
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.sample.samplers import configure
from latentdrift.seeds import generator

DEFAULT_SPEC = EditSpec()


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """Pictures [1, 3, R, R] in [-1, 1], on the CPU."""

    original: Tensor
    reconstruction: Tensor
    """Result of the editor without a change; its difference from the original is the loss of the
    method."""
    counterfactual: Tensor
    """With the change; the edit is what differs from the reconstruction."""
    others: tuple[tuple[Tensor, Tensor], ...] = ()
    """(reconstruction, counterfactual) under the next seeds."""

    @property
    def of_seeds(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """(reconstruction, counterfactual) under each seed."""
        return ((self.reconstruction, self.counterfactual), *self.others)

    @property
    def on_original(self) -> tuple[Tensor, ...]:
        """Original plus the change under each seed, [1, 3, R, R] in [-1, 1].

        The change is the counterfactual minus the reconstruction, so details that the
        reconstruction loses are preserved.
        """
        return tuple(
            (self.original + counterfactual - reconstruction).clamp(-1, 1)
            for reconstruction, counterfactual in self.of_seeds
        )


@torch.no_grad()
def edit(
    model: Model,
    x: Tensor,
    source_prompt: str,
    target_prompt: str,
    *,
    editor: str,
    spec: EditSpec = DEFAULT_SPEC,
    parts: Sequence[str] = (),
    sentences: tuple[Sequence[str], Sequence[str]] = ((), ()),
    mask: Tensor | None = None,
    hints: Sequence[Tensor] = (),
    cache: InversionCache | None = None,
) -> Counterfactual:
    """Make the counterfactual of an image.

    Args:
        model: The model. The training part of its drift is wrapped around the network. The start of
            sampling has no part in an edit that starts from the image's own latent.
        x: Pixels [1, 3, R, R] in [-1, 1].
        source_prompt: Describes the image as it is. Where the editor takes an instruction, the one
            that changes nothing; only a network that reads numbers was taught it, and reads it.
        target_prompt: Describes the image as it should be, or is the instruction.
        editor: A row of EDITORS.
        spec: Numbers and choices of the edit.
        parts: Prompts with one of several changes each, for an editor that takes them one by one;
            default: The changed prompt.
        sentences: Sentences about images like the source and like the target, for an editor that
            takes the means of sets; default: the two prompts.
        mask: [1, 1, R, R] in [0, 1], where the image may change; default: everywhere.
        hints: [3, R, R] in [0, 1], one for each ControlNet of the base.
        cache: Cache of inversions; default: no cache.

    Raises:
        OptionError: Before any work: an editor that is unknown or for other networks, strength,
            steps or prompt out of range, options that do not go together, or another number of
            hints than the network reads.
    """
    base = model.base
    editor = chosen(editor, base)
    check(editor, spec, () if mask is None else ("mask",))
    if not 0 < spec.strength <= 1:
        raise OptionError(f"strength {spec.strength} of an edit; it must be above 0 and at most 1")
    if model.drift.form != "noise_mean":
        raise OptionError(
            f"the adapter was trained with drift of form '{model.drift.form}', an ablation that no "
            "editor follows; edit with an adapter of form 'noise_mean'"
        )
    configure("ddim", base.schedule, spec.steps)
    base.latent_size(x.shape[-1])
    prompts = EditPrompts(source_prompt, target_prompt, tuple(parts), sentences)
    seeds = range(spec.seed, spec.seed + spec.seeds)
    results = [
        _edit_once(model, tuple(hints), x, editor, prompts, mask, cache, replace(spec, seed=seed))
        for seed in seeds
    ]
    return Counterfactual(x.float().cpu(), *results[0], others=tuple(results[1:]))


@dataclass(frozen=True)
class EditPrompts:
    """The prompts of an edit, as `edit` takes them."""

    source: str
    target: str
    parts: tuple[str, ...]
    sentences: tuple[Sequence[str], Sequence[str]]


def _edit_once(
    model: Model,
    hints: tuple[Tensor, ...],
    x: Tensor,
    editor: str,
    prompts: EditPrompts,
    mask: Tensor | None,
    cache: InversionCache | None,
    spec: EditSpec,
) -> tuple[Tensor, Tensor]:
    """Reconstruction and counterfactual [1, 3, R, R] under one seed."""
    row = EDITORS[editor]
    noise = partial(generator, spec.seed, "edit", editor)
    task: Task | Instruction
    if row.takes_instruction:
        task = _instruction(model, hints, x, prompts, spec, noise())
    else:
        task = _task(model, hints, x, row, prompts, spec, noise())
        if row.draws:  # the same noise under both prompts
            starts = tuple(
                start(
                    model.base,
                    model.drift,
                    model.statistics,
                    text,
                    task.steps,
                    x.shape[-1],
                    noise(),
                )
                for text in (prompts.source, prompts.target)
            )
            task = replace(task, strength=1.0, starts=(starts[0], starts[1]))
        if inversion := row.inversion(spec.inversion, spec.iterations):
            inverted = _inverted(task, inversion, prompts.source, model.base, hints, cache, spec)
            task = replace(task, inversion=inverted)
        if mask is not None:
            task = replace(task, inside=to_latents(mask.to(task.x0), task.x0.shape[-1]))
    reconstruction, counterfactual = (model.base.decode(x0).cpu() for x0 in row.edit(task))
    return reconstruction, counterfactual


def _instruction(
    model: Model,
    hints: tuple[Tensor, ...],
    x: Tensor,
    prompts: EditPrompts,
    spec: EditSpec,
    noise: torch.Generator,
) -> Instruction:
    """The edit of a network that reads the source image and an instruction."""
    return Instruction.of(
        model.base,
        with_hints(model.base, hints),
        model.drift,
        model.statistics,
        x,
        prompts.target,
        prompts.source if model.base.reads_numbers else None,
        spec.steps,
        spec.guidance,
        spec.image_guidance,
        noise,
    )


def _task(
    model: Model,
    hints: tuple[Tensor, ...],
    x: Tensor,
    row: Editor,
    prompts: EditPrompts,
    spec: EditSpec,
    noise: torch.Generator,
) -> Task:
    """The edit in latents, nothing inverted yet."""
    base = model.base
    denoiser = with_hints(base, hints)
    source, target, empty = (
        base.embed([prompt]) for prompt in (prompts.source, prompts.target, "")
    )
    if row.says == "sentences":
        before, after = prompts.sentences
        befores = base.embed(list(before or [prompts.source]))
        afters = base.embed(list(after or [prompts.target]))
        target = direction(source, befores, afters)
    words = None
    if row.attends:
        words = of_prompts(base, prompts.source, prompts.target, spec.exchange, spec.emphasis)
    return Task(
        denoiser=model.drift.wrap(denoiser, base.schedule, [prompts.source]),
        changed=model.drift.wrap(denoiser, base.schedule, [prompts.target]),
        schedule=base.schedule,
        x0=base.moments(x)[0],
        source=source,
        target=target,
        empty=empty,
        strength=spec.strength,
        steps=spec.steps,
        guidance=spec.guidance,
        generator=noise,
        parts=tuple(base.embed([part]) for part in prompts.parts or (prompts.target,)),
        attention=Attention(base.network, base.family.attention) if row.attends else Attention(),
        words=words,
        spec=spec,
    )


def _inverted(
    task: Task,
    name: str,
    prompt: str,
    base: Base,
    hints: tuple[Tensor, ...],
    cache: InversionCache | None,
    spec: EditSpec,
) -> Inverted:
    """The source's inversion: computed, or read from the cache."""
    row = INVERSIONS[name]
    own_noise = generator(spec.seed, "inversion", name)  # the same whichever editor needs it
    task = replace(task, generator=own_noise)
    if cache is None:
        return row.invert(task)
    facts = {option: getattr(spec, option) for option in row.options}
    facts |= {"hints": hashes(hints)} if hints else {}
    return cache.get(
        task.x0,
        lambda: row.invert(task),
        inversion=name,
        prompt=prompt,
        dtype=str(base.dtype),
        **facts,
    )

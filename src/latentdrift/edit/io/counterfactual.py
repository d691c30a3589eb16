"""Image + prompt pair -> the same image under the changed prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor

from latentdrift.config import EditOptions
from latentdrift.edit.core.attention import Attention
from latentdrift.edit.core.controlnet import hashes, with_hints
from latentdrift.edit.core.latent_blending import to_latents
from latentdrift.edit.core.sampling_start import start
from latentdrift.edit.core.task import Inverted, Task
from latentdrift.edit.core.token_alignment import of_prompts
from latentdrift.edit.editors.editors import EDITORS, Editor, check, chosen
from latentdrift.edit.editors.instruct_pix2pix import Instruction
from latentdrift.edit.editors.pix2pix_zero import direction
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.edit.inversions.inversion_cache import Shelf
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.model.schedule import Denoiser
from latentdrift.sample.samplers import configure
from latentdrift.seeds import generator

DEFAULTS = {
    name: field.default
    for name, field in EditOptions.model_fields.items()
    if not field.is_required()
}


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """Pictures [1, 3, R, R] in [-1, 1], on the CPU."""

    original: Tensor
    reconstruction: Tensor
    """What the editor makes of the original where nothing changes: whatever differs from the
    original is the method's loss."""
    counterfactual: Tensor
    """With the change; the edit is what differs from the reconstruction."""
    others: tuple[Tensor, ...] = ()
    """The counterfactual under the next seeds."""

    @property
    def on_original(self) -> Tensor:
        """The change alone, on the original: what the reconstruction loses of it is there again."""
        return (self.original + self.counterfactual - self.reconstruction).clamp(-1, 1)


class How(TypedDict, total=False):
    """Options of an edit as `EditOptions` has them, which also has the values of those that are
    left out."""

    strength: float
    steps: int
    guidance: float
    image_guidance: float
    seed: int
    seeds: int
    inversion: str | None
    cross_share: float
    self_share: float
    exchange: str
    emphasis: tuple[str, ...]
    local_blend: bool
    attention_weight: float
    focus: float
    mask_threshold: float


@torch.no_grad()
def edit(
    base: Base,
    drift: Drift,
    x: Tensor,
    source_prompt: str,
    target_prompt: str,
    *,
    editor: str,
    statistics: Statistics | None = None,
    parts: Sequence[str] = (),
    sentences: tuple[Sequence[str], Sequence[str]] = ((), ()),
    mask: Tensor | None = None,
    hints: Sequence[Tensor] = (),
    shelf: Shelf | None = None,
    **how: Unpack[How],
) -> Counterfactual:
    """The counterfactual of an image.

    Args:
        base: the model, with an adapter applied or not.
        drift: of the adapter. Its training part is wrapped around the network; the start of
            sampling has no part in an edit that starts from the image's own latent.
        x: pixels [1, 3, R, R] in [-1, 1].
        source_prompt: describes the image as it is; not read where the editor takes an instruction.
        target_prompt: describes it as it should be, or the instruction.
        editor: a row of EDITORS.
        statistics: of the adapter's cohort, for an editor that starts from noise which is drawn
            from them.
        parts: prompts with one of several changes each, for an editor that takes them one by one;
            default: the changed prompt.
        sentences: of images as the source is, and as it should be, for an editor that takes the
            means of sets; default: the two prompts.
        mask: [1, 1, R, R] in [0, 1], where the image may change; default: everywhere.
        hints: [3, R, R] in [0, 1], what each ControlNet of the base is shown, all along.
        shelf: where inversions are kept; default: nowhere.
        how: see `EditOptions`.

    Raises:
        OptionError: before any work: an editor that is unknown or for other networks, strength,
            steps or prompt out of range, options that do not go together, or another number of
            hints than the network reads.
    """
    editor = chosen(editor, base)
    asked = {**DEFAULTS, **how}
    check(editor, {**asked, "mask": None if mask is None else "given"})
    if not 0 < asked["strength"] <= 1:
        raise OptionError(
            f"strength {asked['strength']} of an edit; it must be above 0 and at most 1"
        )
    if drift.form != "noise_mean":
        raise OptionError(
            f"the adapter was trained with drift of form '{drift.form}', an ablation that no "
            "editor follows; edit with an adapter of form 'noise_mean'"
        )
    configure("ddim", base.schedule, asked["steps"])
    base.latent_size(x.shape[-1])
    said = Prompts(source_prompt, target_prompt, tuple(parts), sentences)
    network = EditNetwork(base, drift, statistics, tuple(hints))
    further = [{**asked, "seed": asked["seed"] + number} for number in range(asked["seeds"])]
    made = [_edited(network, x, editor, said, mask, shelf, one) for one in further]
    return Counterfactual(x.float().cpu(), *made[0], others=tuple(other for _, other in made[1:]))


@dataclass(frozen=True)
class Prompts:
    """What is said of an image, as `edit` takes it."""

    source: str
    target: str
    parts: tuple[str, ...]
    sentences: tuple[Sequence[str], Sequence[str]]


@dataclass(frozen=True, eq=False)
class EditNetwork:
    """A model with the hints of an edit."""

    base: Base
    drift: Drift
    statistics: Statistics | None
    hints: tuple[Tensor, ...]

    def denoiser(self) -> Denoiser:
        """With its hints, and no drift around it."""
        return with_hints(self.base, self.hints)


def _edited(
    network: EditNetwork,
    x: Tensor,
    editor: str,
    said: Prompts,
    mask: Tensor | None,
    shelf: Shelf | None,
    how: Mapping[str, Any],
) -> tuple[Tensor, Tensor]:
    """Reconstruction and counterfactual [1, 3, R, R] under one seed."""
    base = network.base
    row = EDITORS[editor]
    noise = partial(generator, how["seed"], "edit", editor)
    task: Task | Instruction
    if row.instructed:
        way = how["steps"], how["guidance"], how["image_guidance"]
        task = Instruction.of(
            base,
            network.denoiser(),
            network.drift,
            network.statistics,
            x,
            said.target,
            *way,
            noise(),
        )
    else:
        task = _task(network, x, row, said, how, noise())
        if row.draws:  # the same noise under both prompts
            both = (said.source, said.target)
            one, other = (
                start(
                    base, network.drift, network.statistics, text, task.steps, x.shape[-1], noise()
                )
                for text in both
            )
            task = replace(task, strength=1.0, starts=(one, other))
        if inversion := row.inversion(how["inversion"]):
            task = replace(task, found=_inverted(task, inversion, said.source, network, shelf, how))
        if mask is not None:
            task = replace(task, inside=to_latents(mask.to(task.x0), task.x0.shape[-1]))
    reconstruction, counterfactual = (base.decode(x0).cpu() for x0 in row.edit(task))
    return reconstruction, counterfactual


def _task(
    network: EditNetwork,
    x: Tensor,
    row: Editor,
    said: Prompts,
    how: Mapping[str, Any],
    noise: torch.Generator,
) -> Task:
    """The edit in latents, nothing inverted yet."""
    base = network.base
    drift = network.drift
    denoiser = network.denoiser()
    source, target, empty = (base.embed([prompt]) for prompt in (said.source, said.target, ""))
    if row.says == "sentences":
        before, after = said.sentences
        befores = base.embed(list(before or [said.source]))
        afters = base.embed(list(after or [said.target]))
        target = direction(source, befores, afters)
    return Task(
        denoiser=drift.wrap(denoiser, base.schedule, [said.source]),
        changed=drift.wrap(denoiser, base.schedule, [said.target]),
        schedule=base.schedule,
        x0=base.moments(x)[0],
        source=source,
        target=target,
        empty=empty,
        strength=how["strength"],
        steps=how["steps"],
        guidance=how["guidance"],
        generator=noise,
        parts=tuple(base.embed([part]) for part in said.parts or (said.target,)),
        attention=Attention(base.network, base.family.attention) if row.attends else Attention(),
        words=of_prompts(base, said.source, said.target, how["exchange"], how["emphasis"])
        if row.attends
        else None,
        how=how,
    )


def _inverted(
    task: Task,
    name: str,
    prompt: str,
    network: EditNetwork,
    shelf: Shelf | None,
    how: Mapping[str, Any],
) -> Inverted:
    """The source's inversion: made, or found where an edit has put it."""
    row = INVERSIONS[name]
    alone = replace(
        task, generator=generator(how["seed"], "inversion", name)
    )  # whoever asks for it
    if shelf is None:
        return row.invert(alone)
    shaped = {option: how[option] for option in row.options} | (
        {"hints": hashes(network.hints)} if network.hints else {}
    )
    return shelf.get(
        task.x0,
        lambda: row.invert(alone),
        inversion=name,
        prompt=prompt,
        dtype=str(network.base.dtype),
        **shaped,
    )

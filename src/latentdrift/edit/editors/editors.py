"""EDITORS: from a source latent and what is said of it to a reconstruction and a counterfactual."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from latentdrift.config import EditOptions
from latentdrift.edit.core.controlnet import controlnet
from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.core.sampling_start import SAMPLER
from latentdrift.edit.core.task import Task
from latentdrift.edit.core.token_alignment import EXCHANGES
from latentdrift.edit.editors.diffedit import diffedit
from latentdrift.edit.editors.instruct_pix2pix import Instruction, instruct_pix2pix
from latentdrift.edit.editors.ledits import ledits
from latentdrift.edit.editors.pix2pix_zero import pix2pix_zero
from latentdrift.edit.editors.prompt_to_prompt import prompt_to_prompt
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.errors import OptionError, unknown
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.model import Model
from latentdrift.prompts import parse_emphasis
from latentdrift.sample.samplers import first_time
from latentdrift.sample.start_override import starting_at

WAY = ("strength", "steps", "guidance", "seed")
NOISE = (*WAY, "seeds")
"""Options of editors that draw at random."""
MASK = ("mask", "protect", "mask_edge")
INVERTED = ("inversion", "iterations")
"""Options of editors that start from a DDIM inversion."""


def sdedit(task: Task) -> tuple[Tensor, Tensor]:
    """Noise the source, and sample it under both prompts (Meng et al. 2022, SDEdit, algorithm 1).

    Args:
        task: The edit.

    Returns:
        Reconstruction and counterfactual, x0 [1, C, h, w] each.
    """
    xt = task.noised(task.times[0])
    guided = task.under(task.denoiser, task.guidance, task.empty, task.source)
    return task.back(guided, xt), task.back(task.changes(task.empty), xt)


def ddim(task: Task) -> tuple[Tensor, Tensor]:
    """Sample from the inversion under both prompts (Song et al. 2021, section 5.5).

    Args:
        task: Edit with an inversion.

    Returns:
        Reconstruction and counterfactual, x0 [1, C, h, w] each.

    Raises:
        OptionError: The task has no inversion.
    """
    inverted = task.required_inversion
    target = task.changes(inverted.references)
    if inverted.is_exact and task.inside is not None:
        return task.together(task.reconstructs(inverted.references), target, inverted)
    return task.reconstruction(inverted), task.along(target, inverted)


@dataclass(frozen=True)
class Editor:
    """A row."""

    edit: Callable[[Any], tuple[Tensor, Tensor]]
    """Function from a `task` to the latents (reconstruction, counterfactual)."""
    task: type[Task] | type[Instruction] = Task
    """Two prompts for a network that knows pictures by them, or an instruction for one that is
    shown the source."""
    options: tuple[str, ...] = (*NOISE, *MASK)
    """The options of `edit` that reach it."""
    inversions: tuple[str, ...] = ()
    """Rows of INVERSIONS that it can start from, the first by default; without one it starts from
    noise."""
    says: str = "prompts"
    """Form of the change for the editor: the `prompts`, its `parts` one by one, or `sentences`
    about either state."""
    attends: bool = False
    """It reads or changes attention maps."""
    needs_mask: bool = False
    """It acts in a mask that a file gives."""
    draws: bool = False
    """It starts where sampling does, and from nothing of the source's latent."""
    needs_controlnet: bool = False
    """It sees the source through the hint of a ControlNet alone."""

    @property
    def takes_instruction(self) -> bool:
        """Whether the network reads the source image and an instruction."""
        return self.task is Instruction

    def fits(self, base: Base) -> bool:
        """Whether the editor fits the network of a base."""
        return self.takes_instruction == base.sees_source and (
            bool(base.controls) or not self.needs_controlnet
        )

    def keeps(self, base: Base, requested: bool | None = None) -> bool:
        """Whether the editor's change is added to the original image.

        Args:
            base: The base.
            requested: The user's choice; None: yes where the editor inverts the image, or the
                network was taught the instruction that changes nothing.
        """
        own = bool(self.inversions) or (self.takes_instruction and base.reads_numbers)
        return own if requested is None else requested

    def inversion(self, requested: str | None, iterations: int | None = None) -> str | None:
        """Row of INVERSIONS that the editor uses; None where it starts from noise.

        Args:
            requested: The user's choice; None: the editor's first, or its first that iterates.
            iterations: Fixed-point iterations that the user asks for; None: not asked.
        """
        if requested is not None:
            return requested
        able = (
            name
            for name in self.inversions
            if iterations is None or "iterations" in INVERSIONS[name].options
        )
        return next(able, None)


P2P = (*WAY, "cross_share", "self_share", "exchange", "emphasis", "local_blend", *MASK)

EDITORS: dict[str, Editor] = {
    "sdedit": Editor(sdedit),
    "ddim": Editor(
        ddim,
        options=(*WAY, *INVERTED, *MASK),
        inversions=("direct", "negative-prompt", "ddim", "null-text"),
    ),
    "prompt-to-prompt": Editor(
        prompt_to_prompt,
        options=(*P2P, *INVERTED),
        inversions=("direct", "negative-prompt", "ddim"),
        attends=True,
    ),
    "null-text": Editor(
        prompt_to_prompt,
        options=(*P2P, "iterations"),
        inversions=("null-text",),
        attends=True,
    ),
    "pix2pix-zero": Editor(
        pix2pix_zero,
        options=(*WAY, *INVERTED, "sentences", "attention_weight", *MASK),
        inversions=("regularised", "negative-prompt", "ddim"),
        says="sentences",
        attends=True,
    ),
    "edit-friendly": Editor(ddim, options=NOISE, inversions=("edit-friendly",)),
    "ledits": Editor(
        ledits, options=(*NOISE, "focus"), inversions=("edit-friendly",), says="parts"
    ),
    "inpaint": Editor(sdedit, needs_mask=True),
    "diffedit": Editor(
        diffedit,
        options=(*NOISE, *INVERTED, "mask_threshold"),
        inversions=("direct", "negative-prompt", "ddim"),
    ),
    "controlnet": Editor(
        controlnet,
        options=("steps", "guidance", "seed", "seeds", *MASK),
        draws=True,
        needs_controlnet=True,
    ),
    "instruct-pix2pix": Editor(
        instruct_pix2pix,
        Instruction,
        ("steps", "guidance", "image_guidance", "instruction", "seed", "seeds"),
        draws=True,
    ),
}


def chosen(name: str | None, base: Base) -> str:
    """Name of the editor for a base.

    Args:
        name: The user's choice; None: the default for this network.
        base: The base.

    Raises:
        OptionError: No such row, or an editor for another kind of network.
    """
    if name is None:
        return "instruct-pix2pix" if base.sees_source else "controlnet" if base.controls else "ddim"
    if name not in EDITORS:
        raise unknown("editor", name, EDITORS)
    base.family.check_supported("editor", name)
    if EDITORS[name].fits(base):
        return name
    if EDITORS[name].takes_instruction != base.sees_source:
        able = " or ".join(known for known, row in EDITORS.items() if row.fits(base))
        reads = (
            "takes a source image and an instruction"
            if base.sees_source
            else "takes no source image"
        )
        raise OptionError(
            f"editor '{name}' does not fit this network, which {reads}; take {able}, or "
            "leave `editor` out"
        )
    raise OptionError(
        f"editor '{name}' needs the hint of a ControlNet, and this network has none; add "
        "one with `also=RUN`"
    )


def starting(editor: str, model: Model, steps: int) -> Drift:
    """Drift of an edit: rescaled to its first time where the editor samples from noise, else
    unchanged.

    Args:
        editor: Row of EDITORS.
        model: The model.
        steps: Number of sampling steps.
    """
    return (
        starting_at(model, first_time(SAMPLER, model.base.schedule, steps))
        if EDITORS[editor].draws
        else model.drift
    )


def with_inversion(options: EditOptions, editor: str) -> EditOptions:
    """Options of `edit` that name the inversion, so that a record of them does.

    Args:
        options: Options of `edit`.
        editor: Row of EDITORS.
    """
    row = EDITORS[editor]
    if "inversion" not in row.options:
        return options
    inversion = row.inversion(options.inversion, options.iterations)
    return options.model_copy(update={"inversion": inversion})


def check(name: str, spec: EditSpec, further: Collection[str] = ()) -> None:
    """Check that the options of `edit` go together.

    Args:
        name: A row of EDITORS.
        spec: Numbers and choices of the edit.
        further: Names of options outside of `spec` whose value is not the default, such as `mask`.

    Raises:
        OptionError: One has a value and no part in this editor, an unknown row, or a mask that is
            missing.
    """
    row = EDITORS[name]
    given = spec.given_options.union(further)
    for option in dict.fromkeys(option for other in EDITORS.values() for option in other.options):
        if option in given and option not in row.options:
            able = [other for other, editor in EDITORS.items() if option in editor.options]
            raise OptionError(
                f"`{option}` has no part in editor '{name}', but in {', '.join(able)}; leave one "
                "of them out"
            )
    if "inversions" in given and not row.inversions:
        raise OptionError(
            f"editor '{name}' inverts no image, and has nothing to keep in `inversions`; leave one "
            "of them out"
        )
    masked = "mask" in given or "protect" in given
    if "mask_edge" in given and not masked:
        raise OptionError(
            "`mask_edge` says how a mask ends, and there is none; give one with `mask=FILE` or "
            "`protect=FILE`"
        )
    inversion = spec.inversion
    if inversion is not None and inversion not in INVERSIONS:
        raise unknown("inversion", inversion, INVERSIONS)
    if inversion is not None and inversion not in row.inversions:
        raise OptionError(
            f"editor '{name}' does not start from inversion '{inversion}'; it takes "
            f"{', '.join(row.inversions)}"
        )
    used = row.inversion(inversion, spec.iterations)
    if "iterations" in given and used and "iterations" not in INVERSIONS[used].options:
        able = [name for name in row.inversions if "iterations" in INVERSIONS[name].options]
        raise OptionError(
            f"`iterations` has no part in inversion '{used}', but in {', '.join(able)}; give one "
            "of them as `inversion`, or leave `iterations` out"
        )
    if row.needs_mask and not masked:
        raise OptionError(
            f"editor '{name}' changes what lies inside a mask: give one with `mask=FILE`, 0 outside"
        )
    if spec.exchange not in EXCHANGES:
        raise unknown("exchange", spec.exchange, EXCHANGES)
    for text in spec.emphasis:
        parse_emphasis(text)

"""Image + prompt pair -> the same image under the changed prompt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentdrift.edit.editors import EDITORS, Task, chosen
from latentdrift.edit.instructed import Instruction
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.start import Statistics
from latentdrift.sample.samplers import configure
from latentdrift.seeds import generator


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """Three pictures [1, 3, R, R] in [-1, 1], on the CPU."""

    original: Tensor
    reconstruction: Tensor
    """What the editor makes of the original where nothing changes: whatever differs from the original is the method's loss."""
    counterfactual: Tensor
    """With the change; the edit is what differs from the reconstruction."""


@torch.no_grad()
def edit(
    base: Base,
    drift: Drift,
    x: Tensor,
    source_prompt: str,
    target_prompt: str,
    *,
    editor: str,
    strength: float,
    steps: int,
    guidance: float,
    seed: int,
    image_guidance: float = 1.0,
    statistics: Statistics | None = None,
) -> Counterfactual:
    """The counterfactual of an image.

    Args:
        base: the model, with an adapter applied or not.
        drift: of the adapter. Its training part is wrapped around the network; the start of sampling has no part in an edit
            that starts from the image's own latent.
        x: pixels [1, 3, R, R] in [-1, 1].
        source_prompt: describes the image as it is; not read where the editor takes an instruction.
        target_prompt: describes it as it should be, or the instruction.
        editor: a row of EDITORS.
        strength: share of the trajectory that is run back, (0, 1]; the more, the less of the source is kept.
        steps: of the full trajectory.
        guidance: weight w of the changed prompt, or of the instruction; 1 is none.
        seed: of the editor's noise.
        image_guidance: weight of the image, where the network is shown it; 1 is none.
        statistics: of the adapter's cohort, for an editor that starts from noise which is drawn from them.

    Raises:
        OptionError: before any work: an editor that is unknown or for other networks, strength, steps or prompt out of range,
            or a network that is shown hints.
    """
    if base.controls:
        raise OptionError("editors show a network no hints, and a ControlNet reads one: edit with adapters of other methods")
    row = EDITORS[chosen(editor, base)]
    if not 0 < strength <= 1:
        raise OptionError(f"strength {strength} of an edit; it must be above 0 and at most 1")
    if drift.form != "noise_mean":
        raise OptionError(
            f"the adapter was trained with drift of form '{drift.form}', an ablation that no editor follows; "
            "edit with an adapter of form 'noise_mean'"
        )
    configure("ddim", base.schedule, steps)
    base.latent_size(x.shape[-1])
    noise = generator(seed, "edit", editor)
    task: Task | Instruction
    if row.instructed:
        task = Instruction.of(base, drift, statistics, x, target_prompt, steps, guidance, image_guidance, noise)
    else:
        source, target, empty = (base.embed([prompt]) for prompt in (source_prompt, target_prompt, ""))
        task = Task(
            denoiser=drift.wrap(base.denoiser(), base.schedule, [source_prompt]),
            changed=drift.wrap(base.denoiser(), base.schedule, [target_prompt]),
            schedule=base.schedule,
            x0=base.moments(x)[0],
            source=source,
            target=target,
            empty=empty,
            strength=strength,
            steps=steps,
            guidance=guidance,
            generator=noise,
        )
    reconstruction, counterfactual = (base.decode(x0).cpu() for x0 in row.edit(task))
    return Counterfactual(x.float().cpu(), reconstruction, counterfactual)

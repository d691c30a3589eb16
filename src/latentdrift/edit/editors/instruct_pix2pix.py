"""InstructPix2Pix: the network is shown the source and told what to change; nothing is inverted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentdrift.edit.core.sampling_start import SAMPLER, start
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.model.schedule import Denoiser, Schedule
from latentdrift.sample.guidance import branches, guide
from latentdrift.sample.samplers import run


@dataclass(frozen=True)
class Instruction:
    """One edit by an instruction, in latents."""

    denoiser: Denoiser
    """The network with drift wrapped around it."""
    schedule: Schedule
    x0: Tensor
    """Scaled latent of the source image [1, C, h, w]."""
    start: Tensor
    """yT [1, C, h, w], noise that is drifted as the adapter's sampling is."""
    contexts: tuple[Conditioning, ...]
    """Neither image nor text, the image, both: see `branches`."""
    steps: int
    guidance: float
    """Weight s_T of the text; 1 is none."""
    image_guidance: float
    """Weight s_I of the image; 1 is none."""
    generator: torch.Generator
    """All that is random about the edit."""
    unchanged: tuple[Conditioning, ...] | None = None
    """As `contexts`, under the instruction that changes nothing; None for a network that was not
    taught it."""

    @classmethod
    def of(
        cls,
        base: Base,
        network: Denoiser,
        drift: Drift,
        statistics: Statistics | None,
        x: Tensor,
        instruction: str,
        unchanged: str | None,
        steps: int,
        guidance: float,
        image_guidance: float,
        noise: torch.Generator,
    ) -> Instruction:
        """Encode the inputs of one edit.

        Args:
            base: Base whose network reads a source image.
            network: Its denoiser.
            drift: Drift of the model.
            statistics: Statistics of the training latents; None where the start needs none.
            x: Pixels [1, 3, R, R] in [-1, 1].
            instruction: Text of the change.
            unchanged: Text that asks for the same image; None for a network that was not taught it.
            steps: Number of sampling steps.
            guidance: Guidance by the text; 1: none.
            image_guidance: Guidance by the image; 1: none.
            noise: Generator of the start.

        Raises:
            OptionError: An instruction past the token limit, or a start that cannot be sampled.
        """
        x0 = base.moments(x)[0]
        empty = base.embed([""])

        def under(text: str) -> tuple[Conditioning, ...]:
            return branches(empty, base.with_images(base.embed([text]), [base.source(x0)]))

        return cls(
            denoiser=drift.wrap(network, base.schedule, [instruction]),
            schedule=base.schedule,
            x0=x0,
            start=start(base, drift, statistics, instruction, steps, x.shape[-1], noise),
            contexts=under(instruction),
            steps=steps,
            guidance=guidance,
            image_guidance=image_guidance,
            generator=noise,
            unchanged=None if unchanged is None else under(unchanged),
        )


def instruct_pix2pix(task: Instruction) -> tuple[Tensor, Tensor]:
    """Sample under an instruction beside the source image (Brooks et al. 2023, eq. 3).

        eps = eps(0, 0) + s_I (eps(image, 0) - eps(0, 0)) + s_T (eps(image, text) - eps(image, 0))

    The reconstruction is drawn from the same noise under the instruction that changes nothing. A
    network that was taught no such instruction gives the source's own latent instead, which differs
    from the original by the autoencoder alone, and from the counterfactual by all that was drawn
    anew.

    Args:
        task: The edit.

    Returns:
        Reconstruction and counterfactual, x0 [1, C, h, w] each.
    """
    denoiser = guide(task.denoiser, task.image_guidance - task.guidance, task.guidance)

    def draw(contexts: tuple[Conditioning, ...]) -> Tensor:
        generators = [task.generator]
        return run(denoiser, task.schedule, SAMPLER, task.steps, task.start, contexts, generators)

    reconstruction = task.x0 if task.unchanged is None else draw(task.unchanged)
    return reconstruction, draw(task.contexts)

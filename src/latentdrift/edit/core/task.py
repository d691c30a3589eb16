"""Task: one edit by a prompt pair, in latents, and the ways back from noise that editors are made
of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from latentdrift.edit.core.attention import Attention
from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.core.latent_blending import blend, blended
from latentdrift.edit.core.token_alignment import Alignment
from latentdrift.errors import OptionError
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.schedule import Denoiser, Predictor, Schedule
from latentdrift.sample.guidance import guide
from latentdrift.sample.samplers import After, DdimStep, run

MEAN = DdimStep(eta=1.0, variance_noise=0.0)
"""Makes a step of DDIM the mean of a step of DDPM (Song et al. 2021, eq. 12 with eta = 1, its noise
left out)."""

EXTRA_REFERENCES = ("pooled", "mask", "size_ids")
"""Fields of a conditioning, beside the embeddings, that an inversion's file holds where they are
set."""

Mix = Callable[[Tensor, Tensor, int], Tensor]
"""(source's xt, counterfactual's xt, steps done) -> the counterfactual's xt."""


@dataclass(frozen=True, eq=False)
class Inverted:
    """Inversion of the source image under its own prompt: the noise, the reference prompts and the
    residuals per step."""

    xt: Tensor
    """[1, C, h, w], `depth` steps up."""
    references: Conditioning
    """Prompts that guidance leads away from: `depth` of them, one per step, the noisiest first; or
    one for all."""
    residuals: Tensor | None = None
    """[depth, C, h, w]: what is added to the mean of each step of DDPM; None where steps are
    DDIM's."""
    corrections: Tensor | None = None
    """[depth, C, h, w]: what is added to each step of DDIM; None where nothing is."""

    @property
    def is_exact(self) -> bool:
        """Whether DDIM with the corrections leads to the source by construction."""
        return self.corrections is not None

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the inversion by name, on the CPU, for its file."""
        tensors = {
            "xt": self.xt,
            "references": self.references.embeddings,
            "residuals": self.residuals,
            "corrections": self.corrections,
        }
        for name in EXTRA_REFERENCES:
            tensors[f"references.{name}"] = getattr(self.references, name)
        return {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in tensors.items()
            if tensor is not None
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Inverted:
        """Build an inversion from the tensors of its file.

        Raises:
            KeyError: A tensor is missing.
            TypeError: A tensor has an unknown name.
        """
        rest = dict(tensors)
        xt = rest.pop("xt")
        embeddings = rest.pop("references")
        residuals = rest.pop("residuals", None)
        corrections = rest.pop("corrections", None)
        extra: dict[str, Any] = {}
        for name, tensor in rest.items():
            extra[name.removeprefix("references.")] = tensor
        return cls(xt, Conditioning(embeddings, **extra), residuals, corrections)


@dataclass(frozen=True)
class Task:
    """One edit by a prompt pair, in latents."""

    denoiser: Denoiser
    """The network with drift wrapped around it, that of the source's class."""
    changed: Denoiser
    """Network with the drift of the class that the image is changed to; the same network where
    drift does not depend on the class."""
    schedule: Schedule
    x0: Tensor
    """Scaled latent of the source image [1, C, h, w]."""
    source: Conditioning
    """The prompt that describes the source image."""
    target: Conditioning
    """The changed prompt."""
    empty: Conditioning
    """The empty prompt."""
    strength: float
    """Share of the trajectory that is run back, (0, 1]."""
    steps: int
    """Steps of the full trajectory."""
    guidance: float
    """Weight w of the changed prompt; 1 is none."""
    generator: torch.Generator
    """All that is random about the edit."""
    inversion: Inverted | None = None
    """The source's inversion, for editors that start from one."""
    starts: tuple[Tensor, Tensor] | None = None
    """Start of sampling under either prompt, [1, C, h, w] each, for editors that draw from
    noise."""
    parts: tuple[Conditioning, ...] = ()
    """The source's prompt with one of several changes each."""
    inside: Tensor | None = None
    """Region that may change [1, 1, h, w] in [0, 1]; None: everywhere."""
    attention: Attention = field(default_factory=Attention)
    """Attention control of the network."""
    words: Alignment | None = None
    """How the tokens of the two prompts correspond; None for a network that reads no tokens."""
    spec: EditSpec = field(default_factory=EditSpec)
    """All numbers and choices of the edit; `strength`, `steps` and `guidance` above win."""

    @property
    def depth(self) -> int:
        """Number of steps that are inverted and sampled again, at least 1: strength times steps."""
        return max(1, round(self.strength * self.steps))

    @cached_property
    def times(self) -> list[int]:
        """Times of these steps [depth], the noisiest first."""
        return [int(t) for t in self.schedule.timesteps(self.steps)[self.steps - self.depth :]]

    @property
    def required_inversion(self) -> Inverted:
        """Inversion of the source.

        Raises:
            OptionError: The task has none.
        """
        if self.inversion is None:
            raise OptionError(
                "this editor starts from an inverted image, and none was inverted; give the task "
                "its `inversion`"
            )
        return self.inversion

    @property
    def required_starts(self) -> tuple[Tensor, Tensor]:
        """Starts yT [1, C, h, w] under the source's and the target's prompt.

        Raises:
            OptionError: The task has none.
        """
        if self.starts is None:
            raise OptionError(
                "this editor draws from noise, and none was drawn; give the task its `starts`"
            )
        return self.starts

    def noised(self, t: int) -> Tensor:
        """Add fresh noise of the task's generator to the source, at time t.

        Returns:
            xt [1, C, h, w].
        """
        eps = torch.randn(self.x0.shape, generator=self.generator).to(self.x0)
        return self.schedule.add_noise(self.x0, eps, t)

    def reconstructs(self, references: Conditioning) -> Predictor:
        """Guided denoiser under the source's prompt.

        Args:
            references: Embeddings that guidance leads away from: one, or one for each of `times`.
                The source's prompt itself turns guidance off.
        """
        w = 1 if references.equals(self.source) else self.guidance
        return self.under(self.denoiser, w, references, self.source)

    def changes(self, references: Conditioning) -> Predictor:
        """Guided denoiser under the target's prompt.

        Args:
            references: Embeddings that guidance leads away from: one, or one for each of `times`.
        """
        return self.under(self.changed, self.guidance, references, self.target)

    def under(
        self, network: Denoiser, w: float, references: Conditioning, condition: Conditioning
    ) -> Predictor:
        """Guided denoiser with fixed embeddings.

        Outside of a mask its x0 is the source's; not where the inversion is exact, whose
        corrections are those of the network alone (`together` keeps to the mask then).

        Args:
            network: The denoiser.
            w: Guidance; 1: none.
            references: Embeddings that guidance leads away from: one, or one for each of `times`.
            condition: Embeddings of the prompt.
        """
        denoiser = guide(network, w)
        index = {t: i for i, t in enumerate(self.times)}
        is_exact = self.inversion is not None and self.inversion.is_exact
        if self.inside is not None and not is_exact:
            denoiser = blend(denoiser, self.schedule, self.x0, self.inside)

        def denoise(xt: Tensor, t: Any, _: Any) -> Tensor:
            i = index[int(t)] if len(references) > 1 else 0
            return denoiser(xt, t, (references[i : i + 1], condition))

        return denoise

    def back(self, denoiser: Predictor, xt: Tensor) -> Tensor:
        """DDIM from xt to x0.

        Args:
            denoiser: Denoiser with fixed contexts.
            xt: [1, C, h, w], `depth` steps up.
        """
        return self._run(denoiser, xt)

    def along(self, denoiser: Predictor, inverted: Inverted) -> Tensor:
        """The way back from an inversion: DDIM with its corrections, or the mean of DDPM with its
        residuals.

        Args:
            denoiser: Denoiser with fixed contexts.
            inverted: The inversion.

        Returns:
            x0 [1, C, h, w].
        """
        added = inverted.corrections if inverted.residuals is None else inverted.residuals
        if added is None:
            return self._run(denoiser, inverted.xt)
        return self._run(
            denoiser,
            inverted.xt,
            lambda xt, done, *_: xt + added[done - 1 : done],
            None if inverted.residuals is None else MEAN,
        )

    def reconstruction(self, inverted: Inverted) -> Tensor:
        """The way back under the source's prompt; no call of the network where it is exact.

        Args:
            inverted: The inversion.

        Returns:
            x0 [1, C, h, w].
        """
        if inverted.is_exact:
            return self.x0
        return self.along(self.reconstructs(inverted.references), inverted)

    def together(
        self,
        source: Predictor,
        target: Predictor,
        inverted: Inverted,
        mix: Mix | None = None,
        *,
        other: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Both trajectories by DDIM step by step, the source's first, so that the counterfactual's
        can look at it.

        With an exact inversion, x0 outside of a mask is that of the reconstruction's step, so the
        counterfactual is on the source's trajectory there.

        Args:
            source: Denoiser of the reconstruction; it and the next have their contexts already.
            target: Denoiser of the counterfactual.
            inverted: The inversion from which both start; its corrections are added to both.
            mix: Changes the counterfactual's xt after each step.
            other: Start of the counterfactual; None: the inversion's xt.
        """
        start = inverted.xt
        corrections = inverted.corrections

        def both(pair: Tensor, t: Any, _: Any) -> Tensor:
            one, other = pair.chunk(2)
            kept = source(one, t, None)
            changed = target(other, t, None)
            if self.inside is not None and corrections is not None:
                x0 = self.schedule.split(kept, one, t)[0]
                changed = blended(changed, other, t, self.schedule, x0, self.inside)
            return torch.cat([kept, changed])

        def after(pair: Tensor, done: int, *_: Any) -> Tensor:
            if corrections is not None:
                pair = pair + corrections[done - 1 : done]
            one, other = pair.chunk(2)
            return pair if mix is None else torch.cat([one, mix(one, other, done)])

        pair = torch.cat([start, start if other is None else other])
        x0, changed = self._run(both, pair, after).chunk(2)
        return x0, changed

    def _run(
        self,
        denoiser: Predictor,
        xt: Tensor,
        after: After | None = None,
        step: DdimStep | None = None,
    ) -> Tensor:
        x0 = run(
            denoiser,
            self.schedule,
            "ddim",
            self.steps,
            xt,
            None,
            [self.generator],
            start_index=self.steps - self.depth,
            after=after,
            step=step,
        )
        return (
            x0 if self.inside is None else torch.lerp(self.x0, x0, self.inside)
        )  # DDIM ends at s_0 > 0

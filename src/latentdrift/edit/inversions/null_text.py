"""Null-text inversion: embeddings in the empty prompt's place, one per step, under which guided
sampling returns to the image."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from latentdrift.edit.core.task import Task
from latentdrift.model.conditioning import Conditioning
from latentdrift.sample.samplers import configure

# Mokady et al. 2023, section 3.2 and their code: Adam, ten iterations per step, a rate that falls
# along the trajectory.
ITERATIONS = 10
RATE = 1e-2
FALL = 100  # steps over which the rate would reach 0
ENOUGH = (
    1e-5,
    2e-5,
)  # mean squared error at which a step is left, and how much more with each step


def null_text(task: Task, path: list[Tensor], iterations: int = ITERATIONS) -> Conditioning:
    """The references, one per step (Mokady et al. 2023, eq. 3 and algorithm 1).

        min over r_t of || x*_prev - DDIM(xt, eps(r_t) + w (eps(source) - eps(r_t))) ||^2,    from the r of the step before

    One call per step for the source's prompt, and one with its gradient per iteration.

    Args:
        task: Gives the source and guidance w; at w = 1 references have no part, and stay the empty
            prompt's.
        path: x0 and the xt of each step up, without guidance: what the guided trajectory has to
            follow.
        iterations: At most, per step.
    """
    if task.guidance == 1:
        return task.empty
    scheduler = configure("ddim", task.schedule, task.steps)
    w = task.guidance
    xt = path[-1]
    embeddings = task.empty.embeddings
    reference = embeddings.float() if embeddings.dtype != torch.float64 else embeddings
    references = []
    for i, (t, goal) in enumerate(
        zip(scheduler.timesteps[-task.depth :], reversed(path[:-1]), strict=True)
    ):
        prediction = task.denoiser(xt, t, task.source)

        def step(
            reference: Tensor, xt: Tensor = xt, t: Tensor = t, prediction: Tensor = prediction
        ) -> Tensor:
            eps_0 = task.denoiser(xt, t, replace(task.empty, embeddings=reference))
            result: Tensor = scheduler.step(eps_0 + w * (prediction - eps_0), t, xt).prev_sample
            return result

        with torch.enable_grad():
            reference = reference.detach().clone().requires_grad_()
            optimizer = torch.optim.Adam([reference], lr=RATE * max(1 - i / FALL, 0.0))
            for _ in range(iterations):
                loss = (step(reference) - goal).pow(2).mean()
                if loss.item() < ENOUGH[0] + i * ENOUGH[1]:
                    break
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        reference = reference.detach()
        references.append(reference)
        xt = step(reference).detach()
    joined = torch.cat(references).to(embeddings)
    return replace(task.empty.expand(task.depth), embeddings=joined)

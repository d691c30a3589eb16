"""Method of a fit that names none: that of the run which it continues, or the one that suits the
base."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from latentdrift.adapt.training.records.run_folder import Run
from latentdrift.config import FitOptions, implies_lora
from latentdrift.config.parts import DEFAULT_METHODS, LORA_OPTIONS
from latentdrift.model.base import Base

FULL_UP_TO = 100_000_000
"""Weights of the denoising network up to which `full` is the default. Full training keeps 16 bytes
of each (weight, gradient, two moments of Adam): 1.6 GB here, and the adapter is a file of 0.4 GB.
Stable Diffusion's 860 million take 14 GB, 3.4 GB of adapter and 31 GB of checkpoints. Between the
pocket base (9.6 million) and that, quality was not measured (see docs/methods.md)."""
MILLION = 1e6

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MethodChoice:
    """Method of a fit.

    Attributes:
        method: Row of METHODS.
        reason: Why it was chosen, as part of a sentence; None where the options name it.
    """

    method: str
    reason: str | None = None


def choose(base: Base, options: FitOptions, run: Run | None = None) -> MethodChoice:
    """Choose the method of a fit.

    Args:
        base: The base, with weights or without.
        options: Options of `fit`.
        run: Folder of the run. One that began with a default method keeps it, because earlier
            versions took `lora` for every base. None: a new run.
    """
    if options.method is not None:
        return MethodChoice(options.method)
    if implies_lora(options):
        given = [f"`{name}`" for name in LORA_OPTIONS if name in options.model_fields_set]
        return MethodChoice("lora", f"only a low-rank change has {' and '.join(given)}")
    begun = run.begun_with("method") if run else None
    if begun in DEFAULT_METHODS:
        return MethodChoice(begun, "the run began with it")
    return _of_size(base)


def _of_size(base: Base) -> MethodChoice:
    """Method that suits the size of a base."""
    weights = sum(weight.numel() for weight in base.network.parameters())
    size = f"{weights / MILLION:.1f} million weights, "
    limit = f"{FULL_UP_TO / MILLION:.0f} million"
    if weights <= FULL_UP_TO:
        return MethodChoice("full", f"the network has {size}at most {limit}")
    return MethodChoice("lora", f"the network has {size}more than {limit}")


def resolved(base: Base, options: FitOptions, run: Run | None = None) -> FitOptions:
    """Choose the method of a fit, and log why.

    Args:
        base: The base, with weights or without.
        options: Options of `fit`.
        run: Folder of the run; None: a new run.

    Returns:
        The options with the method.
    """
    choice = choose(base, options, run)
    if choice.reason:
        log.info("method %s: %s", choice.method, choice.reason)
    return options.model_copy(update={"method": choice.method})

"""The base as training begins: in the number format that it needs, on the adapters that it starts
from.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from latentdrift.adapt.adapters.adapter_stack import add
from latentdrift.adapt.methods import lora
from latentdrift.adapt.training.setup.training_setup import Job
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.model import Model


def begin(base: Base, job: Job) -> tuple[Base, dict[str, torch.nn.Parameter]]:
    """Prepare a base for training: number format, adapters to start from, trained parameters.

    Args:
        base: The base; training changes it, so do not use it afterwards.
        job: The resolved fit.

    Returns:
        The prepared base, and its trained parameters by name.

    Raises:
        AdapterError: An adapter does not fit the base.
        OptionError: An adapter was trained for another schedule, needs a source image that the
            method lacks, or is a ControlNet.
    """
    begun = base
    if job.row.exact and base.dtype != torch.float32:
        exact = base.in_precision("fp32")
        encoders = exact.text_encoders if job.options.train_text_encoder else base.text_encoders
        begun = replace(exact, vae=base.vae, text_encoders=encoders, schedule=base.schedule)
    if job.options.start:
        started = add(Model.of_base(begun), job.options.start)
        if started.base.schedule is not begun.schedule:
            there = started.base.schedule
            flags = f"`prediction={there.prediction_type}`" + (
                " `zero_snr`" if there.zero_snr else ""
            )
            raise OptionError(
                f"what `start` names was trained with {flags}, and this fit is not: give it the "
                "same"
            )
        begun = started.base
        if begun.sees_source and job.row.image_input != "source":
            raise OptionError(
                "the network that `start` names takes a source image, and "
                f"`method={job.options.method}` has none; take instruct-pix2pix, or start "
                "from another adapter"
            )
        if begun.controls:
            raise OptionError(
                "`start` names a ControlNet, and a fit shows the network no hints but its own: "
                "leave it out, and put it on top when you draw, with `latentdrift generate --also`"
            )
        if job.row.exact:
            lora.merge(begun)
    return job.row.prepare(begun, job.options, job.words)

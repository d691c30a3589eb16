"""adapter.json of a fit: its options, its cohort in counts and ranges, its losses.

No patient data: counts, the vocabulary of the attributes and the range of intensities, nothing of
any one image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from latentdrift import prompts
from latentdrift.adapt.adapters import model_card
from latentdrift.adapt.adapters.adapter_files import parse_reference, read, reference_to
from latentdrift.adapt.methods.methods import Method
from latentdrift.attributes.specification import Attribute, Spec
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.adapter_info import (
    FORMAT,
    AdapterFile,
    AdapterInfo,
    AttributeInfo,
    BaseInfo,
    CohortSummary,
    DriftFile,
    EndInfo,
    HintInfo,
    IntensityInfo,
    OptionsInfo,
    PromptInfo,
    ScheduleInfo,
    StartInfo,
)
from latentdrift.model.base import Base
from latentdrift.record import versions

if TYPE_CHECKING:
    from latentdrift.adapt.training.setup.training_setup import Job

FEW_IMAGES = 8
"""Number of training images whose colour and depth are looked at."""


def describe_adapter(
    base: Base, cohort: Cohort, job: Job, drift: DriftFile, losses: Mapping[str, float | None]
) -> AdapterInfo:
    """Describe a fit as the content of adapter.json; no patient data enters it.

    Args:
        base: The base that was trained.
        cohort: The cohort that it was trained on.
        job: The resolved fit.
        drift: Entry `drift` of adapter.json, from `resolve_drift` or `calibrated`.
        losses: Name -> value of the losses before and after training; None where not measured.
    """
    options = job.options
    training_rows = cohort.rows().iloc[list(job.positions)]
    stated = {
        name: spec for name, spec in cohort.attributes.items() if name != options.caption
    }  # a caption column's words are reports
    first_rows = training_rows.head(FEW_IMAGES).to_dict("records")
    return AdapterFile(
        format=FORMAT,
        method=job.method,
        options=OptionsInfo(**{name: getattr(options, name) for name in job.row.options}),
        hint=HintInfo.of_hint(job.hint) if job.hint else None,
        base=BaseInfo.of_base(base),
        schedule=ScheduleInfo(
            prediction_type=base.schedule.prediction_type, zero_snr=base.schedule.zero_snr
        ),
        drift=drift,
        noise=job.noise.to_dict(),
        tokens=list(job.words),
        describe=job.describe,
        pictures=job.pictures,
        start=[_start_info(*parse_reference(reference), job.row) for reference in options.start],
        prompt=_prompt_info(job),
        attributes={
            name: _attribute_info(spec, training_rows.get(name)) for name, spec in stated.items()
        },
        said=_always_stated(job, training_rows, stated),
        modalities=sorted({str(value) for value in training_rows["modality"].dropna()}),
        resolution=job.resolution,
        colour=any(cohort.pixels(row).ndim == 3 for row in first_rows),
        depth=16 if any(cohort.stored(row).dtype == np.uint16 for row in first_rows) else 8,
        unit=_unit(cohort),
        intensity=IntensityInfo(
            window_low=_ends(training_rows["window_low"]),
            window_high=_ends(training_rows["window_high"]),
        ),
        cohort=_cohort_summary(cohort, training_rows, stated),
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=job.rate,
        trainer=job.step_options,
        seed=options.seed,
        precision=job.settings["precision"],
        losses=dict(losses),
        versions=versions(),
    )


def _prompt_info(job: Job) -> PromptInfo:
    """The wording of the prompts, with the templates as they are today."""
    options = job.options
    return PromptInfo.model_validate(
        {
            **asdict(prompts.Manner.of_options(options)),
            "caption_dropout": job.dropout,
            "templates": list(prompts.TEMPLATES[options.prompt_style]),
        }
    )


def _cohort_summary(cohort: Cohort, training_rows: pd.DataFrame, stated: Spec) -> CohortSummary:
    """Counts of images and patients, and ranges of the attributes."""
    return CohortSummary(
        fingerprint=cohort.fingerprint,
        images={split: len(cohort.rows(split)) for split in ("train", "validation", "test")},
        patients=int(cohort.rows()["patient"].nunique()),
        attributes=model_card.summary(training_rows, stated),
    )


def _start_info(folder: Path, weight: float, row: Method) -> StartInfo:
    """The adapter that a fit started from, and whether the result needs it.

    A whole network holds all of its start but words and text encoder.
    """
    info = read(folder)
    needed = not row.replaces_network or bool(info.tokens) or bool(info.options.train_text_encoder)
    reference = reference_to(folder, str(info.method), weight)
    return StartInfo(**reference.to_dict(), needed=needed)


def _attribute_info(spec: Attribute, values: pd.Series | None) -> AttributeInfo:
    """Type and words of an attribute, and the rounded range of a number."""
    content = spec.model_dump(include={"type", "vocabulary", "unit"}, exclude_unset=True)
    if spec.is_number and values is not None:
        bounds = model_card.bounds(values, spec.unit)
        content |= {"low": bounds[0], "high": bounds[1]} if bounds else {}
    return AttributeInfo.model_validate(content)


def _unit(cohort: Cohort) -> str | None:
    """The unit of the cohort's intensities; None where it has several, or none is known."""
    units = list(cohort.info.source.units)
    return units[0] if len(units) == 1 else None


def _always_stated(job: Job, training_rows: pd.DataFrame, stated: Spec) -> list[str]:
    """Attributes that the prompt of every training image states.

    None where images have texts or instructions of their own.
    """
    options = job.options
    if options.caption or job.row.image_input == "source":
        return []
    states_patient = options.patient_info and options.prompt_style != "bare"
    names = [name for name in stated if states_patient or name in prompts.OF_THE_PICTURE]
    return [
        name
        for name in names
        if name in training_rows and not training_rows[name].map(prompts.is_missing).any()
    ]


def _ends(values: pd.Series) -> EndInfo | None:
    """Lowest, middle and highest value of a column; None where it is empty."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    return EndInfo.model_validate(
        {
            "low": known.min().item(),
            "median": float(np.median(known)),
            "high": known.max().item(),
        }
    )

"""Example = one thing to learn: a picture of the cohort, what is said of it, and what the network
is shown beside it."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from latentdrift import prompts
from latentdrift.attributes.specification import Cell
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.row_selection import check_category
from latentdrift.data.cohort.visits import pairs
from latentdrift.data.registration.columns import REFERENCE, REGISTERED, STATUS
from latentdrift.errors import CohortError, OptionError
from latentdrift.longitudinal.cohort_volumes import measured_volumes
from latentdrift.longitudinal.tissue_volumes import TissueVolumes, change_in_percent, shows_brains
from latentdrift.progress import bar

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Example:
    """A picture that is learned."""

    row: int
    """Its position in metadata.csv."""
    caption: str
    """Description of the image."""
    shown: int | None = None
    """Position of the picture from which comes what the network is shown beside the noisy
    latent."""


def of_rows(
    cohort: Cohort, split: str, options: FitOptions, describe: str, side: int
) -> list[Example]:
    """Examples for the images of a split with their sentences, in the order of metadata.csv.

    Args:
        cohort: The cohort.
        split: Its split.
        options: Options of `fit`; they determine the wording.
        describe: Noun of the images, see `prompts.named`; images without a word in it are left out.
        side: Not used.

    Raises:
        OptionError: The cohort lacks an attribute or column that the prompts need.
    """
    manner = prompts.Manner.of_options(options)
    spec = cohort.attributes
    manner.check(spec, cohort.texts)
    learned = describe != cohort.describe
    rows = _called(cohort.rows(split), split, options)
    read = [name for name in rows if name in spec or name == manner.caption]
    captions: dict[Hashable, str] = {}
    examples = []
    for row, *cells in zip(rows.index.to_list(), *_columns(rows[read]), strict=True):
        wording = (manner.variant(row), *cells)
        if wording not in captions:  # rows with equal cells share a sentence
            known = dict(zip(read, cells, strict=True))
            captions[wording] = manner.words(describe, known, spec, row, learned=learned)
        examples.append(Example(row, captions[wording]))
    return examples


def _columns(table: pd.DataFrame) -> list[list[Cell]]:
    """Cells of each column; None where one is missing, since two NaN are never equal."""
    return [table[name].astype(object).where(table[name].notna(), None).to_list() for name in table]


SENTENCE = {
    "prompt_style": "`prompt_style`",
    "patient_info": "`patient_info=False`",
    "age_encoding": "`age_encoding`",
    "negate_findings": "`negate_findings`",
    "drift_by": "`drift_by`",
}
"""Options about the sentence of a single picture, which an instruction is not."""


def of_pairs(
    cohort: Cohort, split: str, options: FitOptions, describe: str, side: int
) -> list[Example]:
    """Examples for every pair of visits: the later image, the instruction, and the earlier image's
    row.

    Where instructions say numbers, each pair is learned in both directions, and each image of a
    pair is what becomes of itself after 0 years: what the network draws of it then is what an edit
    is compared with.

    Pairs without a difference that an instruction can state are left out, and of a cohort with
    registered visits the images that could not be registered.

    Args:
        cohort: The cohort.
        split: Its split.
        options: Options of `fit`.
        describe: Noun of the images in prompts.
        side: Pixels on a side at which volumes are measured, where instructions say them.

    Raises:
        OptionError: An option about sentences, no such column of captions, or volumes of other
            images than brains.
        CohortError: There is no pair of training images.
    """
    _check_no_sentence(options)
    manner = prompts.Manner.of_options(options)
    spec = cohort.attributes
    manner.check(spec, cohort.texts)
    rows = cohort.rows(split)
    cells = rows.to_dict("index")
    examples = []
    refusals = []
    visits = pairs(_comparable(rows, split))
    if manner.uses_numbers:
        visits = _both_directions(visits)
    volumes = pair_volumes(cohort, manner, visits, side)
    for earlier, later in visits:
        try:
            examples.append(
                Example(
                    later,
                    manner.instructs(
                        describe,
                        cells[earlier],
                        cells[later],
                        spec,
                        change_in_percent(volumes[earlier], volumes[later]) if volumes else None,
                    ),
                    shown=earlier,
                )
            )
        except OptionError as error:
            refusals.append(error)
    _report_pairs(cohort, split, options, examples, refusals)
    return examples


def _check_no_sentence(options: FitOptions) -> None:
    """Check that no option is about the sentence of a single picture.

    Raises:
        OptionError: One is.
    """
    for name, flag in SENTENCE.items():
        if getattr(options, name) != FitOptions.model_fields[name].default:
            raise OptionError(
                f"{flag} is about sentences for single pictures, and `method={options.method}` is "
                "taught by instructions, which say age and condition of both visits: leave it out; "
                "`instruction` says how they are worded"
            )


def _report_pairs(
    cohort: Cohort,
    split: str,
    options: FitOptions,
    examples: Sequence[Example],
    refusals: Sequence[OptionError],
) -> None:
    """Log how many pairs are left out.

    Raises:
        CohortError: There is no pair of training images.
    """
    if refusals:
        log.warning(
            "%d of %d %s pairs left out, the first: %s",
            len(refusals),
            len(refusals) + len(examples),
            split,
            refusals[0],
        )
    if not examples and split == "train":
        raise CohortError(
            f"`method={options.method}` learns from pairs of visits, and cohort {cohort.folder} "
            "has none in its train split: two pictures of one `patient` and `view`, in an order "
            "that `days`, `visit` or `age` says, the later one of known age or condition; import "
            "the cohort again with these columns, or take another method"
        )


def pair_volumes(
    cohort: Cohort, manner: prompts.Manner, pairs: Iterable[tuple[int, int]], side: int
) -> dict[int, TissueVolumes]:
    """Volumes of the images of pairs; none where instructions do not say them.

    Raises:
        OptionError: The images are no brains.
    """
    if not manner.uses_volumes:
        return {}
    if not shows_brains(cohort.describe):
        raise OptionError(
            f"`instruction={manner.instruction}` measures tissues of slices of brains, and this "
            f"cohort holds {cohort.describe}; take `instruction=years`"
        )
    rows = {row for pair in pairs for row in pair}
    with bar("volumes") as report:
        return measured_volumes(cohort, rows, side, report)


def _both_directions(visits: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs of visits and their reverse, and each visit with itself."""
    alone = {visit for pair in visits for visit in pair}
    return sorted(
        {*visits, *((later, earlier) for earlier, later in visits), *((one, one) for one in alone)}
    )


def _comparable(rows: pd.DataFrame, split: str) -> pd.DataFrame:
    """Images whose differences are not of position, where visits were registered; otherwise all."""
    if STATUS not in rows:
        log.info(
            "Visits of the %s split are not registered, so differences of position are learned, "
            "too; `latentdrift import COHORT --register rigid --out NEW` registers them.",
            split,
        )
        return rows
    is_in_place = rows[STATUS].isin((REFERENCE, REGISTERED))
    log.info("Visits of the %s split: %d images are registered.", split, is_in_place.sum())
    return rows[is_in_place]


def _called(rows: pd.DataFrame, split: str, options: FitOptions) -> pd.DataFrame:
    """The rows that `concept_by` has a word for."""
    if options.concept_by is None:
        return rows
    nameless = rows[options.concept_by].map(prompts.is_missing)
    if nameless.any():
        log.warning(
            "%d of %d %s images say no %s: left out",
            nameless.sum(),
            len(rows),
            split,
            options.concept_by,
        )
    return rows[~nameless]


def concepts(cohort: Cohort, options: FitOptions) -> dict[str, str]:
    """New word for each value of `concept_by` among the training images; empty without the option.

    Args:
        cohort: The cohort.
        options: Options of `fit`.

    Raises:
        OptionError: No such category, or two values with equal words.
    """
    by = options.concept_by
    if by is None:
        return {}
    check_category(cohort, by, "concept_by")
    values = sorted(
        {str(value) for value in cohort.rows("train")[by] if not prompts.is_missing(value)}
    )
    words = {value: name_by(options).replace(f"{{{by}}}", prompts.slug(value)) for value in values}
    if len(set(words.values())) < len(words):
        raise OptionError(
            f"`concept_by={by}`: the values {', '.join(values)} do not make words that differ; "
            "rename them"
        )
    return words


def name_by(options: FitOptions) -> str:
    """New word, with a slot for the value of `concept_by`: `<cohort-{diagnosis}>`."""
    return (
        options.token
        if options.concept_by is None
        else f"{options.token[:-1]}-{{{options.concept_by}}}>"
    )

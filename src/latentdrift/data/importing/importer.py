"""Import: a folder of scans and a table in, a Cohort out. The story is `import_cohort`.

prepare      (import_plan.py) checks source, table, map, rows of files and free disk before any work
read_files   reads every file once and stages its pixels; a damaged file is refused with a reason
join         joins pixels with their row of the table, and finds copies
publish      (finalize.py) writes pseudonyms, days, splits and the private folder, then the cohort
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from latentdrift.attributes.specification import Cell
from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.importing import isolation
from latentdrift.data.importing.cohort_registration import is_cohort, register_cohort
from latentdrift.data.importing.finalize import AcceptedPicture, counted, publish
from latentdrift.data.importing.import_plan import Plan, prepare
from latentdrift.data.importing.reader_task import ReaderTask
from latentdrift.data.importing.row_matching import HeaderLinks
from latentdrift.data.importing.staging import StagedFile, StagedImage, Staging
from latentdrift.data.importing.walk import Refusal, readable
from latentdrift.data.tables.cell_parsing import CellError, Doubt, read_outright
from latentdrift.data.tables.column_map import way_to_files
from latentdrift.data.tables.pseudonymization import repeats
from latentdrift.errors import CohortError

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
"""Called with the number of files done and of all files."""


def import_cohort(options: ImportOptions, progress: Progress | None = None) -> Cohort:
    """Read scans and a table into a cohort; a repeated call continues after an interruption.

    Args:
        options: Options of `import`.
        progress: Called with (files done, all); None: not called.

    Raises:
        OptionError, InputError: Source, table, map or an option cannot be used.
        CohortError: `out` is in use, or no image was accepted.
        ResourceError: The disk is too small.
    """
    if is_cohort(options):
        return register_cohort(options, progress)
    plan = prepare(options)
    if plan.finished(options):
        log.info(
            "%s was finished by the same command; delete it to read its source again", options.out
        )
        Staging.forget(options.out)
        return Cohort.load(options.out)
    staging = Staging.open(options.out, plan.key)
    read_files(plan, staging, options, progress)
    images, refused = join(plan, staging)
    if not images:
        hint = f"; {reason}" if (reason := _hint(plan, _patients(staging))) else ""
        if any(refusal.reason == "no plane" for refusal in refused):
            hint += "; a volume needs `plane` axial, coronal or sagittal"
        staging.discard()
        raise CohortError(
            f"nothing was taken from {options.source}: {counted(refused)}; no cohort was made{hint}"
        )
    publish(plan, staging, images, refused, options, progress)
    if plan.links and plan.links.cure:
        log.warning(
            "%d rows of the table have no file here: %s",
            len(plan.links.rows_without_file),
            plan.links.hint,
        )
    return Cohort.load(options.out)


def read_files(
    plan: Plan, staging: Staging, options: ImportOptions, progress: Progress | None = None
) -> None:
    """Read every file that has a row and was not read before, and record each result.

    Args:
        plan: Plan of the import.
        staging: Unfinished work, which is extended.
        options: Options of `import`.
        progress: Called with (files done, all); None: not called.
    """
    wanted = [name for name in plan.files if plan.refusal(name) is None]
    stamps = {name: _stamp(plan, name) for name in wanted}
    waiting = {
        name: stamp
        for name, stamp in stamps.items()
        if name not in staging.done or staging.done[name].stamp != stamp
    }
    sizes = [(name, stamp[0]) for name, stamp in waiting.items()]
    read = ReaderTask.of(plan, options, staging.pixels("")).answer
    done = len(wanted) - len(waiting)
    with staging.recording() as record:
        for name, answer in isolation.each(read, sizes, options.workers):
            record(name, replace(_result(plan, name, answer), stamp=waiting[name]))
            done += 1
            if progress:
                progress(done, len(wanted))


def _result(plan: Plan, name: str, answer: Any) -> StagedFile:
    """Result of a file from the answer of its reader."""
    if not isinstance(answer, isolation.Lost):
        return StagedFile.from_dict(answer)
    sentence = f"{plan.root / name}: {answer.finding} ({answer.reason})"
    return StagedFile(reason=answer.reason, sentence=sentence)


def _stamp(plan: Plan, name: str) -> tuple[int, int]:
    """Size and time of a file, or of all files of the series that it stands for."""
    if name not in plan.volumes:
        return plan.stamps[name]
    slices = plan.volumes[name].slices
    sizes, times = zip(*(plan.stamps[slice.name] for slice in slices), strict=True)
    return sum(sizes), max(times)


def join(plan: Plan, staging: Staging) -> tuple[list[AcceptedPicture], list[Refusal]]:
    """Match pictures with table rows; pictures without a row, and duplicates, are refused.

    Args:
        plan: Plan of the import.
        staging: Unfinished work, after `read_files`.

    Returns:
        Accepted pictures, and refusals.
    """
    by_header = _header_links(plan, staging)
    images: list[AcceptedPicture] = []
    refused = list(plan.refused)
    first: dict[tuple[str, float, float], str] = {}
    for name in plan.files:
        before = plan.refusal(name)
        if before:
            refused.append(before)
            continue
        result = staging.done[name]
        if result.reason:
            refused.append(Refusal(name, result.reason, result.sentence or ""))
        for staged in result.images:
            if plan.plane and staged.plane not in (None, plan.plane):
                refused.append(
                    Refusal(
                        name,
                        "other plane",
                        f"a {staged.plane} slice where {plan.plane} ones were asked for",
                    )
                )
                continue
            try:
                rows, values = _rows(plan, by_header, name, staged)
            except CellError as error:
                refused.append(Refusal(name, error.reason, str(error)))
                continue
            if (
                same := (staged.sha256, *staged.window)
            ) in first:  # equal PNGs are equal only under one window
                refused.append(Refusal(name, "duplicate", f"the same pixels as {first[same]}"))
            else:
                first[same] = name
                outright, doubts = _values(plan, name, staged)
                known = _without_identity(outright | values, doubts)
                images.append(AcceptedPicture(name, staged, rows, known, tuple(doubts)))
    return images, refused


def _rows(
    plan: Plan, by_header: HeaderLinks | None, name: str, staged: StagedImage
) -> tuple[tuple[int, ...], dict[str, Cell]]:
    """The rows of a picture, by its file's name or by its header, and what they say together; none
    without a table.

    Raises:
        CellError: No row can be used.
    """
    if by_header:
        patient = staged.patient
        patient = plan.map.patient.part(patient) if plan.map.patient and patient else patient
        numbers, why = by_header.find(patient, staged.date)
        if why:
            raise CellError(why, f"the patient and date of the header lead to {why}")
        return plan.united(numbers)
    return plan.united(plan.links.rows_of[name]) if plan.links else ((), {})


def _header_links(plan: Plan, staging: Staging) -> HeaderLinks | None:
    """Rows by the patient and date of headers, where the map gives no file names; rejected rows
    too, because they say why."""
    if plan.table is None or plan.links is not None:
        return None
    pattern = plan.map.patient
    cells = plan.table.frame[plan.titles["patient"]].map(pattern.part if pattern else str)
    rows = {
        row: {"patient": cells[row]} | plan.rows.values.get(row, {})
        for row in plan.table.frame.index
    }
    return HeaderLinks.of(rows, _patients(staging))


def _patients(staging: Staging) -> list[str]:
    """The patients of all headers, sorted."""
    patients = (image.patient for file in staging.done.values() for image in file.images)
    return sorted({patient for patient in patients if patient})


def _hint(plan: Plan, headers: Sequence[str]) -> str | None:
    """Example of a row and a picture that do not meet, and the cure where it is known."""
    if plan.links:
        return plan.links.hint
    if plan.table is None:
        return None
    if not headers:
        return f"no image has a patient in a DICOM header; {way_to_files(plan.table)}"
    reason = "the map has no `file`, so rows are found by the patient in DICOM headers only"
    cells = plan.table.frame[plan.titles["patient"]]
    if cells.empty:
        return reason
    return (
        f"{reason}: the table has patients such as '{cells.iloc[0]}', and the headers such as "
        f"'{headers[0]}'"
    )


def _values(plan: Plan, name: str, staged: StagedImage) -> tuple[dict[str, Cell], list[Doubt]]:
    """Values of an image without a table: those of its header, then those of the map; and the
    values that cannot be read."""
    folders = readable(name).split("/")[:-1]
    places = {"parent": folders[-1:], "top": folders[:1], None: []}
    stated = {
        ours: next(iter(places[column.folder]), column.value)
        for ours, column in plan.map.columns.items()
    }
    stated |= {
        ours: staged.plane or plan.plane
        for ours, column in plan.map.columns.items()
        if column.plane
    }
    values = dict(staged.header)
    doubts = []
    for ours, text in stated.items():
        try:
            values[ours] = (
                read_outright(ours, plan.map.columns[ours], text) if text else values.get(ours)
            )
        except CellError as error:
            doubts.append(Doubt(ours, str(text), error.reason))
    return {ours: value for ours, value in values.items() if value not in (None, "")}, doubts


def _without_identity(values: dict[str, Cell], doubts: list[Doubt]) -> dict[str, Cell]:
    """The values of a picture but those whose text repeats the patient's id, which become
    doubts."""
    who = str(values.get("patient", ""))
    telling = [
        ours
        for ours, value in values.items()
        if ours != "patient" and isinstance(value, str) and repeats(value, who)
    ]
    doubts += [Doubt(ours, str(values[ours]), "repeats the patient's id") for ours in telling]
    return {ours: value for ours, value in values.items() if ours not in telling}

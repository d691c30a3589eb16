"""Edits of `edit` on their way to disk, made in this process or in workers.

START READING AT `write_edits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from latentdrift.config import EditOptions
from latentdrift.data.images.dicom.uids import Uids
from latentdrift.edit.editors.editors import starting
from latentdrift.edit.io.edit_facts import ModelFacts
from latentdrift.edit.io.edit_requests import EditPlan, Request
from latentdrift.edit.io.edit_run import EditRun, Hints
from latentdrift.edit.io.edit_writer import is_complete, write_counterfactual
from latentdrift.engines.schedule import Workers, run_items
from latentdrift.engines.work import Work
from latentdrift.jobs import agreement
from latentdrift.model.model import Model
from latentdrift.progress import ProgressCallback
from latentdrift.storage import key


@dataclass(frozen=True)
class EditTask:
    """What is to be done for one request."""

    position: int
    """Position of the request in the run."""
    makes: bool
    """Whether the counterfactual is missing."""
    reverses: bool
    """Whether the counterfactual is edited back."""

    @property
    def edits(self) -> int:
        """Number of edits."""
        return self.makes + self.reverses


@dataclass(frozen=True)
class WrittenEdits:
    """What a worker says of its item."""

    edits: int
    """Number of edits."""
    changes: Mapping[int, float]
    """Position of a request -> largest change of its counterfactual."""
    uids: Mapping[tuple[str, str], str]
    """UIDs that the worker has mapped."""


@dataclass(frozen=True, eq=False)
class EditSide:
    """What one process needs for edits."""

    run: EditRun
    uids: Uids


@dataclass(frozen=True, eq=False)
class EditStart:
    """What a worker is given, and loads the model for."""

    options: EditOptions
    """With the device of the main process."""
    plan: EditPlan
    hints: Hints
    requests: Sequence[Request]
    salt: str = field(repr=False)
    """Secret of the UIDs."""
    facts: Mapping[str, str]
    """Facts in which the worker has to agree."""

    def open(self) -> EditSide:
        """Load the model.

        Raises:
            ResourceError: It is not the model of the main process.
        """
        options = self.options
        model = Model.load(
            options.adapter,
            also=options.also,
            base=options.base,
            device=options.device,
            precision=options.precision,
        )
        model = replace(model, drift=starting(self.plan.editor, model, options.steps))
        agreement.check(self.facts, _facts(model))
        run = EditRun(model, options, self.plan, self.hints, self.requests)
        return EditSide(run, Uids(self.salt))


def write_edits(
    run: EditRun, missing: Sequence[Request], uids: Uids, report: ProgressCallback
) -> list[float]:
    """Make and write the counterfactuals that are missing, and their reversals.

    Args:
        run: The edits and their model.
        missing: Requests whose counterfactual is not written yet.
        uids: DICOM identifiers of the written images; they are saved after each item.
        report: Called with (edits done, all).

    Returns:
        Largest change of each counterfactual that was missing, as `write_counterfactual` returns
        it.
    """
    tasks = _tasks(run, missing)
    total = sum(task.edits for task in tasks)
    workers = agreement.workers_of(run.options, run.model.base)
    changes: dict[int, float] = {}
    done = 0
    for written in run_items(_work(run, uids, workers), _items(run, tasks, workers), workers):
        changes |= written.changes
        uids.known.update(written.uids)
        uids.save()
        done += written.edits
        report(done, total)
    return [changes[position] for position in sorted(changes)]


def _facts(model: Model) -> dict[str, str]:
    """Facts in which workers agree."""
    return agreement.facts(key(ModelFacts.of(model).to_dict(), model.identity))


def _work(
    run: EditRun, uids: Uids, workers: Workers
) -> Work[EditSide, Sequence[EditTask], WrittenEdits]:
    if workers.is_this_process:
        return Work.on(EditSide(run, uids), _write)
    options = agreement.pinned(run.options, run.model.base)
    start = EditStart(options, run.plan, run.hints, run.requests, uids.salt, _facts(run.model))
    return Work(start.open, _write)


def _tasks(run: EditRun, missing: Sequence[Request]) -> list[EditTask]:
    """Tasks of all requests that have something to do."""
    unmade = {id(request) for request in missing}
    tasks = [
        EditTask(position, id(request) in unmade, run.options.reverse)
        for position, request in enumerate(run.requests)
    ]
    return [task for task in tasks if task.edits]


def _items(
    run: EditRun, tasks: Sequence[EditTask], workers: Workers
) -> Iterator[Sequence[EditTask]]:
    """Tasks that one worker does together.

    Edits of one image share its inversion, so they stay together where that keeps all workers
    busy.
    """

    def image(task: EditTask) -> str:
        return run.requests[task.position].entry.name

    together = [list(group) for _, group in groupby(tasks, key=image)]
    if workers.is_this_process or len(together) < workers.count:
        return iter([task] for task in tasks)
    return iter(together)


def _write(side: EditSide, tasks: Sequence[EditTask]) -> WrittenEdits:
    """Make and write edits."""
    changes = {task.position: _make(side, task.position) for task in tasks if task.makes}
    for task in tasks:
        if task.reverses:
            _reverse(side, task.position)
    edits = sum(task.edits for task in tasks)
    return WrittenEdits(edits, changes, dict(side.uids.known))


def _make(side: EditSide, position: int) -> float:
    """Make and write a counterfactual; returns its largest change."""
    run = side.run
    request = run.requests[position]
    subject, counterfactual = run.make(request, run.inversion_cache)
    facts = run.facts(request)
    return write_counterfactual(run.folder(request), subject, counterfactual, facts, side.uids)


def _reverse(side: EditSide, position: int) -> None:
    """Edit a counterfactual back, unless that is done or the counterfactual is in quarantine."""
    run = side.run
    request = run.requests[position]
    reversal = run.back(request)
    folder = run.folder_back(request)
    is_held_back = not run.folder(request).is_dir()
    if is_held_back or is_complete(folder, run.facts(reversal)):
        return
    subject, counterfactual = run.make(reversal, run.inversion_cache)
    write_counterfactual(folder, subject, counterfactual, run.facts(reversal), side.uids)

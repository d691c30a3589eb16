"""What an import costs, from a few of its files, which are read for real and written nowhere."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from latentdrift.config import ImportOptions
from latentdrift.data.images.near_duplicates import MAX_PAIRS
from latentdrift.data.importing import isolation
from latentdrift.data.importing.import_plan import Plan
from latentdrift.data.importing.reader_task import ReaderTask
from latentdrift.data.importing.staging import StagedFile
from latentdrift.data.inspection.inspection_cost import seconds_per_pair

TRIED = 200
"""Files that are read at most."""
ENOUGH = 3.0
"""Seconds of reading after which no further file is begun."""


@dataclass(frozen=True)
class ImportCost:
    """Work of an import.

    Attributes:
        files: Files that are read.
        seconds_per_file: Time from one file to the next one with all workers.
        pairs_at_most: Pairs of images that may be compared by fine structure, where an image has
            no patient. Those whose thumbnails do not correlate are left out.
        seconds_per_pair: Time of comparing a pair.
        tried: Files of the sample, which were read.
        refused: Reason of a refusal -> number of files of the sample.
        bytes_per_file: Mean size of the PNGs that a file of the sample gives.
    """

    files: int = 0
    seconds_per_file: float = 0.0
    pairs_at_most: int = 0
    seconds_per_pair: float = 0.0
    tried: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    bytes_per_file: float = 0.0

    @property
    def seconds(self) -> float:
        """Time of reading all files."""
        return self.files * self.seconds_per_file

    @property
    def seconds_at_most(self) -> float:
        """Time of an import in which all these pairs are compared."""
        return self.seconds + self.pairs_at_most * self.seconds_per_pair

    @property
    def disk_bytes(self) -> int:
        """Size of the PNGs of all files."""
        return round(self.files * self.bytes_per_file)


def import_cost(plan: Plan, options: ImportOptions) -> ImportCost:
    """Estimate an import. A file that hangs or crashes costs itself alone, as in the import.

    Args:
        plan: Plan of the import.
        options: Options of `import`.

    Raises:
        OptionError, ResourceError: As the import raises them.
    """
    names = [name for name in plan.files if plan.refusal(name) is None]
    if not names:
        return ImportCost()
    chosen = random.Random(0).sample(names, min(TRIED, len(names)))
    task = ReaderTask.of(plan, options, None)
    answers, each = _tried(task, [(name, plan.stamps[name][0]) for name in chosen], options.workers)
    images = [image for answer in answers for image in answer.images]
    cost = ImportCost(
        files=len(names),
        seconds_per_file=each,
        tried=len(answers),
        refused=dict(Counter(answer.reason for answer in answers if answer.reason).most_common()),
        bytes_per_file=sum(image.png_bytes for image in images) / len(answers),
    )
    if _names_patients(plan) or all(image.patient for image in images):
        return cost
    number = round(len(images) / len(answers) * len(names))
    pairs = min(number * (number - 1) // 2, MAX_PAIRS)
    noise = np.random.default_rng(0).random((8, 256, 256), dtype=np.float32)
    pair = seconds_per_pair(len(noise), lambda i: noise[i])
    return replace(cost, pairs_at_most=pairs, seconds_per_pair=pair)


def _names_patients(plan: Plan) -> bool:
    """Whether the table or the map gives each image its patient."""
    return "patient" in plan.titles or "patient" in plan.map.columns


def _tried(
    task: ReaderTask, files: Sequence[tuple[str, int]], workers: int
) -> tuple[list[StagedFile], float]:
    """Answers to some files, and the seconds from one to the next one.

    The first file of each worker does not count where there are more: it waits for the start of the
    process and for imports.
    """
    answers: list[StagedFile] = []
    began = time.perf_counter()
    ended: list[float] = []
    with closing(isolation.each(task.answer, files, workers)) as reading:
        for _, answer in reading:
            ended.append(time.perf_counter())
            answers.append(_staged(answer))
            if len(ended) > workers and ended[-1] - began > ENOUGH:
                break
    if len(ended) > workers:
        return answers, (ended[-1] - ended[workers - 1]) / (len(ended) - workers)
    return answers, (ended[-1] - began) / len(ended)


def _staged(answer: dict[str, Any] | isolation.Lost) -> StagedFile:
    """Result of reading a file; that of a file whose process ended is a refusal."""
    if isinstance(answer, isolation.Lost):
        return StagedFile(reason=answer.reason, sentence=answer.finding)
    return StagedFile.from_dict(answer)

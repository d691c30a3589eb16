"""Import: a folder of scans and a table in, a Cohort out. The story is `import_cohort`.

prepare      (plan.py) what is asked for, checked before work starts: source, table, map, which file has which row, disk
read_files   every file read once, its pixels staged; a bad file says why and stops nothing
join         pixels meet their row of the table; copies are found
publish      (publishing.py) pseudonyms, days, splits; the private folder; the cohort takes its name
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.config import ImportOptions
from latentdrift.data import duplicates, isolation, readers
from latentdrift.data.cohort import Cohort, quantise
from latentdrift.data.image import Image, ImageError
from latentdrift.data.linking import HeaderLinks
from latentdrift.data.plan import Plan, prepare
from latentdrift.data.publishing import Taken, counted, publish
from latentdrift.data.series import Series, read_series
from latentdrift.data.staging import Staging
from latentdrift.data.values import parse_date
from latentdrift.data.volume import MIDDLE
from latentdrift.data.walk import Refusal, readable
from latentdrift.data.write import write_png
from latentdrift.errors import CohortError, InputError, OptionError, ResourceError

Progress = Callable[[int, int], None]
"""Called with the number of files done and of all files."""


def import_cohort(options: ImportOptions, progress: Progress | None = None) -> Cohort:
    """Read scans and a table into a cohort; the same call again continues after an interruption.

    Raises:
        OptionError, InputError: Source, table, map or an option cannot be used.
        CohortError: `out` is in use, or not one image could be taken.
        ResourceError: The disk is too small.
    """
    plan = prepare(options)
    staging = Staging.open(options.out, plan.key)
    read_files(plan, staging, options, progress)
    taken, refused = join(plan, staging)
    if not taken:
        staging.discard()
        hint = (
            ""
            if plan.table is None or plan.links
            else "; the map has no `file`, so rows are found by the patient in DICOM headers only"
        )
        raise CohortError(f"nothing was taken from {options.source}: {counted(refused)}; no cohort was made{hint}")
    publish(plan, staging, taken, refused, options)
    return Cohort.load(options.out)


def read_files(plan: Plan, staging: Staging, options: ImportOptions, progress: Progress | None = None) -> None:
    """Read every file that has a row, unless it was read before; what came of it is recorded one by one."""
    wanted = [name for name in plan.files if _refusal_before_reading(plan, name) is None]
    waiting = {name: stamp for name in wanted if staging.done.get(name, {}).get("stamp") != (stamp := _stamp(plan, name))}
    sizes = [(name, stamp[0] if stamp else 0) for name, stamp in waiting.items()]
    read = partial(_read_file, _Reading.of(plan, staging, options))
    done = len(wanted) - len(waiting)
    for name, result in isolation.each(read, sizes, options.workers):
        if isinstance(result, isolation.Lost):
            sentence = f"{plan.root / name}: {result.finding} ({result.reason})"
            result = {"images": [], "reason": result.reason, "sentence": sentence}
        staging.record(name, {"stamp": waiting[name], **result})
        done += 1
        if progress:
            progress(done, len(wanted))


@dataclass(frozen=True)
class _Reading:
    """What decides what is read of a file, and where its pixels go."""

    root: Path
    pixels: Path
    asked: dict[str, Any]
    """Arguments of `readers.read`."""
    volumes: Mapping[str, Series]
    """As of the plan."""

    def images(self, name: str) -> list[Image]:
        """The pictures of a file, or of the series that it stands for."""
        if name in self.volumes:
            return read_series(self.root, self.volumes[name], **self.asked)
        return readers.read(self.root / name, **self.asked)

    @classmethod
    def of(cls, plan: Plan, staging: Staging, options: ImportOptions) -> _Reading:
        asked = {"plane": plan.plane, "position": options.position or MIDDLE, "slab": options.slab, "window": plan.window}
        more = {"keep": plan.header_fields, "leave_out": plan.leave_out}
        return cls(plan.root, staging.pixels(""), asked | more, plan.volumes)


def _refusal_before_reading(plan: Plan, name: str) -> Refusal | None:
    """What the name and the table already rule out."""
    if name in plan.standing:
        return Refusal(name, "slice of a volume", f"one picture is taken of its series, and {plan.standing[name]} stands for it")
    if plan.links is None or (name in plan.links.row_of and plan.links.row_of[name] not in plan.rows.rejected):
        return None
    if name in plan.links.row_of:
        error = plan.rows.rejected[plan.links.row_of[name]]
        return Refusal(name, error.reason, str(error))
    if name in plan.links.ambiguous:
        return Refusal(name, "more than one row in the table", plan.links.ambiguous[name])
    if name in plan.other_planes:
        return Refusal(name, "other plane", f"a slice of another plane than {plan.plane}")
    try:
        readers.kind_of(plan.root / name)
    except ImageError as error:
        return Refusal(name, error.reason, str(error))
    return Refusal(name, "no row in the table", "no row of the table names this file")


def _read_file(reading: _Reading, name: str) -> dict[str, Any]:
    """Everything that a file gives, as plain values; its pixels go to the staging folder."""
    result: dict[str, Any] = {"images": [], "reason": None, "sentence": None}
    try:
        for position, image in enumerate(reading.images(name)):
            png = f"{hashlib.sha256(os.fsencode(f'{name}#{position}')).hexdigest()[:24]}.png"
            result["images"].append(_stage(image, reading.pixels / png))
    except InputError as error:
        return result | {"images": [], "reason": getattr(error, "reason", "damaged"), "sentence": str(error)}
    except (OptionError, ResourceError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  one bad file never stops an import, whatever its decoder raises
        return result | {"images": [], "reason": "unreadable", "sentence": f"{name}: {type(error).__name__}: {error}"}
    return result


def _stage(image: Image, target: Path) -> dict[str, Any]:
    pixels, window = quantise(image.pixels, image.range)
    partial = target.with_name(f"{target.stem}.partial.png")
    try:
        write_png(partial, pixels, synthetic="synthetic" in image.notes)
        os.replace(partial, target)
    except OSError as error:
        why = "the disk is full at" if error.errno == errno.ENOSPC else f"nothing can be written ({error.strerror or error}) at"
        raise ResourceError(f"{why} {target.parent}; free some space and start this import again") from error
    plane = (image.source.plane if image.source else None) or _plane(image.affine)
    known = {"modality": image.modality, "view": plane} | dict(image.attributes)
    return {
        "png": target.name,
        "sha256": duplicates.pixel_hash(pixels),
        "window": window,
        "extent": [float(image.pixels.min()), float(image.pixels.max())],
        "spacing": image.spacing,
        "unit": image.unit,
        "kind": image.source.kind if image.source else None,
        "plane": plane,
        "frame": image.source.frame if image.source else None,
        "notes": list(image.notes),
        "header": known | {"patient": image.patient, "date": parse_date(image.date or "")},
    }


def _plane(affine: np.ndarray | None) -> str | None:
    """The plane of a picture from its place in the patient (RAS), where its normal is within 37 degrees of an axis."""
    if affine is None:
        return None
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    along = np.abs(normal) / np.linalg.norm(normal)
    return ("sagittal", "coronal", "axial")[int(along.argmax())] if along.max() > 0.8 else None


def _stamp(plan: Plan, name: str) -> list[int] | None:
    """Size and time of a file, or of all files of a series; None where one is gone since it was listed."""
    names = [slice.name for slice in plan.volumes[name].slices] if name in plan.volumes else [name]
    try:
        states = [(plan.root / each).stat() for each in names]
    except OSError:
        return None
    return [sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)]


def join(plan: Plan, staging: Staging) -> tuple[list[Taken], list[Refusal]]:
    """Pictures meet their row; what has none, and what was there before, is refused."""
    by_header = _header_links(plan)
    taken: list[Taken] = []
    refused = list(plan.refused)
    first: dict[tuple[str, float, float], str] = {}
    for name in plan.files:
        before = _refusal_before_reading(plan, name)
        result: dict[str, Any] = {"images": []} | (staging.done[name] if before is None else asdict(before))
        if result["reason"]:
            refused.append(Refusal(name, result["reason"], result["sentence"]))
        for staged in result["images"]:
            row, why = plan.links.row_of[name] if plan.links else None, ""
            if by_header:
                row, why = by_header.find(staged["header"]["patient"], staged["header"]["date"])
            if plan.plane and staged["plane"] not in (None, plan.plane):
                refused.append(Refusal(name, "other plane", f"a {staged['plane']} slice where {plan.plane} ones were asked for"))
            elif why:
                refused.append(Refusal(name, why, f"the patient and date of the header lead to {why}"))
            elif row in plan.rows.rejected:
                refused.append(Refusal(name, plan.rows.rejected[row].reason, str(plan.rows.rejected[row])))
            elif (same := (staged["sha256"], *staged["window"])) in first:  # equal PNGs are equal only under one window
                refused.append(Refusal(name, "duplicate", f"the same pixels as {first[same]}"))
            else:
                first[same] = name
                taken.append(Taken(name, staged, row, _values(plan, name, staged, row)))
    return taken, refused


def _header_links(plan: Plan) -> HeaderLinks | None:
    """Rows by the patient and date of headers, where the map gives no file names; rejected rows too, because they say why."""
    if plan.table is None or plan.links is not None:
        return None
    cells = plan.table.frame[plan.titles["patient"]]
    rows = {row: {"patient": cells[row]} | plan.rows.values.get(row, {}) for row in plan.table.frame.index}
    return HeaderLinks.of(rows)


def _values(plan: Plan, name: str, staged: dict[str, Any], row: int | None) -> dict[str, Any]:
    """What is known of a picture: its header, then what the map says outright, then its row of the table."""
    folders = readable(name).split("/")[:-1]
    places = {"parent": folders[-1:], "top": folders[:1], None: []}
    said = {ours: next(iter(places[column.folder]), column.value) for ours, column in plan.map.columns.items()}
    said |= {ours: staged["plane"] or plan.plane for ours, column in plan.map.columns.items() if column.plane}
    outright = {ours: value for ours, value in {**staged["header"], **said}.items() if value not in (None, "")}
    return outright | (plan.rows.values[row] if row is not None else {})

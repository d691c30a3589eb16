"""Plan of an import, checked before a pixel is read: source, map, table, the row of each file, disk
space."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from latentdrift import record
from latentdrift.attributes.specification import Cell
from latentdrift.config import ImportOptions
from latentdrift.config.parts import given
from latentdrift.data.cohort import splits
from latentdrift.data.cohort.cohort import check_free
from latentdrift.data.images import image_readers
from latentdrift.data.images.dicom.objects import OBJECTS
from latentdrift.data.images.dicom.series import Series, SliceHeader, group, slice_header
from latentdrift.data.images.image import ImageError, Plane
from latentdrift.data.images.intensity import parse_window
from latentdrift.data.importing import isolation
from latentdrift.data.importing.row_matching import Links, link
from latentdrift.data.importing.staging import staging_folder
from latentdrift.data.importing.walk import Refusal, walk
from latentdrift.data.tables.cell_parsing import CellError, Rows, read_rows, unite
from latentdrift.data.tables.column_map import (
    TableMap,
    check_columns,
    guess_map,
    load_map,
    load_preset,
)
from latentdrift.data.tables.pseudonymization import identifies, private_folder, repeats
from latentdrift.data.tables.tables import Table, read_table
from latentdrift.errors import InputError, OptionError, ResourceError, unknown

log = logging.getLogger(__name__)
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Endings of files that class folders hold."""
MAX_CLASSES = 50
FEWEST_OF_A_CLASS = 2
"""Folders at most, and pictures in each at least, that look like classes."""


@dataclass(frozen=True)
class Plan:
    """Files that an import will read, and all that is known of them beforehand."""

    root: Path
    files: list[str]
    """Relative to the root, sorted."""
    refused: list[Refusal]
    """Files of the source that are out of reach."""
    map: TableMap
    table: Table | None
    titles: dict[str, str]
    """Our name -> the table's title."""
    rows: Rows
    links: Links | None
    """None where files and rows meet by the header, or there is no table."""
    other_planes: frozenset[str]
    plane: Plane | None
    header_fields: tuple[str, ...]
    window: str | None
    volumes: Mapping[str, Series]
    """File that stands for a DICOM series -> the series, where a slice of each is wanted."""
    standing: Mapping[str, str]
    """Any other file of these series -> the one that stands for it."""
    leave_out: tuple[str, ...]
    """Kinds of DICOM objects that are no scans and are not taken."""
    key: str
    """Key of everything that decides the pixels; unfinished work with another key is not used."""

    def united(self, numbers: tuple[int, ...]) -> tuple[tuple[int, ...], dict[str, Cell]]:
        """Unite the usable rows of a picture.

        Args:
            numbers: Numbers of its rows in the table.

        Returns:
            Numbers of the usable rows, and their values by attribute.

        Raises:
            CellError: No row is usable, or they contradict each other.
        """
        usable = tuple(number for number in numbers if number not in self.rows.rejected)
        if not usable:
            raise self.rows.rejected[numbers[0]]
        none = self.map.findings.none if self.map.findings else None
        return usable, unite(self.rows, usable, none)

    def refusal(self, name: str) -> Refusal | None:
        """Reason to refuse a file by its name and the table, before it is read; None: there is
        none."""
        if name in self.standing:
            finding = f"one picture is taken of its series, and {self.standing[name]} stands for it"
            return Refusal(name, "slice of a volume", finding)
        if self.links is None:
            return None
        if name in self.links.rows_of:
            try:
                self.united(self.links.rows_of[name])
            except CellError as error:
                return Refusal(name, error.reason, str(error))
            return None
        if name in self.links.ambiguous:
            return Refusal(
                name, "more than one file for a row of the table", self.links.ambiguous[name]
            )
        if name in self.other_planes:
            return Refusal(name, "other plane", f"a slice of another plane than {self.plane}")
        return self.unreadable(name) or Refusal(
            name, "no row in the table", "no row of the table names this file"
        )

    def unreadable(self, name: str) -> Refusal | None:
        """Reason to refuse a file by its first bytes; None: there is none."""
        try:
            image_readers.kind_of(self.root / name)
        except ImageError as error:
            return Refusal(name, error.reason, str(error))
        return None

    @cached_property
    def stamps(self) -> dict[str, tuple[int, int]]:
        """Size in bytes and time in nanoseconds of each file, before it is read."""
        return {name: size_and_time(self.root / name) for name in self.files}

    @property
    def inputs(self) -> dict[str, str]:
        """Hashes of the import's inputs for its record: settings, and names, sizes and times of
        files."""
        stamps = [(name, *stamp) for name, stamp in self.stamps.items()]
        return {
            "settings": self.key,
            "files": hashlib.sha256(json.dumps(stamps).encode()).hexdigest(),
        }

    def finished(self, options: ImportOptions) -> bool:
        """Whether an equal command has already made the cohort from an equal source.

        Raises:
            CohortError: `out` holds something else.
        """
        if (options.out / "cohort.json").is_file() and record.is_of(
            private_folder(options.out), "import", options, self.inputs
        ):
            return True
        check_free(options.out)
        return False


def size_and_time(path: Path) -> tuple[int, int]:
    """Size of a file in bytes and its time in nanoseconds; zeros if it no longer exists."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns


def prepare(options: ImportOptions) -> Plan:
    """Plan an import, and check all that can be wrong, before pixels are read.

    Args:
        options: Options of the import.

    Raises:
        InputError: The source, the table or the map cannot be used.
        OptionError: Options do not fit together, or do not fit the source.
        ResourceError: The disk has too little room.
    """
    parse_window(options.window)
    splits.totals(1, options.split)
    root = _root(options.source)
    table_map, table_path = _map_and_table(options)
    table = _table(options, table_map, table_path)
    if table_map is None:
        table_map = guess_map(table) if table else TableMap()
    columns = table.frame.columns if table else ()
    keep = tuple(unicodedata.normalize("NFC", name) for name in options.keep)
    extra_columns = tuple(name for name in keep if name in columns)
    header_fields = tuple(name for name in keep if name not in columns)
    _check_header_fields(header_fields, columns)
    titles = check_columns(table_map, table, extra_columns) if table else {}
    rows = read_rows(table, table_map, titles, extra_columns) if table else Rows({}, {}, {})
    _check_identity(table, titles, (*table_map.keep, *extra_columns))
    files, refused = _files(options, root, table_path)
    _check_slices(options, root, files, table_map)
    plane = table_map.plane(options.plane)
    links, other_planes = _links(table, table_map, files, plane)
    window = options.window or table_map.window
    parse_window(window)
    key = _key(options, table_map, table_path)
    leave_out = tuple(kind for kind in OBJECTS if kind not in options.include)
    volumes = _volumes(root, files, links, leave_out, options)
    plan = Plan(
        root,
        files,
        refused,
        table_map,
        table,
        titles,
        rows,
        links,
        other_planes,
        plane,
        header_fields,
        window,
        volumes,
        _representatives(volumes),
        leave_out,
        key,
    )
    _check_disk(plan, options.out)
    if table is None and not options.preset and not options.map:
        _suggest_classes(files)
    return plan


def _root(source: Path) -> Path:
    """Folder of the images: the source itself, or the folder of a single file."""
    if not source.exists():
        raise InputError(f"the source {source} does not exist; give a folder or file of images")
    return source if source.is_dir() else source.parent


def _links(
    table: Table | None, table_map: TableMap, files: list[str], plane: Plane | None
) -> tuple[Links | None, frozenset[str]]:
    """Links of the table's rows to files of the wanted plane, and the files of other planes."""
    linked = (
        {of: link(pattern, table.frame, files) for of, pattern in table_map.file.items()}
        if table
        else {}
    )
    links = linked.pop(plane or "", linked.pop("", None))
    return links, frozenset(path for other in linked.values() for path in other.rows_of)


def _representatives(volumes: dict[str, Series]) -> dict[str, str]:
    """Slices of DICOM series -> the file that stands for their series."""
    return {
        slice.name: name
        for name, series in volumes.items()
        for slice in series.slices
        if slice.name != name
    }


def _suggest_classes(files: list[str]) -> None:
    """Name the preset for class folders where the files look like some: their names may be
    patients', so they are not shown."""
    folders = Counter(
        parent
        for name in files
        if (parent := name.rpartition("/")[0]) and name.lower().endswith(PICTURES)
    )
    if 2 <= len(folders) <= MAX_CLASSES and min(folders.values()) >= FEWEST_OF_A_CLASS:
        log.warning(
            "There is no table, and the pictures lie in %d folders. If a folder is a class, did "
            "you mean `preset=imagefolder`? It makes the folder's name the label.",
            len(folders),
        )


def _check_slices(
    options: ImportOptions, root: Path, files: list[str], table_map: TableMap
) -> None:
    """Check that options about slices have a part in some file; a map that names files by plane has
    one for `plane`.

    Raises:
        OptionError: All files are pictures.
    """
    planes = any(table_map.file)
    flags = [
        name
        for name in ("plane", "position", "slab")
        if given(options, name) and not (name == "plane" and planes)
    ]
    if flags and not any(_has_slices(root / name) for name in files):
        raise OptionError(
            f"`{flags[0]}` is about slices, and no file of {options.source} is DICOM or NIfTI; "
            "leave it out"
        )


def _has_slices(path: Path) -> bool:
    try:
        return image_readers.kind_of(path) != "raster"
    except ImageError:
        return False


def _answer(root: Path, leave_out: Sequence[str], name: str) -> dict[str, Any] | None:
    """Header of a slice as JSON values, in a process of its own."""
    header = slice_header(root, leave_out, name)
    return None if header is None else header.to_dict()


def _volumes(
    root: Path,
    files: list[str],
    links: Links | None,
    leave_out: tuple[str, ...],
    options: ImportOptions,
) -> dict[str, Series]:
    """The DICOM series of the source by the file that stands for each, one with a row if there is
    one; none unless wanted."""
    if options.position is None and not options.slab:
        return {}
    sizes = [(name, (root / name).stat().st_size) for name in files]
    answers = isolation.each(partial(_answer, root, leave_out), sizes, options.workers)
    headers = [SliceHeader.from_dict(answer) for _, answer in answers if isinstance(answer, dict)]
    named = links.rows_of if links else {}
    volumes = {}
    for series in group(sorted(headers, key=lambda header: header.name)):
        names = [slice.name for slice in series.slices]
        volumes[next((name for name in names if name in named), names[0])] = series
    return volumes


def survey(plan: Plan, options: ImportOptions) -> dict[str, Any]:
    """Report the files that an import would read and refuse, without reading pixels.

    Args:
        plan: Plan of the import.
        options: Options of `import`.

    Returns:
        A part of the answer of `latentdrift import --dry-run`. `files_with_a_row` is None where
        rows are matched by DICOM headers, which are not read.

    Raises:
        CohortError: `out` holds something else.
    """
    plan.finished(options)
    refusals = [plan.refusal(name) or plan.unreadable(name) for name in plan.files]
    by_reason = dict(
        Counter(refusal.reason for refusal in [*plan.refused, *refusals] if refusal).most_common()
    )
    return {
        "files": len(plan.files),
        "files_with_a_row": len(plan.links.rows_of) if plan.links else None if plan.table else 0,
        "files_to_read": refusals.count(None),
        "files_left_out": by_reason,
        "table_rows": len(plan.table.frame) + len(plan.table.rejected) if plan.table else 0,
        "rows_without_file": len(plan.links.rows_without_file)
        if plan.links
        else None
        if plan.table
        else 0,
        "rows_left_out": dict(Counter(error.reason for error in plan.rows.rejected.values())),
    }


def _table(options: ImportOptions, table_map: TableMap | None, path: Path | None) -> Table | None:
    if path is None:
        if options.sheet is not None:
            raise OptionError(
                "`sheet` names a sheet of the table, and no table is given; give `table`, or leave "
                "it out"
            )
        return None
    wanted = options.sheet or (table_map.sheet if table_map else None)
    table = read_table(path, table_map.encoding if table_map else None, wanted)
    if table.other_sheets and wanted is None:
        log.warning("The table %s is read%s.", path.name, table.where)
    return table


def _map_and_table(options: ImportOptions) -> tuple[TableMap | None, Path | None]:
    """The map (None: guess it from the table's titles) and the table's path (None: there is
    none)."""
    if options.preset and options.map:
        raise OptionError("`preset` and `map` both say what the columns mean; give one of them")
    if options.map:
        table_map = load_map(options.map)
    elif options.preset:
        table_map = load_preset(options.preset)
    else:
        return None, options.table
    if options.table or not table_map.reads_table:
        return table_map, options.table
    if not table_map.table:
        raise OptionError(
            f"the map {options.map} names columns of a table; give the table with `table`"
        )
    root = options.source if options.source.is_dir() else options.source.parent
    for name in table_map.table:
        for candidate in (*sorted(root.glob(name)), *sorted(root.rglob(name))):
            return table_map, candidate
    raise InputError(
        f"no table named {' or '.join(table_map.table)} lies in {root}; give it with `table`"
    )


def _check_header_fields(names: tuple[str, ...], columns: Any) -> None:
    """Header fields follow the rule of the table's columns: what tells who the patients are cannot
    be kept."""
    from pydicom.datadict import tag_for_keyword

    for name in names:
        if tag_for_keyword(name) is None:
            raise unknown(
                "field to keep", name, [*columns, "any DICOM keyword such as SliceThickness"]
            )
        if identifies(name):
            raise OptionError(
                f"the header field '{name}' tells who the patients are and cannot be kept; leave "
                "it out of `keep`"
            )


def _check_identity(table: Table | None, titles: dict[str, str], columns: tuple[str, ...]) -> None:
    """A column that is to stay must not carry the patients' ids, as `MRI ID` does in OASIS."""
    if table is None or "patient" not in titles:
        return
    patients = table.frame[titles["patient"]]
    for title in [
        *(theirs for ours, theirs in titles.items() if ours not in ("patient", "date")),
        *columns,
    ]:
        telling = [
            cell
            for who, cell in zip(patients, table.frame[title], strict=True)
            if repeats(cell, who)
        ]
        if telling:
            raise OptionError(
                f"the column '{title}' carries patient ids (in {len(telling)} rows) and cannot "
                "stay; leave it out of the map"
            )


def _files(
    options: ImportOptions, root: Path, table_path: Path | None
) -> tuple[list[str], list[Refusal]]:
    """Every file under the source, except the table, the map, and what this or an earlier import to
    the same place made."""
    if options.source.is_file():
        return [options.source.name], []
    own = (options.out, private_folder(options.out), staging_folder(options.out))
    aside = [path.resolve() for path in (*own, table_path, options.map) if path]
    files, refused = walk(root, aside, follow_links=options.follow_links)
    if not files:
        why = f" that can be read: {refused[0].sentence}" if refused else ""
        raise InputError(
            f"the source {root} holds no files{why}; give a folder with PNG, JPEG, TIFF, DICOM or "
            "NIfTI images"
        )
    return files, refused


def _key(options: ImportOptions, table_map: TableMap, table_path: Path | None) -> str:
    pixels = options.model_dump(
        mode="json", include={"plane", "position", "slab", "window", "keep", "include"}
    )
    parts: dict[str, Any] = {
        "source": str(options.source.resolve()),
        "map": table_map.model_dump(mode="json"),
        "options": pixels,
    }
    parts["table"] = hashlib.sha256(table_path.read_bytes()).hexdigest() if table_path else None
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _disk_needed(plan: Plan) -> int:
    """Bytes, a rough bound: PNGs are up to four times as large as JPEGs, and of a volume only a
    slice is taken."""
    total = 0
    for name, (size, _) in plan.stamps.items():
        total += min(4 * size, (0 if ".nii" in name else size) + 4_000_000)
    return total


def _check_disk(plan: Plan, out: Path) -> None:
    place = next(folder for folder in out.resolve().parents if folder.is_dir())
    needed = _disk_needed(plan)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise ResourceError(
            f"this import needs about {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free at "
            f"{place}; free some space or choose another `out`"
        )

"""Map from the columns of a table to attributes: a map file (YAML) or a preset, checked, and rows
converted by it.

    describe: brain MRI                    description of the images in prompts
    file: "{MRI ID}_axl.nii.gz"            a column of file names, or a pattern of columns, * ? []
    patient: Subject ID                    a column by its title
    age: {column: Age, unit: years}
    sex: {column: Gender, values: {1: M, 2: F}}
    findings: {column: Labels, separator: "|", none: No Finding}
    date: {column: Scan date, format: "%d/%m/%Y"}
    diagnosis: {column: CDR, values: {0: no dementia, 0.5: dementia}}
    keep: [MMSE]                           stays a column, never enters a prompt
    keep_rows: {Modality: X-ray}           rows with other values are left out

Columns that the map does not name do not enter the cohort. Every key is shown in docs/mapping.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from latentdrift.config.documents import read_yaml
from latentdrift.data.images.image import Plane
from latentdrift.data.tables.tables import Table
from latentdrift.errors import InputError, OptionError, unknown

PRESETS_FILE = Path(__file__).with_name("presets.yaml")
FileOf = Literal["", "axial", "coronal", "sagittal"]
"""A plane, or any."""
PLACEHOLDER = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")
WIDEST = 255
"""Characters to which a placeholder may fill up a cell; file names are no longer."""
MAX_WILDCARDS = 3
"""Wildcards `*` in a column's `pattern`, at most; each multiplies the time to reject a text."""


class Column(BaseModel):
    """Source of an attribute's value, and the rules by which it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: tuple[str, ...] = ()
    """Title of the table's column; of several, the first that the table has."""
    folder: Literal["parent", "top"] | None = None
    """Instead of a column: the folder that holds the image, or the first one below the source."""
    plane: bool = False
    """Instead of a column: the plane of the slice."""
    value: str | None = None
    """Instead of a column: the same for all images."""
    pattern: str | None = None
    """The part of the text that counts, in braces: `{*}[ab]` takes 00013 from 00013a. Other text
    stays whole."""
    values: dict[str, str] = Field(default_factory=dict)
    """Their value -> ours; a value that is not named stays as it is."""
    type: Literal["number", "category"] | None = None
    """Default: a number if every value of the column is one."""
    unit: str | None = None
    """Unit of an age: years, months, weeks or days. For another number: any word."""
    separator: str = "|"
    """Between several findings."""
    none: str | None = None
    """The value that says: no finding."""
    format: str | None = None
    """Format of a date, as in Python's strptime; default: inferred from all values of the
    column."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        given = {"column": given} if isinstance(given, (str, list, tuple)) else given
        if isinstance(given, dict) and isinstance(given.get("column"), str):
            given = given | {"column": (given["column"],)}
        return given

    @model_validator(mode="after")
    def _one_source(self) -> Column:
        if bool(self.column) + bool(self.folder) + bool(self.value) + self.plane != 1:
            raise ValueError("needs exactly one of column, folder, value, plane")
        if self.pattern is not None:
            _part_pattern(self.pattern)
        return self

    def part(self, text: str) -> str:
        """Part of a text that `pattern` captures; the whole text without a match."""
        match = _part_pattern(self.pattern).fullmatch(text) if self.pattern is not None else None
        return match[1] if match and match[1] else text


@cache
def _part_pattern(pattern: str) -> re.Pattern[str]:
    """`{*}[ab]` as a regular expression: `*` any text, `?` one character, `[ab]` one of these, all
    else as it stands.

    Raises:
        ValueError: There is not exactly one pair of braces, or there are too many stars.
    """
    if not re.fullmatch(r"[^{}]*\{[^{}]+\}[^{}]*", pattern) or pattern.count("*") > MAX_WILDCARDS:
        raise ValueError(
            f"the pattern '{pattern}' needs one {{…}} around the part that counts, and at most "
            f"{MAX_WILDCARDS} of *"
        )
    signs = {"*": ".*", "?": ".", "{": "(", "}": ")"}
    pieces = re.findall(r"\[[^\]]+\]|.", pattern, re.DOTALL)
    words = [
        _one_of(piece) if len(piece) > 1 else signs.get(piece, re.escape(piece)) for piece in pieces
    ]
    return re.compile("".join(words), re.DOTALL | re.IGNORECASE)


def _one_of(piece: str) -> str:
    """`[a-z]` or `[!a-z]`, as in file patterns, as a regular expression."""
    inside = piece[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
    return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"


class TableMap(BaseModel):
    """A map file; keys that are not listed here name further attributes, such as `diagnosis`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: tuple[str, ...] = ()
    """Names (with * and ?) of the table that lies with the images, for a preset."""
    encoding: str | None = None
    """The table's encoding; default: found out."""
    sheet: str | None = None
    """The workbook's sheet, where `sheet` names none; default: the first that is not empty."""
    describe: str | None = None
    window: str | None = None
    """Intensities kept where `window` says nothing, in its words."""
    file: dict[FileOf, str] = Field(default_factory=dict)
    """Pattern of the file name, by plane where the same row has one file for each; "" is any
    plane."""
    patient: Column | None = None
    visit: Column | None = None
    days: Column | None = None
    date: Column | None = None
    age: Column | None = None
    sex: Column | None = None
    findings: Column | None = None
    view: Column | None = None
    modality: Column | None = None
    keep: tuple[str, ...] = ()
    """Titles of columns that stay in the cohort and do not enter prompts."""
    keep_rows: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Title of a column -> the values of the rows that are used, compared as `values` are."""
    attributes: dict[str, Column] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise ValueError("is not a list of `ours: theirs` lines")
        own = {name: value for name, value in given.items() if name in cls.model_fields}
        further = {name: value for name, value in given.items() if name not in cls.model_fields}
        for name in further:
            plain = re.sub(r"[\s_-]", "", name.lower())
            near = [
                ours
                for ours in ("file", "patient", "date", "age", "sex")
                if plain in SYNONYMS[ours]
            ]
            near = near or get_close_matches(
                name.lower(), set(cls.model_fields) - {"attributes"}, n=1, cutoff=0.8
            )
            if near:
                raise ValueError(f"has the key '{name}'; did you mean '{near[0]}'?")
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                raise ValueError(f"has the key '{name}'; a name of letters, digits and _ is needed")
        if isinstance(own.get("file"), str):
            own["file"] = {"": own["file"] if "{" in own["file"] else f"{{{own['file']}}}"}
        for name in ("table", "keep"):
            if isinstance(own.get(name), str):
                own[name] = (own[name],)
        if isinstance(own.get("keep_rows"), dict):
            own["keep_rows"] = {
                title: (v,) if isinstance(v, str) else v for title, v in own["keep_rows"].items()
            }
        return own | {"attributes": {**own.get("attributes", {}), **further}}

    @model_validator(mode="after")
    def _widths(self) -> TableMap:
        """Refuse a placeholder that would write out a text of gigabytes, as
        `{ID:0>20000000000}`."""
        for form in (
            form for pattern in self.file.values() for _, form in PLACEHOLDER.findall(pattern)
        ):
            if any(
                len(digits) > len(str(WIDEST)) or int(digits) > WIDEST
                for digits in re.findall(r"\d+", form)
            ):
                raise ValueError(
                    f"file: ':{form[:40]}' is wider than {WIDEST} characters; an example: "
                    f"{{ID:0>8}}"
                )
        return self

    @property
    def columns(self) -> dict[str, Column]:
        """Rules of every attribute of the map, by our name of the attribute."""
        named = {name: getattr(self, name) for name in OURS}
        return {name: column for name, column in named.items() if column} | self.attributes

    @property
    def reads_table(self) -> bool:
        """Whether the map takes anything from a table."""
        return bool(
            self.table
            or self.file
            or self.keep
            or self.keep_rows
            or any(column.column for column in self.columns.values())
        )

    def plane(self, given: Plane | None) -> Plane | None:
        """Plane of the slices to read.

        Args:
            given: Requested plane; None: the first that has a file pattern.

        Returns:
            The plane; None where neither gives one.

        Raises:
            OptionError: The data set has patterns by plane, and none for this one.
        """
        planes: list[Plane] = [plane for plane in self.file if plane]
        if planes and given and given not in planes:
            raise unknown("plane of this data set", given, planes)
        return given or next(iter(planes), None)


OURS = ("patient", "visit", "days", "date", "age", "sex", "findings", "view", "modality")

SYNONYMS: dict[
    str, tuple[str, ...]
] = {  # titles taken without a map file; compared in lower case without spaces, _ and -
    "file": (
        "filename",
        "file",
        "image",
        "imageindex",
        "imagefile",
        "imageid",
        "path",
        "filepath",
        "imagepath",
        "scan",
    ),
    "patient": (
        "patient",
        "patientid",
        "subject",
        "subjectid",
        "participantid",
        "participant",
        "ptid",
        "mrn",
    ),
    "visit": ("visit", "visitnumber", "session", "timepoint", "followup", "followup#"),
    "days": ("days", "delay", "mrdelay", "daysfrombaseline"),
    "date": ("date", "scandate", "studydate", "examdate", "visitdate", "acquisitiondate"),
    "age": ("age", "ageyears", "patientage", "ageatscan", "ageatvisit"),
    "sex": ("sex", "gender", "m/f", "patientsex", "patientgender"),
    "findings": ("findings", "finding", "findinglabels", "labels"),
    "view": ("view", "viewposition", "projection"),
    "modality": ("modality",),
    "diagnosis": ("diagnosis", "dx"),
    "label": ("label", "class"),
}


def load_map(path: Path) -> TableMap:
    """Read a map file.

    Raises:
        InputError: Missing, not YAML, or with keys or values that a map cannot have.
    """
    try:
        given = read_yaml(
            path, f"the map {path}", yaml.BaseLoader, "NFC"
        )  # BaseLoader: `no` stays a word
    except OSError as error:
        raise InputError(
            f"the map {path} cannot be read ({error.strerror}); check `map`"
        ) from error
    return _checked(given, f"the map {path}")


def _presets() -> dict[str, Any]:
    presets: dict[str, Any] = yaml.load(
        PRESETS_FILE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader
    )
    return presets


def load_preset(name: str) -> TableMap:
    """Map of a known data set.

    Args:
        name: Name in the file of presets.

    Raises:
        OptionError: There is no such preset.
    """
    presets = _presets()
    if name not in presets:
        raise unknown("preset", name, presets)
    return _checked(presets[name], f"the preset {name}")


def way_to_files(table: Table) -> str:
    """Say what leads from the rows of a table to image files: a preset that its titles fit, or a
    map."""
    columns = f"its columns are: {', '.join(table.frame.columns)}"
    if fitting := fitting_presets(table):
        return f"its titles fit `preset={fitting[0]}`; {columns}"
    return f"write a map with `file: COLUMN` and give it with `map`; {columns}"


def fitting_presets(table: Table) -> list[str]:
    """List the presets whose columns all stand in a table."""
    fitting = []
    for name in _presets():
        preset = load_preset(name)
        if preset.file:
            with suppress(InputError):
                check_columns(preset, table)
                fitting.append(name)
    return fitting


def guess_map(table: Table) -> TableMap:
    """Map of a table with our titles or well-known ones; other columns are left out.

    Raises:
        InputError: No column says which image or patient a row belongs to.
    """
    titles = {re.sub(r"[\s_-]", "", title.lower()): title for title in table.frame.columns}
    columns = {
        ours: titles[title]
        for ours, names in SYNONYMS.items()
        for title in [n for n in names if n in titles][:1]
    }
    if "file" not in columns and "patient" not in columns:
        raise InputError(
            f"it is not clear how the rows of {table.path.name}{table.where} and the images belong "
            f"together; {way_to_files(table)}"
        )
    return _checked(columns, f"the table {table.path.name}")


def check_columns(table_map: TableMap, table: Table, keep: Iterable[str] = ()) -> dict[str, str]:
    """Check that every title of a map stands in the table.

    Args:
        table_map: The map.
        table: The table.
        keep: Titles of further columns.

    Returns:
        Our name of an attribute -> title of its column.

    Raises:
        InputError: A title is not in the table, or no column leads from a row to an image.
        OptionError: A column to keep identifies patients.
    """
    present = list(table.frame.columns)
    chosen = {}
    for ours, column in table_map.columns.items():
        if column.column:
            chosen[ours] = next(
                (title for title in column.column if title in present), column.column[0]
            )
    placeholders = [
        match[1] for pattern in table_map.file.values() for match in PLACEHOLDER.finditer(pattern)
    ]
    for title in [*placeholders, *chosen.values(), *table_map.keep, *table_map.keep_rows, *keep]:
        if title not in present:
            near = get_close_matches(
                title.lower(), [name.lower() for name in present], n=1, cutoff=0.4
            )
            hint = next(
                (f" (did you mean '{name}'?)" for name in present if [name.lower()] == near), ""
            )
            raise InputError(
                f"the table {table.path.name}{table.where} has no column '{title}'; its columns "
                f"are: {', '.join(present)}{hint}"
            )
    if not table_map.file and not table_map.patient:
        raise InputError(
            "the map does not say which row belongs to which image; add `file: COLUMN`, or "
            "`patient: COLUMN` for DICOM"
        )
    for title in [*table_map.keep, *keep]:
        if title == chosen.get("patient"):
            raise OptionError(
                f"the column '{title}' tells who the patients are and cannot be kept; leave it out "
                "of `keep`"
            )
    return chosen


def slug(title: str) -> str:
    """Name for a column's title: `nWBV` -> nwbv, `M/F` -> m_f."""
    return re.sub(r"\W+", "_", title.strip().lower()).strip("_") or "column"


def describe_map(table_map: TableMap) -> Mapping[str, Any]:
    """Map as JSON values for cohort.json, without values that may name patients or dates."""
    fields = table_map.model_dump(exclude_defaults=True, mode="json")
    for name in {"patient", "date"} & fields.keys():
        fields[name] = {
            key: value for key, value in fields[name].items() if key not in ("value", "values")
        }
    if table_map.keep_rows:
        fields["keep_rows"] = list(table_map.keep_rows)
    return fields


def _checked(given: Any, name: str) -> TableMap:
    try:
        return TableMap.model_validate(given)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, p['loc'])) or 'it'}: {p['msg'].removeprefix('Value error, ')}"
            for p in error.errors()
        ]
        raise InputError(f"{name} cannot be used; {'; '.join(problems)}") from error

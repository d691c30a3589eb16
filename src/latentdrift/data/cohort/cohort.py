"""Cohort: a folder of PNGs with a table and a description, which Hugging Face `datasets` loads as
an `imagefolder`.

    images/000000.png   8- or 16-bit grey, or 8-bit RGB
    metadata.csv        one row per image: COLUMNS, then further attributes
    cohort.json         description of the images, types and words of the attributes, sources,
                        and what was left out

An empty cell of metadata.csv is a missing value.

A PNG value v of b bits stands for the intensity window_low + v / (2^b - 1) * (window_high -
window_low), and reaches a model as v / (2^b - 1) * 2 - 1. A cohort appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring_ascii as json_text
from numbers import Real
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
from PIL import Image as Pillow

from latentdrift.attributes.specification import Attribute, Cell, ImageRow, as_number
from latentdrift.data.cohort.description import CohortInfo
from latentdrift.data.images.image_writers import write_png
from latentdrift.data.images.letterbox import Fit
from latentdrift.data.images.thumbnails import pixel_hash
from latentdrift.data.tables.cells import defuse, restore
from latentdrift.data.tables.tables import clean
from latentdrift.display import notebook
from latentdrift.display.counting import count
from latentdrift.errors import CohortError, unknown
from latentdrift.storage import folder_written, path_of, read_model, write_text

FORMAT = 1
"""Version of what lies on disk; it changes when an older latentdrift could not read it."""
COLUMNS = (
    "file_name",
    "patient",
    "visit",
    "days",
    "age",
    "sex",
    "findings",
    "view",
    "modality",
    "split",
    "row_mm",
    "col_mm",
    "window_low",
    "window_high",
    "sha256",
)
MAX_PREVIEW_IMAGES = 12
"""Images that a cohort shows of itself in a notebook."""
NUMBERS = ("days", "age", "row_mm", "col_mm", "window_low", "window_high")
WINDOW = ("window_low", "window_high")
MAX_AGE = 1000.0
"""Years. A larger number, or a negative one below its opposite, is no age but damage."""
CONDITIONS = ("age", "sex", "findings", "view")
"""Columns of COLUMNS that describe the patient or the picture, and so can stand in a prompt."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """A cohort on disk.

    Attributes:
        folder: Where it lies.
        table: metadata.csv; numbers as float (missing: NaN), everything else as str (missing:
            None).
        info: cohort.json.
    """

    folder: Path
    table: pd.DataFrame
    info: CohortInfo

    @classmethod
    def load(cls, folder: Path | str) -> Cohort:
        """Open a cohort.

        Args:
            folder: Its folder.

        Raises:
            CohortError: Not a cohort, of another version, or with files missing.
            OptionError: `folder` is no path.
        """
        folder = path_of(folder, "folder")
        check_cohort(folder)
        info = _read_info(folder)
        if not (folder / "metadata.csv").is_file():
            raise CohortError(f"the cohort {folder} has lost its metadata.csv; import it again")
        described = info.attributes | info.kept
        table = _read_table(folder, [name for name in described if described[name].is_number])
        names = table["file_name"].to_list()
        lost = lost_files(folder, names)
        if lost:
            raise CohortError(
                f"the cohort {folder} has lost {sum(name in lost for name in names)} of "
                f"{len(names)} images, the first {next(iter(lost))}; import it again"
            )
        return cls(folder, table, info)

    def __repr__(self) -> str:
        return f"<Cohort: {self._counts}, {self.describe}, in {self.folder}>"

    def _repr_html_(self) -> str:
        counts = self.table["split"].value_counts().to_dict()
        splits = ", ".join(f"{split} {count}" for split, count in counts.items())
        step = max(1, len(self.table) // MAX_PREVIEW_IMAGES)
        sample = self.table.iloc[::step].head(MAX_PREVIEW_IMAGES)
        images = (
            (Pillow.open(member(self.folder, name)), f"{place} ({split})")
            for place, name, split in zip(
                sample.index, sample["file_name"], sample["split"], strict=True
            )
        )
        return notebook.strip(images, f"{self.describe}: {self._counts}; {splits}")

    @property
    def _counts(self) -> str:
        """Numbers of images and patients, in words."""
        patients = self.table["patient"].nunique()
        return f"{count(len(self.table), 'image')} of {count(patients, 'patient')}"

    @property
    def attributes(self) -> dict[str, Attribute]:
        """Attributes that can stand in a prompt, by name."""
        return self.info.attributes

    @property
    def described_columns(self) -> dict[str, Attribute]:
        """Attributes that can stand in a prompt, and the metadata beside them, by name."""
        return self.info.attributes | self.info.kept

    @property
    def texts(self) -> list[str]:
        """Columns of words, which can be captions: attributes and kept columns."""
        return [
            name
            for name, attribute in self.described_columns.items()
            if attribute.type == "category"
        ]

    @property
    def warnings(self) -> list[str]:
        """Warnings of the import on all images together."""
        return list(self.info.warnings)

    @property
    def describe(self) -> str:
        """Description of the images in prompts: "brain MRI"."""
        return self.info.describe

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of pixels, splits and attributes.

        File names, the order of rows and pseudonyms do not change it.
        """
        columns = ["sha256", "split", *sorted(self.attributes)]
        cells = (map(json_text, map(str, self.table[name].to_list())) for name in columns)
        rows = sorted(f"[{', '.join(row)}]" for row in zip(*cells, strict=True))
        digest = hashlib.sha256("\n".join([self.describe, *columns]).encode())
        for row in rows:
            digest.update(f"\n{row}".encode())
        return digest.hexdigest()

    def rows(self, split: str | None = None) -> pd.DataFrame:
        """Rows of the table; the index is the position in metadata.csv.

        Args:
            split: "train", "validation" or "test"; None: all rows.

        Raises:
            OptionError: An unknown split.
        """
        if split is None:
            return self.table
        if split not in ("train", "validation", "test"):
            raise unknown("split", split, ("train", "validation", "test"))
        return self.table[self.table["split"] == split]

    def stored(self, row: ImageRow) -> np.ndarray:
        """Read the PNG of a row: uint8 or uint16 [H, W], or uint8 [H, W, 3].

        Args:
            row: Row of the table.

        Raises:
            CohortError: It cannot be read, or lies outside of the cohort.
        """
        return _read_stored(self.folder, row)

    def pixels(self, row: ImageRow) -> np.ndarray:
        """Read the image of a row as float32 [H, W] or [H, W, 3] in [-1, 1].

        Args:
            row: Row of the table.

        Raises:
            CohortError: As `stored`.
        """
        return _read_pixels(self.folder, row)

    def batch(self, rows: pd.DataFrame, resolution: int) -> np.ndarray:
        """Read images as the model takes them: float32 [N, 3, R, R] in [-1, 1].

        They are padded with background to a square and resized. Grey is repeated in the three
        channels.

        Args:
            rows: Rows of the table.
            resolution: R, pixels on a side.

        Raises:
            CohortError: As `stored`.
        """
        out = np.empty((len(rows), 3, resolution, resolution), dtype=np.float32)
        for position, row in enumerate(rows.to_dict("records")):
            out[position] = read_square(self.folder, row, resolution)
        return out

    @staticmethod
    def fit(row: ImageRow, pixels: np.ndarray, resolution: int) -> Fit:
        """Padding and scale that bring a row's image to the model's square.

        Pixels that are not square keep their proportions in mm.

        Args:
            row: Row of the table, with `row_mm` and `col_mm`.
            pixels: Its image, [H, W] or [H, W, 3].
            resolution: Pixels on a side of the square.
        """
        aspect = as_number(row["row_mm"]) / as_number(row["col_mm"])
        return Fit(
            pixels.shape[0],
            pixels.shape[1],
            resolution,
            aspect=aspect if np.isfinite(aspect) and aspect > 0 else 1.0,
        )


def read_square(folder: Path, row: ImageRow, resolution: int) -> np.ndarray:
    """Read one image of a cohort as the model takes it; see `Cohort.batch`.

    Args:
        folder: Folder of the cohort.
        row: Row of the table; `file_name`, `row_mm` and `col_mm` are used.
        resolution: R, pixels on a side.

    Returns:
        float32 [3, R, R] in [-1, 1].

    Raises:
        CohortError: As `Cohort.stored`.
    """
    pixels = _read_pixels(folder, row)
    fitted = Cohort.fit(row, pixels, resolution).apply(pixels, fill=background(pixels))
    out = np.empty((3, resolution, resolution), dtype=np.float32)
    out[:] = fitted if fitted.ndim == 2 else np.moveaxis(fitted, -1, 0)
    return out


def _read_pixels(folder: Path, row: ImageRow) -> np.ndarray:
    """Read the image of a row; see `Cohort.pixels`."""
    values = _read_stored(folder, row)
    return values.astype(np.float32) * np.float32(2 / np.iinfo(values.dtype).max) - 1


def _read_stored(folder: Path, row: ImageRow) -> np.ndarray:
    """Read the PNG of a row; see `Cohort.stored`."""
    path = member(folder, str(row["file_name"]))
    try:
        with Pillow.open(path) as picture:
            if picture.mode not in ("L", "RGB", "I;16"):
                raise CohortError(
                    f"{path} is a picture of mode {picture.mode}; a cohort holds 8- or 16-bit "
                    "grey, or 8-bit RGB"
                )
            return np.asarray(picture)
    except (OSError, SyntaxError) as error:
        raise CohortError(f"{path} cannot be read ({error}); import the cohort again") from error


def background(pixels: np.ndarray) -> float:
    """Background level of an image [H, W] or [H, W, 3]: median of the outermost rows and
    columns."""
    return float(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))


def quantise(
    pixels: np.ndarray, range: tuple[float, float]
) -> tuple[np.ndarray, tuple[float, float]]:
    """Convert pixels to values that a PNG can store.

    8-bit and grey 16-bit images over their full range are unchanged. Other colour becomes 8-bit,
    other grey 16-bit over the range.

    Args:
        pixels: [H, W] or [H, W, 3].
        range: Intensities of the darkest and brightest value.

    Returns:
        Stored values, and the intensities of 0 and of the largest value.
    """
    low, high = range
    if pixels.dtype == np.uint8 and (low, high) == (0, 255):
        return pixels, (0.0, 255.0)
    if pixels.dtype == np.uint16 and pixels.ndim == 2 and (low, high) == (0, 65535):
        return pixels, (0.0, 65535.0)
    kind = np.uint16 if pixels.ndim == 2 else np.uint8
    share = (np.nan_to_num(pixels.astype(np.float64), nan=low) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * np.iinfo(kind).max).astype(kind), (
        float(low),
        float(high),
    )


def write_cohort(
    out: Path | str,
    images: Iterable[tuple[np.ndarray, ImageRow]],
    info: Mapping[str, Any],
    mask: Callable[[int], np.ndarray] | None = None,
    finish: Callable[[Path], object] | None = None,
) -> Cohort:
    """Write a cohort whole or not at all.

    Args:
        out: The folder to make.
        images: Pixels (uint8 or uint16 [H, W], uint8 [H, W, 3]) and their row: names of COLUMNS,
            and further attributes.
        info: `describe`; `synthetic` where the pictures were made; whatever else cohort.json should
            say.
        mask: Position of an image -> its mask, uint8 or uint16 [H, W], kept below `masks/` and
            named in the column `mask`.
        finish: Writes further files into the folder before it appears.

    Raises:
        CohortError: `out` is in use, or there are no images.
    """
    out = Path(out)
    check_free(out)
    with folder_written(out, has_work_beside=True) as staging:
        (staging / "images").mkdir()
        rows = []
        for position, (pixels, row) in enumerate(images):
            name = f"images/{position:06d}.png"
            write_png(staging / name, pixels, synthetic=bool(info.get("synthetic")))
            own: dict[str, Cell] = {
                "window_low": 0.0,
                "window_high": float(np.iinfo(pixels.dtype).max),
            }
            if mask:
                (staging / "masks").mkdir(exist_ok=True)
                mask_name = f"masks/{position:06d}.png"
                write_png(staging / mask_name, mask(position), synthetic=False)
                own["mask"] = mask_name
            own |= {"split": "train", "sha256": pixel_hash(pixels)}
            rows.append({**own, **row, "file_name": name})
        write_tables(staging, rows, info)
        if finish:
            finish(staging)
    return Cohort.load(out)


def write_tables(folder: Path, rows: Sequence[ImageRow], info: Mapping[str, Any]) -> None:
    """Write metadata.csv and cohort.json.

    Args:
        folder: Folder of the cohort.
        rows: A row for each image, by column name.
        info: Content of cohort.json. Attributes that it does not give are derived from the rows.

    Raises:
        CohortError: There are no rows.
    """
    if not rows:
        raise CohortError("no images: a cohort needs at least one")
    further = list(dict.fromkeys(name for row in rows for name in row if name not in COLUMNS))
    columns = [*COLUMNS, *further]
    table = pd.DataFrame(
        [[_plain(row.get(name)) for name in columns] for row in rows], columns=columns, dtype=object
    )
    metadata = [name for name in further if name in info.get("kept", ())]
    spoken = [
        name
        for name in (*CONDITIONS, *further)
        if name not in metadata and table[name].notna().any()
    ]
    described = {
        "format": FORMAT,
        "describe": info.get("describe") or "medical image",
        "images": len(table),
        "patients": int(table["patient"].nunique()),
        "splits": {
            name: int((table["split"] == name).sum()) for name in ("train", "validation", "test")
        },
        "attributes": {name: _specification(name, table[name]) for name in spoken},
    }
    given = {name: value for name, value in info.items() if name not in ("kept", *described)}
    given["attributes"] = info.get("attributes") or described["attributes"]
    given["kept"] = {name: _specification(name, table[name]) for name in metadata}
    safe = [
        [defuse(cell) if isinstance(cell, str) else cell for cell in row]
        for row in table.to_numpy()
    ]
    pd.DataFrame(safe, columns=columns, dtype=object).to_csv(
        folder / "metadata.csv", index=False, lineterminator="\n"
    )
    text = json.dumps(described | given, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / "cohort.json", text + "\n")


def _plain(value: Cell) -> Cell:
    """A cell as it is written: whole numbers without `.0`, nothing for what is no finite number,
    text on one line."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(value) if math.isfinite(value) else None
    return clean(value) if isinstance(value, str) else value


def _specification(name: str, values: pd.Series) -> dict[str, Any]:
    """Attribute of a column, as a row of cohort.json."""
    return attribute_of(name, values).model_dump(exclude_unset=True)


def attribute_of(name: str, values: pd.Series) -> Attribute:
    """Attribute of a column: its type, with its range or its vocabulary.

    Args:
        name: Name of the attribute.
        values: Values of the column; missing ones are ignored.
    """
    present = values.dropna()
    if (
        name != "findings"
        and len(present)
        and all(isinstance(value, Real) and not isinstance(value, bool) for value in present)
    ):
        low = float(present.min())
        high = float(present.max())
        if name == "age":
            return Attribute(type="number", low=low, high=high, unit="years")
        return Attribute(type="number", low=low, high=high)
    words = {
        part
        for value in present
        for part in (str(value).split("|") if name == "findings" else [str(value)])
        if part
    }
    kind: Literal["findings", "category"] = "findings" if name == "findings" else "category"
    return Attribute(type=kind, vocabulary=sorted(words))


def check_cohort(folder: Path) -> None:
    """Check that a folder is a cohort, without reading it.

    Raises:
        CohortError: It has no cohort.json.
    """
    if not (folder / "cohort.json").is_file():
        problem = "is no folder" if not folder.is_dir() else "has no cohort.json"
        raise CohortError(
            f"{folder} is not a cohort: it {problem}; make one with `latentdrift import IMAGES "
            "--out COHORT`"
        )


def check_free(out: Path) -> None:
    """Check that a folder is empty or does not exist.

    Raises:
        CohortError: It holds something, or is a file.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise CohortError(
            f"{out} exists and is not empty; a cohort is never changed: choose another `out`, or "
            "delete it first"
        )


def _read_info(folder: Path) -> CohortInfo:
    cure = "import the cohort again"
    info = read_model(folder / "cohort.json", CohortInfo, CohortError, "cohort", cure)
    if info.format != FORMAT:
        raise CohortError(
            f"the cohort {folder} has format version {info.format} and {FORMAT} is needed; "
            "import it again"
        )
    return info


def _read_table(folder: Path, numbers: list[str]) -> pd.DataFrame:
    path = folder / "metadata.csv"
    try:
        table = pd.read_csv(path, dtype=object, keep_default_na=False, encoding="utf-8")
    except (ValueError, UnicodeDecodeError) as error:
        raise CohortError(f"{path} cannot be read ({error}); import the cohort again") from error
    absent = [name for name in (*COLUMNS, *numbers) if name not in table]
    if absent:
        raise CohortError(f"{path} has no column {', '.join(absent)}; import the cohort again")
    for name in table:
        is_number = name in NUMBERS or name in numbers
        table[name] = _numbers(table[name]) if is_number else _words(table[name])
    _check_cells(path, table)
    return table


def _numbers(cells: pd.Series) -> pd.Series:
    """Numbers of a column of metadata.csv; NaN for what is none."""
    codes, distinct = pd.factorize(cells)
    numbers = pd.to_numeric(pd.Series(distinct, dtype=object), errors="coerce")
    return pd.Series(numbers.to_numpy(float)[codes], cells.index)


def _words(cells: pd.Series) -> pd.Series:
    """Texts of a column of metadata.csv; None where there is none. Equal cells share one text."""
    codes, distinct = pd.factorize(cells)
    texts = np.array([restore(text) or None for text in distinct], dtype=object)
    return pd.Series(texts[codes], cells.index, dtype=object)


def _check_cells(path: Path, table: pd.DataFrame) -> None:
    """Check that every image has a name and a window, and that numbers are finite.

    Args:
        path: The file, for the message.
        table: Its cells as numbers and words.

    Raises:
        CohortError: A cell has no such value.
    """
    finite = [
        (name, np.isinf(table[name]), "a finite number")
        for name in table
        if table[name].dtype == float
    ]
    checks = [
        ("file_name", table["file_name"].isna(), "the name of an image"),
        *((name, table[name].isna(), "a number") for name in WINDOW),
        *finite,
        ("age", table["age"].abs() > MAX_AGE, f"an age of at most {MAX_AGE:g} years"),
    ]
    for name, is_wrong, allowed in checks:
        if is_wrong.any():
            position = int(is_wrong.to_numpy().argmax())
            written = pd.read_csv(path, dtype=object, keep_default_na=False, usecols=[name])
            raise CohortError(
                f"{path} has '{written[name].iloc[position]}' as `{name}` in row {position + 2}, "
                f"where {allowed} is needed; correct the cell, or import the cohort again"
            )


def lost_files(folder: Path, names: Iterable[str]) -> dict[str, None]:
    """Names of files that a cohort does not have, each once and in their order.

    Args:
        folder: Folder of the cohort.
        names: Paths relative to it.

    Raises:
        CohortError: A name leads out of the folder.
    """
    listed: dict[str, set[str]] = {}
    lost: dict[str, None] = {}
    for name in dict.fromkeys(names):
        inner, _, file = name.rpartition("/")
        if inner not in listed:
            listed[inner] = _plain_files(member(folder, inner))
        if file not in listed[inner] and not member(folder, name).is_file():
            lost[name] = None
    return lost


def _plain_files(folder: Path) -> set[str]:
    """Names of the files of a folder that are no links, and that every system reads as names."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        files = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    return {name for name in files if not {":", "\\"}.intersection(name)}


def member(folder: Path, name: str) -> Path:
    """Path of a file that a cohort names.

    Args:
        folder: Folder of the cohort.
        name: Path relative to it.

    Raises:
        CohortError: It lies outside of the folder, by its name or by a link.
    """
    path = folder / name
    parts = PurePosixPath(name.replace("\\", "/"))
    leaves = parts.is_absolute() or ".." in parts.parts or ":" in name
    if leaves or (path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())):
        raise CohortError(
            f"the cohort {folder} names a file outside of its folder, {name}; get it again from "
            "whom you trust"
        )
    return path

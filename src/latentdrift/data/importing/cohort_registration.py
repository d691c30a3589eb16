"""Registration of an existing cohort: `latentdrift import COHORT --register KIND`."""

from __future__ import annotations

import shutil
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from latentdrift import record
from latentdrift.attributes.specification import ImageRow
from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort, check_free, member, write_tables
from latentdrift.data.cohort.visits import first_visits
from latentdrift.data.images.image_writers import write_png
from latentdrift.data.importing.staging import Staging
from latentdrift.data.importing.visit_registration import grid_of, register_visits
from latentdrift.data.registration import columns
from latentdrift.data.registration.columns import REGISTERED, STATUS, TRANSFORM
from latentdrift.data.registration.registration import resample
from latentdrift.data.registration.transforms import from_text
from latentdrift.data.tables.pseudonymization import private_folder
from latentdrift.errors import OptionError
from latentdrift.progress import ProgressCallback
from latentdrift.storage import key, written

OPTIONS = {"source", "out", "register", "workers"}
"""Options that have a part in it."""


def is_cohort(options: ImportOptions) -> bool:
    """Whether the source of an import is a cohort whose visits are to be registered."""
    return options.register is not None and (options.source / "cohort.json").is_file()


def register_cohort(options: ImportOptions, progress: ProgressCallback | None = None) -> Cohort:
    """Write a copy of a cohort with registered visits; patients, splits and texts stay.

    A repeated call continues after an interruption.

    Args:
        options: Options of `import`.
        progress: Called with (visits registered, all); None: not called.

    Raises:
        OptionError: An option has no part in it, or the cohort is registered already.
        CohortError: The cohort cannot be read, or `out` is in use.
    """
    source = cohort_to_register(options)
    inputs = {"cohort": source.fingerprint}
    if (options.out / "cohort.json").is_file() and record.is_of(
        private_folder(options.out), "import", options, inputs
    ):
        return Cohort.load(options.out)
    check_free(options.out)
    staging = Staging.open(options.out, key("register", options.register, source.fingerprint))
    folder = staging.assemble()
    _copy_files(source, folder)
    assert options.register is not None
    before = [_plain(row) for row in source.table.to_dict("records")]
    rows = register_visits(folder, before, options.register, options.workers, staging, progress)
    _register_masks(source, folder, rows)
    info = source.info.model_dump(mode="json", exclude_unset=True)
    write_tables(folder, rows, {**info, "kept": [*source.info.kept, *columns.ALL]})
    private = private_folder(options.out)
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    results = {"fingerprint": Cohort.load(folder).fingerprint}
    record.write(private, "import", options, inputs=inputs, results=results, mode=0o600)
    staging.finish(options.out)
    return Cohort.load(options.out)


def cohort_to_register(options: ImportOptions) -> Cohort:
    """The cohort whose visits are to be registered.

    Args:
        options: Options of `import`.

    Raises:
        OptionError: An option has no part in it, or the cohort is registered already.
        CohortError: The cohort cannot be read.
    """
    without_part = sorted(options.model_fields_set - OPTIONS)
    if without_part:
        raise OptionError(
            f"{options.source} is a cohort, whose texts and splits stay when its visits are "
            f"registered; leave out {', '.join(f'`{name}`' for name in without_part)}"
        )
    source = Cohort.load(options.source)
    if STATUS in source.table:
        raise OptionError(
            f"the visits of {options.source} are registered already; register the cohort that it "
            "was made from"
        )
    return source


def _copy_files(source: Cohort, folder: Path) -> None:
    """Copy all files that the cohort names."""
    for column in ("file_name", *_mask_columns(source)):
        for name in source.table[column].dropna().unique():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(member(source.folder, name), target)


def _mask_columns(cohort: Cohort) -> Iterator[str]:
    """Columns that name pictures of the cohort beside the images."""
    for column in cohort.table.columns.drop("file_name"):
        names = cohort.table[column].dropna()
        if len(names) and all(
            isinstance(name, str)
            and name.endswith(".png")
            and member(cohort.folder, name).is_file()
            for name in names
        ):
            yield column


def _register_masks(source: Cohort, folder: Path, rows: Sequence[ImageRow]) -> None:
    """Lay the masks of registered images onto the pixels of the first visits."""
    columns = list(_mask_columns(source))
    first = first_visits(source.table)
    for position, before in enumerate(source.table.to_dict("records")):
        row = rows[position]
        if row.get(STATUS) != REGISTERED:
            continue
        fixed = grid_of(rows[first[position]], source.stored(rows[first[position]]))
        grids = fixed, grid_of(before, source.stored(before))
        transform = from_text(str(row[TRANSFORM]))
        for column in columns:
            if isinstance(name := before[column], str):
                with Image.open(member(source.folder, name)) as picture:
                    mask = np.asarray(picture)
                lying = resample(mask, transform, grids, order=0).astype(mask.dtype)
                with written(folder / name) as aside:
                    write_png(aside, lying, synthetic=False)


def _plain(row: Mapping[Hashable, Any]) -> ImageRow:
    """Cells of a row; None where a cell is empty."""
    return {str(name): None if pd.isna(cell) else cell for name, cell in row.items()}

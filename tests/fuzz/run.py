"""Damage files by seeded mutations and read them: `python tests/fuzz/run.py --kind dicom --n 10000
--seed 0`.

Every input has to be taken or refused in a sentence. What does not is printed with its seed: `raw`
is an exception that a reader did not foresee, `crashed`, `too slow` and `too large` are inputs that
cost their process. `--keep FOLDER` writes those inputs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import mutations
import seeds

from latentdrift.data.importing import isolation
from latentdrift.errors import LatentDriftError


def read_image(path: Path) -> None:
    """As an import reads a file."""
    from latentdrift.data.images import image_readers
    from latentdrift.data.importing import importer

    for image in image_readers.read(path, plane="axial"):
        importer._stage(image, path.with_suffix(".staged.png"))


def read_table(path: Path) -> None:
    """A table, whose map is guessed, and its rows."""
    from latentdrift.data.tables.cell_parsing import read_rows
    from latentdrift.data.tables.column_map import check_columns, guess_map
    from latentdrift.data.tables.tables import read_table

    table = read_table(path)
    table_map = guess_map(table)
    read_rows(table, table_map, check_columns(table_map, table, ()), ())


def read_map(path: Path) -> None:
    """A map, and the rows of a table that it is for."""
    from latentdrift.data.importing.row_matching import link
    from latentdrift.data.tables.cell_parsing import read_rows
    from latentdrift.data.tables.column_map import check_columns, load_map
    from latentdrift.data.tables.tables import read_table

    table_map = load_map(path)
    beside = path.with_suffix(".csv")
    beside.write_bytes(seeds.tables()["comma.csv"])
    table = read_table(beside)
    titles = check_columns(table_map, table, ())
    read_rows(table, table_map, titles, ())
    for pattern in table_map.file.values():
        link(pattern, table.frame, [f"{i}.png" for i in range(12)])


def read_document(path: Path) -> None:
    """cohort.json, adapter.json or record.json, and what is made of them."""
    from latentdrift import config, record, service
    from latentdrift.adapt.adapters import adapter_files
    from latentdrift.data.cohort.cohort import _read_info
    from latentdrift.model.drift import Drift

    kind = path.stem.partition("-")[0]
    folder = Path(tempfile.mkdtemp(dir=path.parent))
    place = folder / f"{kind}.json"
    shutil.move(path, place)
    try:
        if kind == "cohort":
            _read_info(folder)
        elif kind == "adapter":
            Drift.from_dict(adapter_files.read(folder).drift.to_dict())
        else:
            service.replayed(
                record.read(place), config.ReplayOptions(record=place, out=folder / "out")
            )
    finally:
        shutil.rmtree(folder)


def read_weights(path: Path) -> None:
    """A file of another tool."""
    from latentdrift.adapt.adapters import checkpoint_reader
    from latentdrift.adapt.interop import formats

    found = checkpoint_reader.read(path)
    formats.describe(found, formats.recognise(found))


@dataclass(frozen=True)
class Target:
    """A row of TARGETS."""

    seeds: Callable[[], dict[str, bytes]]
    read: Callable[[Path], None]


TARGETS = {
    "dicom": Target(seeds.dicoms, read_image),
    "nifti": Target(seeds.volumes, read_image),
    "raster": Target(seeds.rasters, read_image),
    "table": Target(seeds.tables, read_table),
    "map": Target(seeds.maps, read_map),
    "document": Target(seeds.documents, read_document),
    "weights": Target(seeds.weights, read_weights),
}


def mutated(files: dict[str, bytes], kind: str, seed: int, index: int) -> tuple[str, bytes]:
    """Name and bytes of an input; the same for the same seed."""
    source = random.Random(f"{kind} {seed} {index}")
    name = sorted(files)[index % len(files)]
    return name, mutations.mutated(files[name], source)


def attempt(kind: str, files: dict[str, bytes], seed: int, folder: Path, index: str) -> str:
    """What becomes of an input: `taken`, `refused`, or `raw: ...`."""
    name, data = mutated(files, kind, seed, int(index))
    stem, dot, suffix = name.partition(".")
    path = folder / f"{stem}-{os.getpid()}{dot}{suffix}"
    path.write_bytes(data)
    try:
        TARGETS[kind].read(path)
    except LatentDriftError as error:
        assert "\n" not in str(error) or kind in ("table", "map"), f"several lines: {error}"
        return "refused"
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001
        return f"raw: {type(error).__name__}: {str(error)[:100]}"
    return "taken"


def main() -> int:
    """Run; 1 where an input was neither taken nor refused in a sentence."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--kind", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--n", type=int, default=1000, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--keep", type=Path, help="folder for the inputs that were neither taken nor refused"
    )
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    failed = 0
    for kind in TARGETS if options.kind == "all" else [options.kind]:
        failed += fuzz(kind, options)
    return 1 if failed else 0


def fuzz(kind: str, options: Any) -> int:
    """One kind; how many inputs were neither taken nor refused."""
    files = TARGETS[kind].seeds()
    began = time.monotonic()
    odd = dict[str, str]()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for (
            name,
            data,
        ) in (
            files.items()
        ):  # whole files are taken, and what reads them is imported before processes are copied
            (Path(folder) / name).write_bytes(data)
            TARGETS[kind].read(Path(folder) / name)
        read = partial(attempt, kind, files, options.seed, Path(folder))
        for index, answer in isolation.each(
            read, ((str(i), 0) for i in range(options.n)), options.workers
        ):
            lost = isinstance(answer, isolation.Lost)
            word = answer.reason if lost else answer
            counts[word.partition(":")[0]] += 1
            if word not in ("taken", "refused"):
                odd[index] = f"{answer.reason}: {answer.finding}" if lost else answer
    seconds = time.monotonic() - began
    print(f"{kind}: {options.n} inputs in {seconds:.0f} s: {json.dumps(dict(counts))}")  # noqa: T201
    for index, what in odd.items():
        name, data = mutated(files, kind, options.seed, int(index))
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{kind}-{options.seed}-{index}-{name}").write_bytes(data)
        print(f"  {index} ({name}): {what}")  # noqa: T201
    return len(odd)


if __name__ == "__main__":
    sys.exit(main())

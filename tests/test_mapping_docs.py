"""docs/mapping.md: every key is explained, and every example gives the rows that stand below it."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import places
import pytest
from PIL import Image

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.tables.column_map import Column, TableMap

PAGE = (places.REPOSITORY / "docs" / "mapping.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"```csv\n(.*?)```\s*```yaml\n(.*?)```\s*```result\n(.*?)```", PAGE, re.DOTALL
)


def test_every_key_is_explained() -> None:
    named = set(
        re.findall(
            r"`(\w+)`",
            "".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")),
        )
    )
    assert {*TableMap.model_fields, *Column.model_fields} <= named
    assert PAGE.count("```yaml") == len(EXAMPLES) == 5


@pytest.mark.parametrize(("table", "map_text", "result"), EXAMPLES)
def test_every_example_is_true(tmp_path: Path, table: str, map_text: str, result: str) -> None:
    expected = list(csv.DictReader(io.StringIO(result)))
    (tmp_path / "t.csv").write_text(table, encoding="utf-8")
    (tmp_path / "m.yaml").write_text(map_text, encoding="utf-8")
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(
        sorted({*(row["file"] for row in expected), "3"})
    ):  # 3: of a row that is left out, or of none
        pixels = np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    cohort = import_cohort(
        ImportOptions(
            source=tmp_path / "in",
            out=tmp_path / "c",
            table=tmp_path / "t.csv",
            map=tmp_path / "m.yaml",
        )
    )
    assert said(cohort, list(expected[0])) == expected


def said(cohort: Cohort, columns: list[str]) -> list[dict[str, str]]:
    """Rows of a cohort as the page writes them."""
    with open(f"{cohort.folder}-private/files.csv", newline="", encoding="utf-8") as handle:
        origin = {
            row["file_name"]: row["file"].removesuffix(".png") for row in csv.DictReader(handle)
        }
    people: dict[str, str] = {}
    rows = []
    for row in cohort.table.to_dict("records"):
        cells = {"file": origin[row["file_name"]]} | {
            name: row[name] for name in columns if name != "file"
        }
        if "patient" in columns:
            cells["patient"] = people.setdefault(row["patient"], f"p{len(people) + 1}")
        rows.append({name: _text(value) for name, value in cells.items()})
    return rows


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:g}"
    return "" if value is None else str(value)

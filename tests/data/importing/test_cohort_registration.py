"""`import COHORT --register`: an existing cohort with registered visits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.importing.importer import import_cohort
from latentdrift.errors import OptionError


def test_an_existing_cohort_gives_the_same(plain: Cohort, registered: Cohort, tmp_path) -> None:
    again = import_cohort(
        ImportOptions(source=plain.folder, out=tmp_path / "again", register="rigid")
    )
    same = [name for name in again.table if name != "patient"]  # pseudonyms have another salt
    assert again.table[same].equals(registered.table[same])
    assert again.attributes == registered.attributes == plain.attributes
    assert again.table["patient"].equals(plain.table["patient"])
    assert again.table["split"].equals(plain.table["split"])


def test_masks_move_with_their_images(plain: Cohort, tmp_path) -> None:
    """The mask of the later visit, its bright tissue, lies on that of the first one."""
    folder = tmp_path / "masked"
    folder.mkdir()
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    lines = (plain.folder / "metadata.csv").read_text().splitlines()
    rows = plain.table.to_dict("records")
    for position, row in enumerate(rows):
        pixels = plain.stored(row)
        Image.fromarray(pixels).save(folder / row["file_name"])
        mask = ((pixels > 0.5 * pixels.max()) * 7).astype(np.uint8)
        Image.fromarray(mask).save(folder / f"masks/{position}.png")
        lines[position + 1] += f",masks/{position}.png"
    lines[0] += ",roi"
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    info = json.loads((plain.folder / "cohort.json").read_text())
    info["kept"]["roi"] = {"type": "category", "vocabulary": []}
    (folder / "cohort.json").write_text(json.dumps(info))
    moved = import_cohort(ImportOptions(source=folder, out=tmp_path / "out", register="rigid"))
    for position in (0, 2, 4):
        one, other = (
            np.asarray(Image.open(moved.folder / moved.table.loc[place, "roi"]))
            for place in (position, position + 1)
        )
        assert set(np.unique(other)) == {0, 7}
        overlap = 2 * ((one > 0) & (other > 0)).sum() / ((one > 0).sum() + (other > 0).sum())
        assert overlap > 0.97


def test_options_without_a_part_are_refused(plain: Cohort, registered: Cohort, tmp_path) -> None:
    with pytest.raises(OptionError, match="leave out `seed`"):
        import_cohort(
            ImportOptions(source=plain.folder, out=tmp_path / "a", register="rigid", seed=1)
        )
    with pytest.raises(OptionError, match="registered already"):
        import_cohort(ImportOptions(source=registered.folder, out=tmp_path / "b", register="rigid"))

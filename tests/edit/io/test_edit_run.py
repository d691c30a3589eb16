"""`edit` end to end on a tiny model: series, seeds, what is done again and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edits import edit as change
from PIL import Image
from variants import some_at_once

from latentdrift import config, service
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.errors import InputError, OptionError
from latentdrift.evaluate.images.recorded_edits import read_edits
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift

BY_PROMPTS = [
    name for name, row in EDITORS.items() if not row.takes_instruction and not row.needs_controlnet
]


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    asked = config.FitOptions(
        cohort=tiny_cohort_folder,
        base=str(tiny_base_folder),
        out=out,
        steps=2,
        batch_size=2,
        preview_every=0,
        precision="fp32",
        drift="none",
    )
    service.run("fit", asked, quiet=True)
    return out


@pytest.fixture
def edit(run: Path, tiny_cohort_folder: Path) -> Callable[..., dict]:
    def one(out: Path, **options: Any) -> dict:
        asked = {"source": tiny_cohort_folder, "split": "test", "limit": 1, "steps": 3, **options}
        return service.run(
            "edit", config.EditOptions(adapter=str(run), out=out, **asked), quiet=True
        )

    return one


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Inversions that are made from here on."""
    made: list[str] = []
    row = INVERSIONS["direct"]
    invert = row.invert
    monkeypatch.setitem(
        INVERSIONS,
        "direct",
        replace(row, invert=lambda task: (made.append("x"), invert(task))[1]),
    )
    return made


def stamps(out: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/record.json")}


def test_a_series_is_one_inversion_and_a_folder_for_each_value(
    edit: Callable[..., dict],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_cohort_folder: Path,
) -> None:
    made = counted(monkeypatch)
    told = edit(tmp_path / "e", grid=("age=70:80:5",), animate="gif", limit=2)
    names = [Path(name).stem for name in Cohort.load(tiny_cohort_folder).rows("test")["file_name"]][
        :2
    ]
    assert told["images"] == len(made) == 2 and told["counterfactuals"] == 6
    assert sorted(stamps(tmp_path / "e")) == sorted(
        f"{name}-age-{age}" for name in names for age in (70, 75, 80)
    )
    for name in names:
        with (
            Image.open(tmp_path / "e" / f"{name}.gif") as film,
            Image.open(tmp_path / "e" / f"{name}-strip.png") as strip,
        ):
            assert film.n_frames == 3 and b"generative model" in film.info["comment"]
            assert (
                "Synthetic" in strip.text and strip.width == 5 * film.width
            )  # original, reconstruction, three ages
    edits = read_edits(tmp_path / "e")
    assert [one.record.changes["age"] for one in edits] == [70.0, 75.0, 80.0] * 2
    assert np.array_equal(edits[0].reconstruction, edits[2].reconstruction)
    assert not np.array_equal(edits[0].counterfactual, edits[2].counterfactual)


@pytest.mark.slow
def test_a_series_goes_on_and_grows_and_replays(edit: Callable[..., dict], tmp_path: Path) -> None:
    out = tmp_path / "e"
    edit(out, grid=("age=70:75:5",), animate="gif")
    first = stamps(out)
    film = next(out.glob("*.gif")).read_bytes()
    edit(out, grid=("age=70:75:5",), animate="gif")
    assert stamps(out) == first and next(out.glob("*.gif")).read_bytes() == film
    edit(out, grid=("age=70:80:5",), animate="gif")
    later = stamps(out)
    assert (
        len(later) == 3
        and first.items() <= later.items()
        and next(out.glob("*.gif")).read_bytes() != film
    )
    again = service.run(
        "replay", config.ReplayOptions(record=out, out=tmp_path / "again"), quiet=True
    )
    assert again["same"] and again["files"] == 3 * 5 + 2


@pytest.mark.parametrize("named", [False, True], ids=["no iterations", "iterations named"])
def test_a_record_from_before_direct_inversion_replays_with_the_inversion_of_its_time(
    edit: Callable[..., dict], tmp_path: Path, named: bool
) -> None:
    out = tmp_path / "e"
    edit(out, set=("age=80",), limit=1, inversion="negative-prompt", iterations=2)
    path = out / "record.json"
    old = json.loads(path.read_text())
    old["options"]["inversion"] = None
    if not named:
        del old["options"]["iterations"]
    path.write_text(json.dumps(old))
    again = service.run(
        "replay", config.ReplayOptions(record=out, out=tmp_path / "again"), quiet=True
    )
    assert again["same"]


def test_edits_of_another_inversion_are_made_again(
    edit: Callable[..., dict], tmp_path: Path
) -> None:
    """Also those whose record does not name it, from before direct inversion."""
    out = tmp_path / "e"
    edit(out, set=("age=80",), limit=1, inversion="negative-prompt")
    path = next(out.glob("*/record.json"))
    old = json.loads(path.read_text())
    old["inversion"] = None
    path.write_text(json.dumps(old))
    edit(out, set=("age=80",), limit=1)
    assert json.loads(path.read_text())["inversion"] == "direct"
    assert json.loads((out / "record.json").read_text())["options"]["inversion"] == "direct"
    again = service.run(
        "replay", config.ReplayOptions(record=out, out=tmp_path / "again"), quiet=True
    )
    assert again["same"]


def test_a_table_of_two_attributes_leaves_out_what_is_no_change(
    edit: Callable[..., dict], tmp_path: Path
) -> None:
    told = edit(tmp_path / "e", grid=("age=+0,+10", "diagnosis=dementia,no dementia"))
    assert told["counterfactuals"] == 3 and len(list((tmp_path / "e").glob("*-age-plus-0-*"))) == 1
    (strip,) = (tmp_path / "e").glob("*-strip.png")
    picture = np.asarray(Image.open(strip).convert("L"))
    height = picture.shape[0] // 3
    width = picture.shape[1] // 2
    tiles = [
        picture[height * r : height * (r + 1), width * c : width * (c + 1)].any()
        for r in range(3)
        for c in range(2)
    ]
    assert tiles.count(False) == 1 and not all(tiles[2:4]) and all(tiles[:2] + tiles[4:])


def test_another_image_of_the_same_name_is_not_taken_for_it(
    edit: Callable[..., dict], tmp_path: Path
) -> None:
    """A file's image has its number for a name, whatever the file."""
    for name, level in (("a", 50), ("b", 150)):
        Image.fromarray(np.full((32, 32), level, np.uint8) + np.eye(32, dtype=np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    how: Any = {"split": None, "given": ("age=70",), "age": "+10"}
    edit(tmp_path / "e", source=tmp_path / "a.png", **how)
    first = stamps(tmp_path / "e")
    edit(tmp_path / "e", source=tmp_path / "a.png", **how)
    assert stamps(tmp_path / "e") == first
    with pytest.raises(InputError, match="another image"):
        edit(tmp_path / "e", source=tmp_path / "b.png", **how)
    assert stamps(tmp_path / "e") == first
    said = json.loads((tmp_path / "e" / "000000" / "record.json").read_text())
    assert said["changes"] == {"age": 80.0} and "a.png" not in json.dumps(said)


@pytest.mark.slow
def test_several_seeds_are_the_edits_of_each(edit: Callable[..., dict], tmp_path: Path) -> None:
    how = {"age": "+10", "editor": "sdedit", "seed": 3}
    edit(tmp_path / "three", seeds=3, **how)
    for seed in (3, 4, 5):
        edit(tmp_path / f"{seed}", **{**how, "seed": seed})
    (folder,) = (path.parent for path in (tmp_path / "three").glob("*/mean.png"))
    single = [
        np.asarray(Image.open(tmp_path / f"{seed}" / folder.name / "counterfactual.png"))
        for seed in (3, 4, 5)
    ]
    assert np.array_equal(np.asarray(Image.open(folder / "counterfactual.png")), single[0])
    assert np.abs(np.asarray(Image.open(folder / "mean.png")) - np.mean(single, 0)).max() <= 1
    said = json.loads((folder / "record.json").read_text())["measured"]["uncertainty"]
    assert said["seeds"] == [3, 4, 5] and said["mean_sd"] == pytest.approx(
        np.std(single, 0, ddof=1).mean() / 255, abs=0.003
    )
    first = stamps(tmp_path / "three")
    edit(tmp_path / "three", seeds=3, **how)
    assert stamps(tmp_path / "three") == first
    assert service.run(
        "replay",
        config.ReplayOptions(record=tmp_path / "three", out=tmp_path / "again"),
        quiet=True,
    )["same"]


@pytest.mark.parametrize("editor", some_at_once(BY_PROMPTS, ("ddim", "sdedit")))
def test_seeds_are_for_editors_that_draw_at_random(editor: str, tiny_base_folder: Path) -> None:
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.ones(1, 1, 32, 32) if EDITORS[editor].needs_mask else None

    def made(**how: Any) -> Any:
        said = ("a brain MRI", "a normal chest MRI")
        return change(base, Drift(), x, *said, editor=editor, steps=4, mask=mask, **how)

    one = made(seed=0).counterfactual
    other = made(seed=1).counterfactual
    assert ("seeds" in EDITORS[editor].options) == (not torch.equal(one, other))
    if "seeds" in EDITORS[editor].options:
        both = made(seed=0, seeds=2)
        assert (
            torch.equal(both.counterfactual, one)
            and torch.equal(both.others[0][1], other)
            and len(both.others) == 1
        )


def test_what_cannot_be_asked_is_a_sentence_before_work(
    edit: Callable[..., dict], tmp_path: Path
) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        (
            {"age": "+10", "set": ("age=85",)},
            "the age of the counterfactual is given twice, by `set`, `age` or `grid`",
        ),
        ({"age": "+10", "grid": ("age=60:90:5",)}, "is given twice"),
        ({"age": "85"}, r"write \+10 or -5, or `set={'age': 85}`"),
        ({"age": "+100"}, "ages lie between 0 and 120 years"),
        ({"age": "+10", "animate": "gif"}, "shows the values of a grid in turn, and there is none"),
        ({"age": "+10", "seeds": 4}, "`seeds` has no part in editor 'ddim', but in sdedit"),
    ]
    for options, message in wrong:
        with pytest.raises(OptionError, match=message):
            edit(tmp_path / "e", **options)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_counts_what_a_grid_comes_to(
    run: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    options = config.EditOptions(
        adapter=str(run),
        source=tiny_cohort_folder,
        split="test",
        limit=2,
        grid=("age=70:80:5",),
        out=tmp_path / "e",
    )
    told = dry_run.run("edit", options)
    assert (told["images"], told["counterfactuals"]) == (2, 6) and not list(tmp_path.iterdir())


def test_the_command_line_takes_signs(
    run: Path, tiny_cohort_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from latentdrift.cli import main

    words = [
        "edit",
        str(run),
        str(tiny_cohort_folder),
        "--split",
        "test",
        "--limit",
        "1",
        "--steps",
        "2",
        "--json",
    ]
    assert main.main([*words, "--age", "-5", "--out", str(tmp_path / "e")]) == 0
    assert json.loads(capsys.readouterr().out)["counterfactuals"] == 1
    (path,) = (tmp_path / "e").glob("*/record.json")
    said = json.loads(path.read_text())
    assert said["changes"]["age"] == said["attributes"]["age"] - 5


def test_a_counterfactual_is_edited_back(
    edit: Callable[..., dict], tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "e"
    asked = {"set": ("age=90",), "reverse": True, "editor": "ddim"}
    edit(out, **asked)
    (folder,) = (path.parent for path in out.glob("*/record.json"))
    (back,) = (path.parent for path in folder.glob("reverse/*/record.json"))
    there, again = (json.loads((place / "record.json").read_text()) for place in (folder, back))
    assert (
        again["changes"] == {"age": there["attributes"]["age"]} and again["attributes"]["age"] == 90
    )
    assert (
        again["source_prompt"] == there["target_prompt"]
        and again["target_prompt"] == there["source_prompt"]
    )
    shown = [
        np.asarray(Image.open(place))
        for place in (folder / "counterfactual.png", back / "original.png")
    ]
    assert (shown[0] == shown[1]).all()
    assert {there["patient"], again["patient"]} <= set(
        Cohort.load(tiny_cohort_folder).rows("test")["patient"]
    )
    (read,) = read_edits(out)
    assert read.reversal.shape == read.original.shape
    before = (back / "record.json").stat().st_mtime_ns
    edit(out, **asked)
    assert (back / "record.json").stat().st_mtime_ns == before

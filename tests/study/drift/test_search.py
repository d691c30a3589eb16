"""`drift search`: choice, flags, resuming and processes, on curves whose best delta is known, and
on a tiny base (T18)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from delta_curves import GRID, fake, names, points, quiet

from latentdrift import config, record, service
from latentdrift.cli import dry_run, main
from latentdrift.engines.schedule import Workers
from latentdrift.errors import OptionError
from latentdrift.study.drift.delta_selection import choose
from latentdrift.study.drift.image_statistics import DECIDES, DISTANCES
from latentdrift.study.drift.search import parse_grid, reading


def test_a_grid_is_read_in_either_unit_with_zero_and_in_order() -> None:
    assert parse_grid("0.2,-0.2, 3.2sd", 16) == (-0.2, 0.0, 0.2)
    assert parse_grid("-1.6sd,0.1,0.1", 16) == (-0.1, 0.0, 0.1)
    with pytest.raises(OptionError, match="beside 0"):
        parse_grid("0", 16)
    with pytest.raises(OptionError, match="not understood"):
        parse_grid("-0.1,some", 16)


def test_the_search_finds_the_delta_of_a_known_drawing(tmp_path: Path) -> None:
    found = [
        reading(point) for point in points(tmp_path, lambda: fake(-0.1)).all(GRID, Workers(), quiet)
    ]
    assert choose(found).delta == -0.1 and names(found) == []
    assert [one.value for one in found] == pytest.approx(
        [abs(delta + 0.1) for delta in GRID], abs=0.02
    )


def test_a_drawing_that_ignores_delta_is_reported(tmp_path: Path) -> None:
    found = [
        reading(point)
        for point in points(tmp_path, lambda: fake(0.0, scale=0.0)).all(GRID, Workers(), quiet)
    ]
    assert names(found) == ["degenerate"] and choose(found).delta == 0


def options(base: Path, cohort: Path, out: Path, **more: object) -> config.DriftSearchOptions:
    asked = {
        "cohort": cohort,
        "base": str(base),
        "out": out,
        "grid": "1sd,-4sd",
        "steps": 2,
        "n": 4,
        "bootstrap": 10,
        **more,
    }
    return config.DriftSearchOptions(**asked)


def told(out: Path) -> dict:
    return json.loads((out / "search.json").read_text())


@pytest.fixture(scope="module")
def searched(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished search."""
    out = tmp_path_factory.mktemp("search") / "one"
    service.run("drift search", options(tiny_base_folder, tiny_cohort_folder, out), quiet=True)
    return out


def test_search_tells_the_whole_curve(searched: Path) -> None:
    found = told(searched)
    assert [point["delta"] for point in found["curve"]] == [-0.5, 0.0, 0.125]
    for point in found["curve"]:
        assert {"value", "ci", "floor", "n"} <= point[DECIDES].keys() and set(
            DISTANCES
        ) <= point.keys()
    assert (
        len({point[DECIDES]["value"] for point in found["curve"]}) == 3
    )  # delta reaches the pictures
    assert found["mode"] == "infer" and len(set(found["delta"])) == 1 and len(found["delta"]) == 4
    assert found["target"]["split"] == "validation" and set(found["floor"]) == set(DISTANCES)
    page = (searched / "search.html").read_text()
    assert (
        all(f"synthetic, delta {delta}" in page for delta in ("-0.5", "+0", "+0.125"))
        and "data:image/svg" in page
    )
    assert record.read(searched)["verb"] == "drift search"


def test_keys_of_the_file(searched: Path) -> None:
    found = told(searched)
    stage = ["stage", "chosen", "lowest", "flags", "curve"]
    head = ["delta", "sd", "mode", "start", "decided_by", *stage, "floor", "fine"]
    assert list(found) == [*head, "target", "settings", "base", "cohort"]
    assert list(found["curve"][0]) == ["delta", *DISTANCES]
    assert list(found["target"]) == ["split", "images", "patients"]
    assert list(found["base"]) == ["name", "hash"]
    assert found["fine"] is None and found["start"] == found["chosen"] == found["delta"][0]


def test_search_again_draws_nothing(
    searched: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (searched / "points").rglob("*.json")}
    service.run(
        "drift search",
        options(tiny_base_folder, tiny_cohort_folder, searched, grid="-0.5,0.125,0"),
        quiet=True,
    )
    assert (
        before == {path: path.stat().st_mtime_ns for path in (searched / "points").rglob("*.json")}
        and len(before) == 3
    )


@pytest.mark.slow
def test_two_processes_find_the_same(
    searched: Path, tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    two = options(tiny_base_folder, tiny_cohort_folder, tmp_path / "two", workers=2)
    service.run("drift search", two, quiet=True)
    assert told(tmp_path / "two")["curve"] == told(searched)["curve"]


def test_training_and_back_into_a_fit(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    asked = options(
        tiny_base_folder, tiny_cohort_folder, tmp_path / "s", stage="train", grid="0.1", fit_steps=1
    )
    assert dry_run.run("drift search", asked)["fits"] == 2 and not (tmp_path / "s").exists()
    service.run("drift search", asked, quiet=True)
    found = told(tmp_path / "s")
    assert found["mode"] == "both" and [point["delta"] for point in found["curve"]] == [0.0, 0.1]
    assert len(found["fine"]["curve"]) == 5 and found["start"] in [
        point["delta"] for point in found["fine"]["curve"]
    ]
    fits = [
        json.loads(path.read_text())
        for path in sorted((tmp_path / "s" / "fits").glob("*/adapter/adapter.json"))
    ]
    assert [info["drift"]["train"] for info in fits] == [[], [0.1] * 4] and len(
        {info["steps"] for info in fits}
    ) == 1
    for mode in ("infer", "both"):
        file = tmp_path / f"{mode}.json"
        file.write_text(json.dumps({**found, "delta": [0.1] * 4, "mode": mode}))
        fitting = config.FitOptions(
            cohort=tiny_cohort_folder,
            base=str(tiny_base_folder),
            out=tmp_path / mode,
            drift=str(file),
            steps=1,
            preview_every=0,
        )
        made = service.run("fit", fitting, quiet=True)["drift"]
        assert made["infer"] == [0.1] * 4 and made["train"] == ([0.1] * 4 if mode == "both" else [])


def test_training_starts_from_a_base(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    fitting = config.FitOptions(
        cohort=tiny_cohort_folder,
        base=str(tiny_base_folder),
        out=tmp_path / "run",
        steps=1,
        preview_every=0,
    )
    service.run("fit", fitting, quiet=True)
    arguments = [
        "drift",
        "search",
        str(tiny_cohort_folder),
        "--adapter",
        str(tmp_path / "run"),
        "--out",
        str(tmp_path / "s"),
    ]
    assert main.main([*arguments, "--stage", "train", "--json"]) == 1
    assert (
        main.main(
            [
                *arguments,
                "--grid",
                "-1sd,1sd",
                "--n",
                "4",
                "--steps",
                "1",
                "--bootstrap",
                "10",
                "--json",
            ]
        )
        == 0
    )
    assert [point["delta"] for point in told(tmp_path / "s")["curve"]] == [-0.125, 0.0, 0.125]

"""Files, folders and caches are written whole or not at all, by kills, full disks and several
processes alike."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from kills import KilledError, stopped
from PIL import Image as Pillow

from latentdrift import storage
from latentdrift.errors import ResourceError

FULL = OSError(errno.ENOSPC, "No space left on device")


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# --- one file --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KilledError(), FULL], ids=["killed", "disk full"])
def test_a_file_keeps_its_old_content_until_the_new_one_is_whole(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.json"
    storage.write_text(path, "old")
    with stopped(tmp_path, 10**6, error) as state:
        storage.write_text(path, "old")
        changes = state["seen"]
    assert changes >= 2  # the file aside, and the rename
    for allowed in range(changes):
        with stopped(tmp_path, allowed, error), pytest.raises(type(error)):
            storage.write_text(path, "new")
        assert path.read_text() == "old"
    storage.write_text(path, "new")
    assert path.read_text() == "new" and names(tmp_path) == ["a.json"]


def test_a_failed_write_frees_its_room(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"), storage.written(tmp_path / "a.bin") as aside:
        aside.write_bytes(b"half")
        raise FULL
    assert names(tmp_path) == []


def test_a_writer_gets_the_suffix_of_the_file(tmp_path: Path) -> None:
    with storage.written(tmp_path / "deep" / "scan.nii.gz") as aside:
        assert aside.name.endswith(".nii.gz") and aside.name.startswith(".")
        aside.write_bytes(b"x")
    assert names(tmp_path) == ["deep", "deep/scan.nii.gz"]


def test_a_private_file_is_never_open_to_others(tmp_path: Path) -> None:
    with storage.written(tmp_path / "salt.txt", mode=0o600) as aside:
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
        aside.write_text("secret")
    assert stat.S_IMODE((tmp_path / "salt.txt").stat().st_mode) == 0o600


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    storage.write_text(tmp_path / "a.csv", "Größe\r\n1\n")
    assert (tmp_path / "a.csv").read_bytes() == "Größe\r\n1\n".encode()


def test_results_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match="JSON"):
        storage.write_json(path, {"delta": float("nan")})
    assert not path.exists()
    storage.write_json(path, {"what": "Fréchet"})
    assert path.read_bytes() == '{\n "what": "Fréchet"\n}\n'.encode()


@pytest.mark.parametrize("old", [".a.json.writing", ".a.json.partial", ".a.partial.json"])
def test_leftovers_of_version_0_1_go_with_the_next_write(tmp_path: Path, old: str) -> None:
    (tmp_path / old).write_text("half")
    (tmp_path / ".b.json.writing").write_text("another's")
    storage.write_text(tmp_path / "a.json", "new")
    assert names(tmp_path) == [".b.json.writing", "a.json"]


# --- a folder --------------------------------------------------------------------------------


def fill(place: Path, content: str) -> None:
    (place / "sub").mkdir()
    (place / "one.txt").write_text(content)
    (place / "sub" / "two.txt").write_text(content)


@pytest.mark.parametrize("error", [KilledError(), FULL], ids=["killed", "disk full"])
@pytest.mark.parametrize("durable", [False, True])
def test_a_folder_appears_whole_or_not_at_all(
    tmp_path: Path, error: BaseException, durable: bool
) -> None:
    path = tmp_path / "out"

    def write() -> None:
        with storage.folder_written(path, replace=True, durable=durable) as aside:
            fill(aside, "new")

    with stopped(tmp_path, 10**6, error) as state:
        write()
        changes = state["seen"]
    for allowed in range(changes):
        with stopped(tmp_path, allowed, error), pytest.raises(type(error)):
            write()
        assert not path.exists() or names(path) == ["one.txt", "sub", "sub/two.txt"]
    write()
    assert names(tmp_path) == ["out", "out/one.txt", "out/sub", "out/sub/two.txt"]


def test_a_folder_of_others_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "mine.txt").write_text("mine")
    with pytest.raises(OSError), storage.folder_written(path) as aside:
        fill(aside, "new")
    assert names(tmp_path) == ["out", "out/mine.txt"]
    (path / "mine.txt").unlink()
    with storage.folder_written(path) as aside:  # an empty one is
        fill(aside, "new")
    assert (path / "one.txt").read_text() == "new"


@pytest.mark.parametrize("old", [".out.writing", ".out.partial", ".writing-out"])
def test_folders_that_were_half_written_go_away(tmp_path: Path, old: str) -> None:
    (tmp_path / old).mkdir()
    (tmp_path / old / "half.txt").write_text("half")
    with storage.folder_written(tmp_path / "out") as aside:
        fill(aside, "new")
    assert names(tmp_path) == ["out", "out/one.txt", "out/sub", "out/sub/two.txt"]


def test_work_beside_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    with storage.folder_written(tmp_path / "out", has_work_beside=True) as aside:
        fill(aside, "new")
    assert (tmp_path / ".out.partial").is_dir()


# --- keys ------------------------------------------------------------------------------------


def test_a_key_depends_on_content_and_not_on_order() -> None:
    grid = np.arange(6, dtype=np.float32).reshape(2, 3)
    same = storage.key({"a": 1, "b": [Path("x"), None]}, grid)
    assert same == storage.key({"b": (Path("x"), None), "a": 1}, np.asfortranarray(grid))
    assert len(same) == 64
    others = [
        storage.key({"a": 2, "b": [Path("x"), None]}, grid),
        storage.key({"a": 1, "b": [Path("x"), None]}, grid.T.copy()),
        storage.key({"a": 1, "b": [Path("x"), None]}, grid.astype(np.float64)),
        storage.key({"a": 1, "b": [Path("x"), None]}, grid.reshape(3, 2)),
        storage.key({"a": "1", "b": [Path("x"), None]}, grid),
        storage.key(["a", "b"], "c"),
        storage.key("a", "b", "c"),
    ]
    assert len({same, *others}) == 1 + len(others)


def test_a_key_of_an_object_without_a_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no canonical form"):
        storage.key({"a": object()})


# --- caches ----------------------------------------------------------------------------------


def test_an_entry_is_computed_once(tmp_path: Path) -> None:
    cache = storage.Cache(tmp_path / "cache")
    calls = []

    def write(path: Path) -> None:
        calls.append(path)
        path.write_text("content")

    for _ in range(2):
        assert cache.entry("k.txt", write).read_text() == "content"
    assert len(calls) == 1 and calls[0].suffix == ".txt"


@pytest.mark.parametrize("error", [KilledError(), FULL], ids=["killed", "disk full"])
def test_an_entry_is_whole_or_missing(tmp_path: Path, error: BaseException) -> None:
    cache = storage.Cache(tmp_path / "cache")
    with stopped(tmp_path, 10**6, error) as state:
        cache.entry("whole.txt", lambda path: path.write_text("whole") and None)
        changes = state["seen"]
    for allowed in range(changes - 1):
        name = f"{allowed}.txt"
        with stopped(tmp_path, allowed, error), pytest.raises(type(error)):
            cache.entry(name, lambda path: path.write_text("whole") and None)
        entry = cache.entry(name, lambda path: path.write_text("whole") and None)
        assert entry.read_text() == "whole"
    assert not [name for name in names(cache.folder) if "writing" in name]


@pytest.mark.parametrize(
    "old", [".writing-0a1b2c3d-k.npy", "k.123.partial", "k.writing", "k.writing.npy"]
)
def test_leftovers_of_an_entry_go_with_it_and_others_stay(tmp_path: Path, old: str) -> None:
    (tmp_path / old).write_text("half")
    (tmp_path / "other.1.partial").write_text("another's")
    storage.Cache(tmp_path).entry("k.npy", lambda path: path.write_text("whole") and None)
    assert names(tmp_path) == ["k.npy", "other.1.partial"]


def test_processes_that_compute_one_entry_do_not_disturb_each_other(tmp_path: Path) -> None:
    cache = storage.Cache(tmp_path)
    both = threading.Barrier(2)

    def write(path: Path) -> None:
        path.write_text("whole")
        both.wait(10)

    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.entry("k.txt", write).read_text()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["whole", "whole"] and names(tmp_path) == ["k.txt"]


def test_an_error_of_the_computation_is_not_hidden(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "weights.bin")

    with pytest.raises(FileNotFoundError, match=r"weights\.bin"):
        storage.Cache(tmp_path).entry("k.txt", write)


# --- results ---------------------------------------------------------------------------------


def test_a_result_is_valid_under_its_settings_alone(tmp_path: Path) -> None:
    results = storage.Results(tmp_path / "results", "one")
    assert results.get("a") is None
    results.put("a", {"value": 1.5})
    assert results.get("a") == {"settings": "one", "value": 1.5}
    assert storage.Results(results.folder, "other").get("a") is None
    assert json.loads(results.path("a").read_text())["settings"] == "one"


@pytest.mark.parametrize("text", ["", "{", "[1]", "\udcff"])
def test_a_damaged_result_is_computed_again(tmp_path: Path, text: str) -> None:
    results = storage.Results(tmp_path, "one")
    results.path("a").write_text(text, errors="surrogateescape")
    assert results.get("a") is None


def test_a_result_holds_finite_numbers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.Results(tmp_path, "one").put("a", {"value": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize("old", ["a.writing", "a.writing.json", "a.writing.png"])
def test_leftovers_of_a_result_go_with_it(tmp_path: Path, old: str) -> None:
    (tmp_path / old).write_text("half")
    storage.Results(tmp_path, "one").put("a", {})
    assert names(tmp_path) == ["a.json"]


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    storage.write_text(path, json.dumps(1))
    for allowed in range(3):
        with stopped(tmp_path, allowed, KilledError()), pytest.raises(KilledError):
            storage.write_text(path, json.dumps(2))
            storage.write_text(path, json.dumps(3))
        assert path.read_text() in ("1", "2", "3")


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def half(place: Path) -> None:
        place.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.png"
    with pytest.raises(OSError, match="No space"), storage.written(path) as aside:
        half(aside)
    assert list(tmp_path.iterdir()) == []
    with storage.written(path) as aside:
        Pillow.new("L", (4, 4)).save(aside)
    assert Pillow.open(path).size == (4, 4) and list(tmp_path.iterdir()) == [path]


def test_a_scratch_folder_is_empty_and_private_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "out" / ".scratch"
    path.mkdir(parents=True)
    (path / "of a killed process").touch()
    with pytest.raises(KilledError), storage.scratch_folder(path) as folder:
        assert folder == path and not list(path.iterdir())
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        (path / "a").touch()
        raise KilledError
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_named_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, file = tmp_path / "locked", tmp_path / "file"
    (locked / "there").mkdir(parents=True)
    file.touch()
    allowed = storage.os.access
    monkeypatch.setattr(
        storage.os, "access", lambda path, mode: path != locked and allowed(path, mode)
    )  # whoever may do everything can write into a folder that is read-only
    for out in (tmp_path / "new" / "deep", tmp_path, file):
        storage.check_writable(out)
    with pytest.raises(ResourceError, match=rf"written into {locked}, which is read-only"):
        storage.check_writable(locked)
    for out in (locked / "there", locked / "new" / "deep"):
        with pytest.raises(ResourceError, match=rf"beside {out}, because {locked} is read-only"):
            storage.check_writable(out)
    with pytest.raises(ResourceError, match=rf"beside {file}/out, because {file} is a file"):
        storage.check_writable(file / "out")

"""Disks that are full: a sentence, nothing half-written, and the same command finishes when there
is room.

The disk is a tmpfs of so many pages, which takes root; elsewhere these tests are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from kills import ended, forked, leftovers
from safetensors.torch import save_file
from verbs import COMMANDS, empty, light, make_world, state, whole

from latentdrift.adapt.interop import exports
from latentdrift.adapt.methods import textual_inversion

pytestmark = pytest.mark.slow
VERBS = ("import", "fit", "generate", "edit", "evaluate", "adopt", "export", "bench editors")
SHARES = (0.1, 0.5, 0.9)
"""Room on the disk, of what the work takes in the end."""

PAGE = 4096
ROOM = 1 << 28
Resize = Callable[[int], None]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Iterator[Path]:
    with light():
        yield make_world(tmp_path_factory.mktemp("world"), tiny_base_folder)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Resize]]:
    """A disk and what gives it so many bytes."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> int:
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True
        ).returncode

    if not shutil.which("mount") or mount(f"size={ROOM}"):
        pytest.skip("no disk can be mounted here")
    yield (
        place,
        lambda size: (
            None if mount(f"remount,size={size}") == 0 else pytest.fail("the disk keeps its size")
        ),
    )
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_a_sentence_and_the_same_command_goes_on(
    verb: str,
    world: Path,
    disk: tuple[Path, Resize],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (place, resize), log = disk, tmp_path / "log.txt"
    arguments = [*COMMANDS[verb], "--out", str(place / "out")]
    whole(world, verb, arguments)
    reference = state(place)
    taken = shutil.disk_usage(place).used
    asked = SimpleNamespace(free=ROOM)  # as if others filled the disk after it was asked
    monkeypatch.setattr(shutil, "disk_usage", lambda place: asked)
    full = 0
    for share in SHARES:
        empty(place)
        resize(max(PAGE, int(share * taken)))
        code, _ = ended(forked([*verb.split(), *arguments], log), 600, 9)
        lines = log.read_text().splitlines()
        full += code
        if code:
            complaints = [line for line in lines if line.startswith(f"latentdrift {verb}: ")]
            assert code == 1 and len(complaints) == 1, lines
            assert "the disk is full" in complaints[0], lines
            assert "Traceback" not in log.read_text() and "Exception ignored" not in log.read_text()
        there = {
            name: hashed for name, hashed in state(place).items() if "cache" not in Path(name).parts
        }  # unfinished by design
        assert {
            name: there[name] for name in there.keys() & reference.keys()
        }.items() <= reference.items()
        resize(ROOM)
        whole(world, verb, arguments)
        assert state(place) == reference
        assert leftovers(place) == []
    assert full, "the disk was never full"
    with capsys.disabled():
        print(f"\n{verb}: full {full} times of {len(SHARES)}; {taken // 1024} KiB in the end")  # noqa: T201


def test_embeddings_in_the_older_layout_say_that_the_disk_is_full(
    disk: tuple[Path, Resize], tmp_path: Path
) -> None:
    place, resize = disk
    save_file({"<disc>": torch.zeros(1, 768)}, tmp_path / textual_inversion.FILE)
    resize(2 * PAGE)
    with pytest.raises(OSError, match="No space left on device"):
        exports._a1111_words(tmp_path, {"base": {"name": "b"}}, None, place)

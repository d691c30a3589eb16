"""Every verb stopped at random instants by SIGKILL, SIGTERM and SIGINT: the same command finishes it, as if never stopped.

Run by hand (`-m slow -s`), it prints the figures of docs/robustness.md; LATENTDRIFT_KILLS says how often each verb is stopped.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from kills import ended, forked, leftovers

from latentdrift import record

KILLS = int(os.environ.get("LATENTDRIFT_KILLS", "10"))
SIGNALS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}
CPU = ["--device", "cpu", "--precision", "fp32"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path, tiny_cohort_folder: Path) -> Path:
    """Scans, a cohort, a run and its pictures, made once by whole commands."""
    import latentdrift.service  # noqa: F401  everything is imported before processes are copied

    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(tiny_base_folder, folder / "base")
    shutil.copytree(tiny_cohort_folder, folder / "cohort")
    whole(folder, "phantom", ["--out", "scans", "--patients", "6", "--visits", "2", "--size", "64"])
    whole(folder, "fit", [*COMMANDS["fit"](folder), "--out", "run"])
    whole(folder, "generate", [*COMMANDS["generate"](folder), "--out", "made"])
    return folder


def whole(folder: Path, verb: str, arguments: list[str]) -> float:
    os.chdir(folder)
    code, seconds = ended(forked([*verb.split(), *arguments], folder / "log.txt"), 600, signal.SIGKILL)
    assert code == 0, (folder / "log.txt").read_text()
    return seconds


COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "phantom": lambda w: ["--patients", "4", "--visits", "2", "--size", "64"],
    "import": lambda w: ["scans", "--table", "scans/table.csv", "--map", "scans/map.yaml", "--plane", "axial", "--salt", "s"],
    "inspect": lambda w: ["cohort"],
    "fit": lambda w: ["cohort", "--base", "base", "--method", "lora", "--rank", "2", "--steps", "6", "--batch-size", "2",
                      "--checkpoint-every", "2", "--preview-every", "0", "--drift", "none", *CPU],
    "generate": lambda w: ["run", "--prompt", "a brain mri", "--n", "4", "--steps", "3", "--batch-size", "2", *CPU],
    "edit": lambda w: ["run", "cohort", "--set", "age=80", "--split", "test", "--limit", "2", "--steps", "3", *CPU],
    "adopt": lambda w: ["run/adapter/pytorch_lora_weights.safetensors", "--base", "base", "--device", "cpu"],
    "export": lambda w: ["run", "--to", "diffusers"],
    "reader make": lambda w: ["--real", "cohort", "--synthetic", "made", "--n", "4", "--split", "train"],
    "drift estimate": lambda w: ["cohort", "--adapter", "base", *CPU],
    "replay": lambda w: ["run"],
}  # fmt: skip


def state(out: Path) -> tuple[dict[str, str], set[str]]:
    """Hashes of pictures, weights and tables, and the names of all files."""
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    return record.outputs(out), {name for name in names if "tensorboard" not in name}


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_is_finished_after_random_stops(verb: str, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = random.Random(f"{verb} {os.environ.get('LATENTDRIFT_SEED', '0')}")
    place = world / verb.replace(" ", "-")
    place.mkdir()
    arguments = [*verb.split(), *COMMANDS[verb](world)]
    seconds = whole(world, verb, [*COMMANDS[verb](world), "--out", str(place / "reference")])
    reference, log = state(place / "reference"), place / "log.txt"
    stopped = dict.fromkeys(SIGNALS, 0)
    while sum(stopped.values()) < KILLS:
        out = place / "out"
        for _ in range(source.randint(1, 3)):
            number = source.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
            code, _ = ended(forked([*arguments, "--out", str(out)], log), source.uniform(0, 1.1 * seconds), number)
            assert code in (0, SIGNALS[number], -number), log.read_text()  # the last: before the copy was ready
            assert "Traceback" not in log.read_text() and "Exception ignored" not in log.read_text()
            stopped[number] += code != 0
        code, _ = ended(forked([*arguments, "--out", str(out)], log), 600, signal.SIGKILL)
        assert code == 0, log.read_text()
        assert state(out) == reference
        assert leftovers(place) == []
        for path in place.glob("out*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with capsys.disabled():
        told = ", ".join(f"{number} {signal.Signals(key).name}" for key, number in stopped.items())
        print(f"\n{verb}: {seconds:.1f} s whole; stopped by {told}; each finished as if never stopped")  # noqa: T201

"""One bad file costs itself: it hangs, takes all memory, crashes its decoder, leads elsewhere, and
the rest goes in."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from latentdrift.config import ImportOptions
from latentdrift.data.images import image_readers
from latentdrift.data.importing import isolation
from latentdrift.data.importing.importer import import_cohort
from latentdrift.errors import OptionError

NAMES = [("good", 10), ("bad", 10), ("good too", 10), ("last", 10)]


def hang(_):
    ctypes.PyDLL(None).sleep(60)  # in C, and with the interpreter's lock held


def devour(_):
    np.ones(isolation.MEMORY)


def crash(_):
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(_):
    os._exit(3)


def panic(_):
    raise BaseException("a panic in Rust")


def nest(_):
    def deeper(x):
        return deeper([x])

    sys.setrecursionlimit(1000)
    return deeper(0)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (hang, "too slow"),
        (devour, "too large"),
        (crash, "crashed"),
        (leave, "crashed"),
        (panic, "crashed"),
        (nest, "crashed"),
    ],
)
@pytest.mark.parametrize("workers", [1, 3])
def test_a_bad_file_is_lost_and_the_others_are_read(monkeypatch, fault, reason, workers):
    monkeypatch.setattr(isolation, "SECONDS", 1.0)
    monkeypatch.setattr(isolation, "MEMORY", 64 << 20)
    found = dict(
        isolation.each(lambda name: fault(name) if name == "bad" else name.upper(), NAMES, workers)
    )
    assert found.pop("bad").reason == reason
    assert found == {"good": "GOOD", "good too": "GOOD TOO", "last": "LAST"}


def test_a_larger_file_has_more_time_and_memory(monkeypatch):
    monkeypatch.setattr(isolation, "SECONDS", 0.2)
    monkeypatch.setattr(isolation, "SPEED", 100)
    found = dict(isolation.each(lambda name: time.sleep(0.5), [("small", 1), ("large", 1000)], 1))
    assert found["small"].reason == "too slow" and found["large"] is None


def test_errors_of_the_import_itself_pass():
    def refuse(name):
        raise OptionError("no such window")

    with pytest.raises(OptionError, match="no such window"):
        list(isolation.each(refuse, NAMES, 2))


def test_a_reader_whose_import_was_killed_ends_without_a_word(tmp_path):
    """Its answer finds nobody any more."""
    code = f"""
import time
from latentdrift.data.importing import isolation
def read(name):
    open({str(tmp_path / "began")!r}, "w").close()
    time.sleep(1)
for _ in isolation.each(read, [("a", 1)], 1): pass
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    while not (tmp_path / "began").exists():
        assert process.poll() is None, "the import ended before it read a file"
        time.sleep(0.02)
    process.kill()
    _, complaint = process.communicate(timeout=30)  # until the reader has ended, too
    assert complaint == b""


def test_no_reader_outlives_the_import(tmp_path):
    """Killed with -9 in the middle, while a reader would go on for a minute."""
    code = f"""
import os, time
from latentdrift.data.importing import isolation
isolation.SECONDS = 1.5
def read(name):
    open({str(tmp_path / "pid")!r} + name, "w").write(str(os.getpid()))
    time.sleep(60) if name == "b" else None
for name, _ in isolation.each(read, [("a", 1), ("b", 1), ("c", 1)], 2): pass
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    pids = [tmp_path / f"pid{name}" for name in "ab"]
    while not all(pid.exists() and pid.read_text() for pid in pids):
        assert process.poll() is None, "the import ended before it read its second file"
        time.sleep(0.02)
    process.kill()
    process.wait()
    left = {int(pid.read_text()) for pid in pids}
    for _ in range(100):
        left = {pid for pid in left if running(pid)}
        if not left:
            break
        time.sleep(0.05)
    assert not left


def running(pid):
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().split()[2] != "Z"


# --- an import


def taken(source, **options):
    cohort = import_cohort(ImportOptions(source=source, out=source.with_name("cohort"), **options))
    return len(cohort.table), cohort.info.rejected_by_reason


def test_an_import_goes_on_after_a_hanging_file(source, monkeypatch):
    real = image_readers.read
    monkeypatch.setattr(isolation, "SECONDS", 2.0)
    monkeypatch.setattr(
        image_readers,
        "read",
        lambda path, **asked: hang(path) if path.name == "3.png" else real(path, **asked),
    )
    assert taken(source) == (5, {"too slow": 1})
    private = source.with_name("cohort-private") / "rejected.csv"
    assert "longer than" in private.read_text() and "3.png" in private.read_text()

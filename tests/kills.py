"""Verbs that are stopped: in processes of their own by signals, or here at a chosen change of the
disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from latentdrift import storage

CHANGES = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "shutil.rmtree",
    "shutil.copyfile",
}
STOPS = (signal.SIGINT, signal.SIGTERM)
CLOCKED = ("made", "versions", "machine", "seconds")
state: dict[str, Any] = {"folder": None}


class KilledError(BaseException):
    """Stands for a process that is gone."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: counts changes below a folder, and from one on lets none happen."""
    if state["folder"] is None or not (
        event in CHANGES or (event == "open" and _writes(arguments))
    ):
        return
    if str(arguments[0]).startswith(state["folder"]):
        state["seen"] += 1
        if state["seen"] > state["allowed"]:
            raise state["error"]


def _writes(arguments: tuple[Any, ...]) -> bool:
    return bool(
        isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    )


sys.addaudithook(_watch)


@contextlib.contextmanager
def stopped(folder: Path, allowed: int, error: BaseException) -> Iterator[dict[str, Any]]:
    """Let so many changes of a folder happen; at the next and all later ones raise the error."""
    state.update(folder=str(folder), seen=0, allowed=allowed, error=error)
    try:
        yield state
    finally:
        state["folder"] = None


def contents(folder: Path, leave: Sequence[str] = ()) -> dict[str, str]:
    """Hashes of all files below a folder but records, logs and those whose path holds one of
    `leave`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(
            part in name for part in ("record.json", "log.jsonl", "tensorboard", *leave)
        ):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def leftovers(folder: Path) -> list[str]:
    """Unfinished work and locks."""
    ends = (".partial", ".writing", ".lock")
    return [
        path.name
        for path in folder.rglob("*")
        if (path.name.endswith(ends) or path.name.startswith(storage.ASIDE))
        and "cache" not in path.parts
    ]


def forked(arguments: Sequence[str], log: Path) -> int:
    """Start `latentdrift ARGUMENTS` as a copy of this process, which has everything imported;
    returns its number."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # until the copy handles them
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        return pid
    os.setpgid(0, 0)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    code = 99
    try:
        import logging

        logging.getLogger().handlers.clear()
        from latentdrift.cli import main, stopping

        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # which a background job would ignore
        stopping.leave_at_once()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        code = main.main(list(arguments))
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def ended(pid: int, seconds: float, number: int) -> tuple[int, float]:
    """Wait, send a signal after so many seconds, and wait for the end; (exit code as Popen has it,
    seconds it took)."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - began
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - began

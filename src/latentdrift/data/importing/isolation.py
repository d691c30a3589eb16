"""Read files in processes of their own: one that hangs, takes all memory or crashes its decoder
costs itself alone.

The kernel keeps the bounds, so that neither a loop in C nor the death of the importing process
escapes them: SIGALRM ends a process whose time is over, and RLIMIT_AS makes it run out of memory.
Where a system has neither, only crashes are caught.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

from latentdrift import errors

SECONDS = 20.0
"""Seconds that any file may take, beside a second for each SPEED bytes."""
SPEED = 1_000_000
"""Bytes a second of the slowest storage that is waited for."""
MEMORY = 4 << 30
"""Bytes that a file may take beside twice its own size, which is what it holds and its copy."""

OUR_OWN = ("OptionError", "ResourceError")
"""Errors that concern the whole import and not one file."""


@dataclass(frozen=True)
class Lost:
    """A file whose process ended before there was an answer; `reason` is a row of REASONS."""

    reason: str
    finding: str


@dataclass(frozen=True)
class _Reader:
    """A process that reads files, and its end of the line."""

    process: Any
    name: str
    """The file that it reads."""


def each(
    read: Callable[[str], Any], files: Iterable[tuple[str, int]], workers: int
) -> Generator[tuple[str, Any], None, None]:
    """Yield (name, what `read` returned or Lost) of every file, in the order in which they are
    done.

    Args:
        read: From a name to what JSON can say; a function of a module or a `partial` of one.
        files: Name and size in bytes.
        workers: Files read at a time.

    Raises:
        OptionError, ResourceError: As `read` raised them.
    """
    waiting = iter(files)
    busy: dict[Connection, _Reader] = {}
    try:
        while True:
            while len(busy) < workers and (file := next(waiting, None)):
                process, line = _start(read, busy)
                _hand_over(busy, line, process, file)
            if not busy:
                return
            for ready in wait(list(busy)):
                line = cast(Connection, ready)
                reader = busy[line]
                answer = _answer(reader, line)
                del busy[line]
                if not isinstance(answer, Lost) and (file := next(waiting, None)):
                    _hand_over(busy, line, reader.process, file)
                else:
                    _end(line, reader)
                yield reader.name, answer
    finally:
        for line, reader in busy.items():
            reader.process.kill()
            _end(line, reader)


def _start(read: Callable[[str], Any], busy: Iterable[Connection]) -> tuple[Any, Connection]:
    """A new process; it begins as a copy of this one where that is safe and quick, so that nothing
    is imported again."""
    context: Any = get_context("fork" if sys.platform == "linux" else "spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, [ours, *busy], read), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _hand_over(
    busy: dict[Connection, _Reader], line: Connection, process: Any, file: tuple[str, int]
) -> None:
    with suppress(BrokenPipeError):  # it is found dead when its answer is waited for
        line.send_bytes(json.dumps(file).encode())
    busy[line] = _Reader(process, file[0])


def _end(line: Connection, reader: _Reader) -> None:
    """Let a process go, which ends when nobody can ask it anything any more."""
    line.close()
    reader.process.join()


def _answer(reader: _Reader, line: Connection) -> Any:
    """Answer of a process to its file, or the reason why there is none."""
    try:
        kind, value = json.loads(line.recv_bytes())
    except (EOFError, OSError):
        reader.process.join()
        return _cause(reader.process.exitcode)
    if kind in OUR_OWN:
        raise getattr(errors, kind)(value)
    return Lost(*value) if kind == "lost" else value


def _cause(code: int) -> Lost:
    if code == -signal.SIGALRM:
        return Lost(
            "too slow", f"reading it takes longer than {SECONDS:.0f} s and a second for each MB"
        )
    if code == -signal.SIGKILL:
        return Lost(
            "too large",
            "the system ended the process that read it, as it does where memory is short",
        )
    return Lost(
        "crashed",
        f"its decoder crashed ({signal.strsignal(-code) if code < 0 else f'exit code {code}'})",
    )


def _serve(line: Connection, others: Sequence[Connection], read: Callable[[str], Any]) -> None:
    """Read files in a process until there are no more, or until the importing process is gone."""
    for other in others:  # copies of the importing process's ends would hide its death
        other.close()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to all processes; the importing one says when to stop
    for name in ("SIGTERM", "SIGALRM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    if sys.stderr is not None:  # a copied stream may be locked for ever
        sys.stderr = open(  # noqa: SIM115
            2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1
        )
    at_start = _address_space()
    with suppress(EOFError, OSError):  # the other end is closed, or its process was killed
        while True:
            name, size = json.loads(line.recv_bytes())
            _limit(SECONDS + size / SPEED, at_start and at_start + MEMORY + 2 * size)
            answer = _read(read, name)
            _limit(0, None)
            line.send_bytes(json.dumps(answer).encode())
    os._exit(0)


def _read(read: Callable[[str], Any], name: str) -> tuple[str, Any]:
    try:
        return "read", read(name)
    except MemoryError:
        return "lost", ("too large", f"reading it takes more than {MEMORY >> 30} GiB of memory")
    except BaseException as error:  # noqa: BLE001
        kind = type(error).__name__
        return (
            (kind, str(error))
            if kind in OUR_OWN
            else ("lost", ("crashed", f"its decoder failed: {kind}: {error}"))
        )


def _limit(seconds: float, memory: int | None) -> None:
    """End this process after so many seconds (0: never), and refuse it more than so many bytes of
    address space (None: any)."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
    if sys.platform == "linux":
        import resource

        _, hard_limit = resource.getrlimit(resource.RLIMIT_AS)
        wanted = hard_limit if memory is None else memory
        resource.setrlimit(
            resource.RLIMIT_AS,
            (
                wanted if hard_limit == resource.RLIM_INFINITY else min(wanted, hard_limit),
                hard_limit,
            ),
        )


def _address_space() -> int | None:
    """Bytes of address space that this process has; None where the system does not bound them."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")

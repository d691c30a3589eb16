"""What is put on disk: whole or not at all, and by one process at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from latentdrift.errors import LatentDriftError, ResourceError


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file whole or not at all: a reader sees the old one or the new one, also after a
    kill."""
    aside = path.with_name(f".{path.name}.writing")
    aside.unlink(missing_ok=True)
    with open(
        os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode),
        "w",
        encoding="utf-8",
        newline="",
    ) as file:
        file.write(text)
    os.replace(aside, path)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let a writer that takes a path write a file whole or not at all.

    Args:
        path: The file.
        write: Called with a path beside it, of the same suffix.
    """
    aside = path.with_name(f".{path.stem}.partial{path.suffix}")
    write(aside)
    os.replace(aside, path)


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold the place of an output, so that no second process writes to it; the lock lies beside it
    and falls with its process.

    Raises:
        ResourceError: Another process holds it, or nothing can be written there.
    """
    from filelock import FileLock, Timeout

    place = Path(os.path.abspath(out))
    lock = FileLock(place.with_name(f".{place.name or 'root'}.lock"), timeout=0)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        if not Path(lock.lock_file).exists():  # refused, not held
            raise ResourceError(
                f"nothing can be written beside {out}; give another `out`"
            ) from None
        raise ResourceError(
            f"another process is writing to {out}; wait until it has finished, or give another "
            "`out`"
        ) from None
    except OSError as error:
        raise ResourceError(
            f"nothing can be written beside {out} ({error.strerror or error}); give another `out`"
        ) from error
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def document(
    path: Path, model: type[BaseModel], error: type[LatentDriftError], kind: str, cure: str
) -> dict[str, Any]:
    """Read a JSON file as it is, where its values have the types of a model.

    Args:
        path: The file.
        model: What is read of it.
        error: Raised where it cannot be used.
        kind: What it should be: "record".
        cure: What to do.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        model.model_validate(found)
        return found
    except FileNotFoundError:
        raise error(f"there is no {kind} at {path}; {cure}") from None
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"]))
        found = (
            f"`{place}`: {first['msg'][:1].lower()}{first['msg'][1:]}"
            if place
            else "it is no table of names and values"
        )
        raise error(f"{path} is no {kind} of latentdrift ({found}); {cure}") from None
    except (ValueError, RecursionError) as problem:
        raise error(f"{path} is damaged ({problem}) and no {kind} of latentdrift; {cure}") from None
    except OSError as problem:
        raise error(f"{path} cannot be read ({problem.strerror or problem}); {cure}") from None

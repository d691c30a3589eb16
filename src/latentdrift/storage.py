"""Files, folders and caches on disk, each written whole or not at all.

A file or folder is written under a hidden name beside its place, `.writing-NAME`, and then renamed.
A reader sees the old content or the new one, also after a kill or on a full disk. The next write to
the same place removes what a killed process left.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from latentdrift.errors import LatentDriftError, OptionError, ResourceError

SomeModel = TypeVar("SomeModel", bound=BaseModel)

ASIDE = ".writing-"
"""Prefix of a file or folder while it is written. The suffix stays, because writers take the format
from it."""

OLD_FILE_ASIDES = (".{name}.writing", ".{name}.partial", ".{stem}.partial{suffix}")
"""Names that version 0.1 gave to files while it wrote them."""

OLD_FOLDER_ASIDES = (".{name}.writing", ".{name}.partial")
"""Names that version 0.1 gave to folders while it wrote them."""

OLD_ENTRY_ASIDES = ("{stem}.*.partial", "{stem}.writing", "{stem}.writing{suffix}")
"""Patterns of the names that version 0.1 gave to entries of caches while it wrote them."""


def path_of(value: Path | str, name: str = "out") -> Path:
    """Convert an argument to a path.

    Args:
        value: A path, as text or Path.
        name: Name of the parameter.

    Raises:
        OptionError: It is something else, or empty.
    """
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise OptionError(f"`{name}` is {value!r}; give a path, as text or Path")
    return Path(value)


def aside_of(path: Path) -> Path:
    """Hidden path beside a file or folder, at which it is written."""
    return path.with_name(f"{ASIDE}{path.name}")


@contextmanager
def written(path: Path, *, mode: int | None = None) -> Iterator[Path]:
    """Write a file whole or not at all. One process at a time may write to a path.

    Args:
        path: The file. Its folder is made.
        mode: Permissions that the file has from its first byte; default: those of the umask.

    Yields:
        The path to write to, with the file's own suffix. After an error it is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_of(path)
    _remove_files(aside, *_old_names(path, OLD_FILE_ASIDES))
    if mode is not None:
        os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield aside
        os.replace(aside, path)
    except BaseException:
        _remove_files(aside)
        raise


def write_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write text as UTF-8, with its own line ends, whole or not at all.

    Args:
        path: The file. Its folder is made.
        text: The content.
        mode: Permissions that the file has from its first byte; default: those of the umask.
    """
    write_bytes(path, text.encode(), mode=mode)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON as a file of results, whole or not at all.

    Args:
        path: The file. Its folder is made.
        content: JSON values without NaN.
    """
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_bytes(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write bytes whole or not at all.

    Args:
        path: The file. Its folder is made.
        content: The bytes.
        mode: Permissions that the file has from its first byte; default: those of the umask.
    """
    with written(path, mode=mode) as aside:
        aside.write_bytes(content)


@contextmanager
def folder_written(
    path: Path, *, replace: bool = False, durable: bool = False, has_work_beside: bool = False
) -> Iterator[Path]:
    """Write a folder whole or not at all. One process at a time may write to a path.

    Args:
        path: The folder. Its parent is made.
        replace: Whether a folder that is there is replaced. Otherwise it has to be empty.
        durable: Whether the files reach the disk before the folder appears, as they have to where
            the power may fail.
        has_work_beside: Whether `.NAME.partial` holds work that goes on. Otherwise that folder is a
            leftover of version 0.1 and is removed.

    Yields:
        An empty folder to write into. After an error it is removed.

    Raises:
        OSError: A folder is there that is not empty, and `replace` is false.
    """
    aside = aside_of(path)
    old = OLD_FOLDER_ASIDES[:1] if has_work_beside else OLD_FOLDER_ASIDES
    for leftover in (aside, *_old_names(path, old)):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        if durable:
            _flush(aside)
        publish_folder(aside, path, replace=replace)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder that only the owner can read, and remove it at the end.

    One process at a time may use a path. What a killed process left there is removed first.

    Args:
        path: The folder. Its parent is made.

    Yields:
        The folder.
    """
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def publish_folder(staged: Path, path: Path, *, replace: bool = False) -> None:
    """Give a finished folder its name: the one step by which it appears.

    Args:
        staged: The finished folder, on the same disk.
        path: Final path of the folder.
        replace: Whether a folder that is there is replaced. Otherwise it has to be empty.

    Raises:
        OSError: A folder is there that is not empty, and `replace` is false.
    """
    if path.is_dir() and replace:
        shutil.rmtree(path)
    elif path.is_dir():
        path.rmdir()
    os.replace(staged, path)


def key(*parts: object) -> str:
    """Name of a cache entry: SHA-256 of everything that shapes it, as canonical JSON.

    Args:
        parts: None, booleans, numbers, text, paths, arrays, pydantic models, and mappings, lists
            and tuples of them. The order of a mapping has no effect.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: A part has no canonical form.
    """
    text = json.dumps([_canonical(part) for part in parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(part: Any) -> Any:
    """A part of a key as a value of JSON."""
    if part is None or isinstance(part, (bool, int, float, str)):
        return part
    if isinstance(part, Path):
        return str(part)
    if isinstance(part, np.generic):
        return part.item()
    if isinstance(part, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()
        return {"dtype": str(part.dtype), "shape": list(part.shape), "sha256": digest}
    if isinstance(part, BaseModel):
        return part.model_dump(mode="json")
    if isinstance(part, Mapping):
        return {str(name): _canonical(value) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_canonical(value) for value in part]
    raise TypeError(f"{type(part).__name__} has no canonical form in a key of a cache")


@dataclass(frozen=True)
class Cache:
    """A folder of files that can be computed again, each named by its `key`.

    Several processes may fill one folder at the same time.
    """

    folder: Path

    def entry(self, name: str, write: Callable[[Path], None]) -> Path:
        """Path of an entry, which is computed where it is missing.

        Args:
            name: A `key` and a suffix.
            write: Computes the entry and writes it to a path with the same suffix.

        Returns:
            The path of a whole file.
        """
        path = self.folder / name
        if path.is_file():
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{ASIDE}{secrets.token_hex(4)}-{name}")
        try:
            write(aside)
            os.replace(aside, path)
        except FileNotFoundError:
            if not path.is_file():  # no other process finished the entry and removed leftovers
                raise
        finally:
            _remove_files(aside)
        self._remove_leftovers(path)
        return path

    def _remove_leftovers(self, path: Path) -> None:
        """Remove what killed processes left of an entry."""
        for pattern in (f"{ASIDE}*-{path.name}", *OLD_ENTRY_ASIDES):
            names = pattern.format(stem=path.stem, suffix=path.suffix)
            _remove_files(*self.folder.glob(names))


@dataclass(frozen=True)
class Results:
    """A folder of JSON files, one for each finished part of a long run.

    A result is valid under the settings that it was computed with. A result of other settings is
    computed again and replaced.
    """

    folder: Path
    key: str
    """`key` of all settings that shape a result."""

    def get(self, name: str) -> dict[str, Any] | None:
        """Result of a part; None where it is missing, damaged or of other settings."""
        path = self.path(name)
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return result if isinstance(result, dict) and result.get("settings") == self.key else None

    def put(self, name: str, values: Mapping[str, Any]) -> None:
        """Write the result of a part.

        Args:
            name: Name of the part.
            values: JSON values; numbers must be finite.

        Raises:
            ValueError: A number is not finite.
        """
        path = self.path(name)
        text = json.dumps({"settings": self.key, **values}, indent=1, allow_nan=False)
        write_text(path, text + "\n")
        old = _old_names(path, ("{stem}.writing", "{stem}.writing{suffix}", "{stem}.writing.png"))
        _remove_files(*old)

    def path(self, name: str, suffix: str = ".json") -> Path:
        """Path of a part's result, or of a file beside it.

        Args:
            name: Name of the part.
            suffix: Ending of the file, as ".png".
        """
        return self.folder / f"{name}{suffix}"


def check_writable(out: Path) -> None:
    """Check that an output can be written, without writing.

    Args:
        out: The output, which need not be there.

    Raises:
        ResourceError: Its folder is read-only, or it would lie in a file or a read-only folder.
    """
    if out.is_dir() and not os.access(out, os.W_OK | os.X_OK):
        raise ResourceError(
            f"nothing can be written into {out}, which is read-only; allow it, or give another "
            "`out`"
        )
    parents = Path(os.path.abspath(out)).parents
    place = next((folder for folder in parents if folder.exists()), Path(os.sep))
    if not place.is_dir():
        problem = "a file"
    elif not os.access(place, os.W_OK | os.X_OK):
        problem = "read-only"
    else:
        return
    raise ResourceError(
        f"nothing can be written beside {out}, because {place} is {problem}; give another `out`"
    )


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Lock the place of an output, so that no second process writes to it.

    The lock lies beside the output and ends with its process.

    Args:
        out: The output.

    Raises:
        ResourceError: Another process holds the lock, or nothing can be written there.
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


def read_model(
    path: Path, model: type[SomeModel], error: type[LatentDriftError], kind: str, cure: str
) -> SomeModel:
    """Read a JSON file as a model.

    Args:
        path, model, error, kind, cure: As of `read_document`.

    Raises:
        LatentDriftError: As `read_document`.
    """
    return _read_checked(path, model, error, kind, cure)[1]


def read_document(
    path: Path, model: type[BaseModel], error: type[LatentDriftError], kind: str, cure: str
) -> dict[str, Any]:
    """Read a JSON file whose values have the types of a model.

    Args:
        path: The file.
        model: Names and types of the values that are used.
        error: Class of the error that is raised where the file cannot be used.
        kind: Noun of the file for the message, as "record".
        cure: Remedy for the message.

    Returns:
        The content as it is in the file.

    Raises:
        LatentDriftError: The file is missing, cannot be read, is damaged, or is something else; an
            `error`.
    """
    return _read_checked(path, model, error, kind, cure)[0]


def _read_checked(
    path: Path, model: type[SomeModel], error: type[LatentDriftError], kind: str, cure: str
) -> tuple[dict[str, Any], SomeModel]:
    """Content of a JSON file, as it is and as a model."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content, model.model_validate(content)
    except FileNotFoundError:
        raise error(f"there is no {kind} at {path}; {cure}") from None
    except ValidationError as problem:
        raise error(
            f"{path} is no {kind} of latentdrift ({_first_problem(problem)}); {cure}"
        ) from None
    except (ValueError, RecursionError) as problem:
        raise error(f"{path} is damaged ({problem}) and no {kind} of latentdrift; {cure}") from None
    except OSError as problem:
        raise error(f"{path} cannot be read ({problem.strerror or problem}); {cure}") from None


def _first_problem(error: ValidationError) -> str:
    """The first value that has a wrong type, in words."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    if not place:
        return "it is no table of names and values"
    return f"entry `{place}`: {first['msg'][:1].lower()}{first['msg'][1:]}"


def _old_names(path: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Paths beside a file or folder under names of version 0.1."""
    names = (
        pattern.format(name=path.name, stem=path.stem, suffix=path.suffix) for pattern in patterns
    )
    return [path.with_name(name) for name in names]


def _remove_files(*paths: Path) -> None:
    """Remove files, where they are there and can be removed."""
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _flush(folder: Path) -> None:
    """Make the files of a folder reach the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())

"""`latentdrift <verb>`: derived from the option models of `config`; parses and shows, and loads no
torch itself.

Exit codes: 0 done, 1 the input or the options, 2 usage, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Literal

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from latentdrift import __version__, config, distributed_ranks, stopping
from latentdrift.config.documents import read_yaml
from latentdrift.errors import LatentDriftError, OptionError, unknown

# verb -> its options, and which of them stand without a flag; a verb of two words is a verb of its
# first word's
VERBS: dict[str, tuple[type[config.Options], tuple[str, ...]]] = {
    "import": (config.ImportOptions, ("source",)),
    "inspect": (config.InspectOptions, ("cohort",)),
    "fit": (config.FitOptions, ("cohort",)),
    "generate": (config.GenerateOptions, ("adapter",)),
    "edit": (config.EditOptions, ("adapter", "source")),
    "evaluate": (config.EvaluateOptions, ()),
    "reader make": (config.ReaderMakeOptions, ()),
    "reader score": (config.ReaderScoreOptions, ()),
    "audit": (config.AuditOptions, ("adapter",)),
    "drift estimate": (config.DriftEstimateOptions, ("cohort",)),
    "drift search": (config.DriftSearchOptions, ("cohort",)),
    "bench drift": (config.BenchDriftOptions, ("cohort",)),
    "bench table1": (config.BenchTable1Options, ("cohort",)),
    "bench table2": (config.BenchTable2Options, ("cohort",)),
    "bench table3": (config.BenchTable3Options, ("cohort",)),
    "bench table4": (config.BenchTable4Options, ("cohort",)),
    "bench editors": (config.BenchEditorsOptions, ("adapter",)),
    "export": (config.ExportOptions, ("adapter",)),
    "adopt": (config.AdoptOptions, ("file",)),
    "phantom": (config.PhantomOptions, ()),
    "replay": (config.ReplayOptions, ("record",)),
    "demo": (config.DemoOptions, ()),
}


def _is_sequence(field: FieldInfo) -> bool:
    kinds = (
        typing.get_args(field.annotation)
        if isinstance(field.annotation, UnionType)
        else (field.annotation,)
    )
    return any(typing.get_origin(kind) is tuple for kind in kinds)


def _help(field: FieldInfo) -> str:
    default = (
        "" if field.is_required() or field.default in (None, ()) else f" (default: {field.default})"
    )
    return f"{field.description}{default}".replace("%", "%%")


def parser() -> argparse.ArgumentParser:
    """The whole command line; every value is left to the option models to judge."""
    root = argparse.ArgumentParser(
        prog="latentdrift",
        description="Medical images from a latent diffusion model with a drifted noise mean.",
    )
    root.add_argument("--version", action="version", version=f"latentdrift {__version__}")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    families: dict[str, Any] = {}
    for verb, (model, positional) in VERBS.items():
        summary, (*family, word) = str(model.__doc__).strip(), verb.split()
        for name in family:
            if name not in families:
                members = [other.split()[1] for other in VERBS if other.startswith(f"{name} ")]
                above = verbs.add_parser(name, help=f"verbs of their own: {', '.join(members)}")
                families[name] = above.add_subparsers(required=True, metavar="VERB")
        parent = families[family[0]] if family else verbs
        sub = parent.add_parser(
            word, help=summary, description=summary, argument_default=argparse.SUPPRESS
        )
        sub.set_defaults(verb=verb)
        for name, field in model.model_fields.items():
            if name in positional:
                sub.add_argument(name, nargs="?", help=_help(field), metavar=name.upper())
                continue
            kind: dict[str, Any] = {"metavar": name.upper().replace("_", "-")}
            if field.annotation in (bool, bool | None):
                kind = {"action": argparse.BooleanOptionalAction}
            elif _is_sequence(field):
                kind |= {"action": "extend", "nargs": "+"}
            flag = name.replace("_", "-")
            sub.add_argument(f"--{flag}", help=_help(field), **kind)
            if Literal[False] in typing.get_args(
                field.annotation
            ):  # a value, nothing, or not at all
                sub.add_argument(
                    f"--no-{flag}",
                    dest=name,
                    action="store_const",
                    const=False,
                    help=f"leave the {flag} out",
                )
        sub.add_argument(
            "--config", type=Path, help="YAML file with any of these options; the command line wins"
        )
        sub.add_argument(
            "--dry-run",
            action="store_true",
            default=False,
            help="say what it would do and cost, and do nothing",
        )
        sub.add_argument(
            "--json",
            action="store_true",
            default=False,
            help="print the result as JSON, and no progress",
        )
        sub.add_argument(
            "--debug", action="store_true", default=False, help="show the traceback of an error"
        )
    return root


def _from_yaml(path: Path, known: Sequence[str]) -> dict[str, Any]:
    try:
        values = read_yaml(path, f"--config {path}", yaml.SafeLoader) or {}
    except FileNotFoundError:
        raise OptionError(f"--config {path} does not exist; give a YAML file of options") from None
    except OSError as error:
        raise OptionError(
            f"--config {path} cannot be read ({error.strerror}); give a YAML file of options"
        ) from None
    if not isinstance(values, dict):
        raise OptionError(
            f"--config {path} holds a {type(values).__name__}; it must hold `option: value` lines"
        )
    values = {str(key).replace("-", "_"): value for key, value in values.items()}
    for key in values:
        if key not in known:
            raise unknown(f"option in {path}", key, known)
    return values


def resolve(verb: str, given: dict[str, Any]) -> config.Options:
    """Options from the YAML form and the command line together; a wrong value is a sentence."""
    model, positional = VERBS[verb]
    path = given.pop("config", None)
    values = (_from_yaml(path, list(model.model_fields)) if path else {}) | given
    for name, field in model.model_fields.items():
        value = values.get(name)
        if _is_sequence(field) and isinstance(value, list) and name == "split":
            values[name] = [part for item in value for part in str(item).replace(",", " ").split()]
    try:
        return model(**values)
    except ValidationError as error:
        raise OptionError(
            "; ".join(_sentence(positional, problem) for problem in error.errors())
        ) from None


def _sentence(positional: Sequence[str], problem: Any) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else "options"
    flag = name.upper() if name in positional else f"--{name.replace('_', '-')}"
    if problem["type"] == "missing":
        return f"{flag} is missing; see --help"
    return f"{flag} is {problem['input']!r}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _show(result: Mapping[str, Any], indent: str = "") -> str:
    """A result for people: a line for each value, with four digits; `--json` has all of them."""
    lines = []
    for key, value in result.items():
        if isinstance(value, Mapping):
            lines += (
                [f"{indent}{key}:", _show(value, indent + "  ")]
                if value
                else [f"{indent}{key}: none"]
            )
        else:
            lines.append(f"{indent}{key}: {_shown(value)}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return (
            ", ".join(
                f"({_shown(part)})" if isinstance(part, list | tuple) else _shown(part)
                for part in value
            )
            or "none"
        )
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(part)}" for key, part in value.items())
    return str(value)


def _parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """What was given, by name.

    Raises:
        SystemExit: Usage, with the nearest option to one that is unknown.
    """
    _check_verb(arguments)
    given, extra = parser().parse_known_args(_with_negative_values(arguments))
    if not extra:
        return vars(given)
    hint = _nearest_option(given.verb, extra[0].partition("=")[0])
    sys.stderr.write(
        f"usage: latentdrift {given.verb} ...\n"
        f"latentdrift {given.verb}: unrecognized arguments: {' '.join(extra)}{hint} See "
        f"latentdrift {given.verb} --help\n"
    )
    raise SystemExit(2)


def _check_verb(arguments: Sequence[str]) -> None:
    """Refuse a mistyped verb, and name the nearest one.

    Raises:
        SystemExit: Usage.
    """
    families = {verb.split()[0] for verb in VERBS if " " in verb}
    place = 1 if arguments and arguments[0] in families else 0
    above = list(arguments[:place])
    known = {verb.split()[place] for verb in VERBS if verb.split()[:place] == above}
    word = arguments[place] if len(arguments) > place else ""
    near = get_close_matches(word, sorted(known), n=1)
    if word in known or word.startswith("-") or not near:
        return
    usage = f"usage: latentdrift {' '.join([*above, 'VERB'])} ...\n"
    sys.stderr.write(
        f"{usage}latentdrift: unknown verb '{' '.join([*above, word])}'; did you mean "
        f"{' '.join([*above, *near])}?\n"
    )
    raise SystemExit(2)


def _nearest_option(verb: str, flag: str) -> str:
    """The hint for an unknown option: the nearest one, or that the value stands without a flag."""
    model, positional = VERBS[verb]
    flags = {
        f"--{name.replace('_', '-')}": name
        for name in (*model.model_fields, "config", "dry_run", "json", "debug")
    }
    near = get_close_matches(flag, flags, n=1)
    if not near:
        return ""
    name = flags[near[0]]
    if name in positional:
        return (
            f"; {name.upper()} stands without a flag: latentdrift {verb} "
            f"{' '.join(map(str.upper, positional))}."
        )
    return f"; did you mean {near[0]}?"


def _with_negative_values(arguments: Sequence[str]) -> list[str]:
    """`--drift -0.1,0.2` -> `--drift=-0.1,0.2`; argparse takes a value that begins with a minus for
    a flag."""
    joined: list[str] = []
    for argument in arguments:
        if re.match(r"-[\d.]", argument) and joined and re.fullmatch(r"--[a-z-]+", joined[-1]):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the `latentdrift` command; returns the exit code."""
    _ready_streams()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with stopping.raised():
            code = _run(given)
    except KeyboardInterrupt as stop:
        terminated = isinstance(stop, stopping.Terminated)
        what = "stopped by SIGTERM" if terminated else "interrupted"
        _complain(f"{_verb(given)}: {what}; the same command again continues where it can")
        code = stopping.TERMINATED if terminated else stopping.INTERRUPTED
    except SystemExit:  # --help, --version and usage
        _write("")
        raise
    return code


def _run(arguments: Sequence[str]) -> int:
    """Parse, do, show."""
    given = _parsed(arguments)
    verb, as_json, debug, dry = (given.pop(key) for key in ("verb", "json", "debug", "dry_run"))
    try:
        rank = distributed_ranks.rank()  # of several processes, the first one speaks
        _log(rank, as_json)
        options = resolve(verb, given)
        if dry:
            result = import_module("latentdrift.cli.dry_run").run(verb, options)
        else:
            result = import_module("latentdrift.service").run(
                verb, options, quiet=as_json or rank > 0
            )
    except Exception as error:
        if debug:
            raise
        _complain(f"{verb}{_process()}: {_problem(error)}")
        return 1
    if rank:
        return 0
    failed = _write(
        (json.dumps(result, indent=1, default=str) if as_json else _show(result)) + "\n"
    )
    if failed:
        _complain(f"{verb}: the work is done, but its result cannot be written to stdout: {failed}")
    return 1 if failed else 0


def _log(rank: int, as_json: bool) -> None:
    level = logging.ERROR if rank else logging.WARNING if as_json else logging.INFO
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "PIL", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _verb(arguments: Sequence[str]) -> str:
    """The verb that arguments begin with."""
    return next(
        (verb for verb in VERBS if list(arguments[: len(verb.split())]) == verb.split()), ""
    )


def _process() -> str:
    """Which of several processes this is, for an error."""
    try:
        rank = distributed_ranks.rank()
    except LatentDriftError:
        return ""
    return f", process {rank}" if rank else ""


NO_ROOM = ("No space left on device", "os error 28", "Disk quota exceeded")
"""How libraries that raise errors of their own say that a disk is full."""


def _problem(error: Exception) -> str:
    """An error as a sentence."""
    if isinstance(error, LatentDriftError):
        return str(error)
    if any(sign in str(error) for sign in NO_ROOM):
        return (
            f"the disk is full ({error}); free some space and give the same command again, which "
            "goes on where it can"
        )
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename} cannot be used" if error.filename else "a file cannot be used"
        return f"{where}: {error.strerror}; see that it is there and that you may read and write it"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            f"there is not enough memory ({str(error) or 'MemoryError'}); take fewer images at a "
            "time or a lower resolution"
        )
    return f"{type(error).__name__}: {error}; run it again with --debug for the traceback"


def _ready_streams() -> None:
    """Let every text through: a closed stream swallows it, and signs that an encoding lacks are
    written as escapes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _write(text: str) -> str | None:
    """Write to stdout; what is wrong with it, if it cannot."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        _give_up(sys.stdout)
        return str(getattr(error, "strerror", None) or error)
    return None


def _complain(text: str) -> None:
    try:
        sys.stderr.write(f"latentdrift {text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody is left to be told
        _give_up(sys.stderr)


def _give_up(stream: Any) -> None:
    """Let what a stream still holds go nowhere, so that its end says nothing more."""
    with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())

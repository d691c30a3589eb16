"""`latentdrift <verb>`: parse the options, do the verb, show the result. Loads no torch itself.

Exit codes: 0 done, 1 the input or the options, 2 usage, 128 + the number of a signal that stopped
the work (130 for Ctrl-C, 143 for SIGTERM, 138 for SIGUSR1 on Linux).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from latentdrift import config
from latentdrift.adapt.training.loop import distributed_ranks
from latentdrift.cli import stopping
from latentdrift.cli.flags import FlagFormatter, with_flags
from latentdrift.cli.parser import parse
from latentdrift.cli.show import sentence, show
from latentdrift.config.documents import read_yaml
from latentdrift.config.fields import is_sequence
from latentdrift.errors import LatentDriftError, OptionError, unknown
from latentdrift.verbs import VERBS


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
    """Build the options of a verb from its YAML file and the command line, which takes precedence.

    Args:
        verb: Name of the verb.
        given: Options of the command line by name; `config` is removed.

    Raises:
        OptionError: A name is unknown, an option is missing, or a value is not allowed.
    """
    model = VERBS[verb].options
    path = given.pop("config", None)
    values = (_from_yaml(path, list(model.model_fields)) if path else {}) | given
    _check_positional(verb, values, given)
    split = values.get("split")
    if isinstance(split, list) and is_sequence(model.model_fields["split"]):  # `0.7,0.15,0.15`
        values["split"] = [part for item in split for part in str(item).replace(",", " ").split()]
    try:
        return config.build(model, values)
    except OptionError as error:
        if all(name in values for name, field in model.model_fields.items() if field.is_required()):
            raise
        raise OptionError(f"{error}; see latentdrift {verb} --help") from None


def _check_positional(verb: str, values: dict[str, Any], given: dict[str, Any]) -> None:
    """Check that no option of several values took a value that stands without a flag.

    `edit run --set age=85 scan.png` gives `set` two values, and `source` none.

    Args:
        verb: Name of the verb.
        values: All options by name.
        given: Options of the command line by name.

    Raises:
        OptionError: A value without a flag is missing, and an option ends with a file or folder,
            or with a value of another form than its first one.
    """
    row = VERBS[verb]
    missing = [
        name
        for name in row.positional
        if name not in values and row.options.model_fields[name].is_required()
    ]
    several = [name for name, value in given.items() if isinstance(value, list)]
    for name in several if missing else ():
        first, last = str(given[name][0]), str(given[name][-1])
        if Path(last).exists() or ("=" in first and "=" not in last):
            words = " ".join(f"`{word}`" for word in row.positional)
            raise OptionError(
                f"`{missing[-1]}` is missing: {last} was read as a value of `{name}`; put {words} "
                "before the options"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `latentdrift` command.

    Args:
        arguments: Arguments after the program's name; None: those of the process.

    Returns:
        Exit code.
    """
    _ready_streams()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with stopping.raised():
            code = _run(given)
    except KeyboardInterrupt as stop:
        code = stopping.exit_code(stop)
        what = stopping.description(code)
        where = f"{_verb(given)}{_process()}"
        _complain(f"{where}: {what}; the same command again continues where it can")
    except SystemExit:  # --help, --version and usage
        _write("")
        raise
    return code


def _run(arguments: Sequence[str]) -> int:
    """Parse, do, show."""
    given = parse(arguments)
    verb, as_json, debug, dry = (given.pop(key) for key in ("verb", "json", "debug", "dry_run"))
    try:
        rank = distributed_ranks.rank()  # of several processes, the first one speaks
        _log(rank, as_json, verb)
        options = resolve(verb, given)
        if dry:
            dry_run = import_module("latentdrift.cli.dry_run")
            result = dry_run.run(verb, options)
            result = result if as_json else dry_run.readable(verb, result)
        else:
            result = import_module("latentdrift.service").run(
                verb, options, quiet=as_json or rank > 0
            )
    except Exception as error:
        if stop := stopping.received():
            raise stop from error
        if debug:
            raise
        _complain(f"{verb}{_process()}: {with_flags(sentence(error), verb)}")
        return 1
    if rank:
        return 0
    text = json.dumps(result, indent=1, default=str) if as_json else with_flags(show(result), verb)
    failed = _write(f"{text}\n")
    if failed:
        _complain(f"{verb}: the work is done, but its result cannot be written to stdout: {failed}")
    return 1 if failed else 0


def _log(rank: int, as_json: bool, verb: str) -> None:
    """Send log lines to stderr: errors alone from further processes, warnings beside JSON."""
    level = logging.ERROR if rank else logging.WARNING if as_json else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FlagFormatter(verb))
    logging.basicConfig(level=level, handlers=[handler])
    for noisy in ("httpx", "PIL", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _verb(arguments: Sequence[str]) -> str:
    """The verb that arguments begin with."""
    return next(
        (verb for verb in VERBS if list(arguments[: len(verb.split())]) == verb.split()), ""
    )


def _process() -> str:
    """Name of this process among several, for an error."""
    try:
        rank = distributed_ranks.rank()
    except LatentDriftError:
        return ""
    return f", process {rank}" if rank else ""


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

"""The argument parser, derived from VERBS and the option models.

It only splits the command line into options. The option models judge every value, so that a wrong
value is the same sentence from the command line, YAML and Python.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from latentdrift import __version__
from latentdrift.cli import help_text
from latentdrift.cli.completion import PrintCompletion
from latentdrift.cli.flags import COMMON, flag
from latentdrift.config import fields
from latentdrift.config.option_groups import grouped
from latentdrift.verbs import GROUPS, VERBS

DESCRIPTION = "Adapt a latent diffusion model to medical images, draw, edit, and judge."
HELP_WIDTH = 100
"""Columns of a help page."""
OPTION_WIDTH = 28
"""Columns of a help page that options take; descriptions begin after them."""
OTHER_TOOLS_VERBS = {
    "train": "fit",
    "finetune": "fit",
    "fine-tune": "fit",
    "sample": "generate",
    "synthesize": "generate",
    "synthesise": "generate",
    "counterfactual": "edit",
    "convert": "import",
}
"""Verb of another tool -> the verb here that does it."""


class ShowHelp(argparse.Action):
    """`latentdrift --help`: the verbs under their headings."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print the page and leave."""
        help_text.print_page(_overview_page())
        parser.exit()


def _overview_page() -> str:
    """The page of `latentdrift --help`."""
    return (
        f"usage: latentdrift VERB ...\n\n{DESCRIPTION}\n\n{help_text.overview()}\n\n"
        "latentdrift VERB --help shows the options of a verb and an example.\n"
        "latentdrift --version shows the version. latentdrift --print-completion SHELL prints "
        "a completion script.\n"
    )


def parser(*, completion: bool = False) -> argparse.ArgumentParser:
    """The whole command line.

    Args:
        completion: Attach choices and file types to the options, for completion scripts. Without
            it, argparse leaves every value to the option models.
    """
    root = argparse.ArgumentParser(
        prog="latentdrift",
        description=DESCRIPTION,
        allow_abbrev=False,
        add_help=False,
    )
    root.add_argument("-h", "--help", action=ShowHelp, help="show the verbs")
    root.add_argument("--version", action="version", version=f"latentdrift {__version__}")
    root.add_argument(
        "--print-completion", action=PrintCompletion, build=parser, help="print a completion script"
    )
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    groups = {name: _add_group(verbs, name) for name in GROUPS}
    for verb in VERBS:
        first, _, second = verb.partition(" ")
        if second:
            _add_verb(groups[first], second, verb, completion)
        else:
            _add_verb(verbs, first, verb, completion)
    return root


class HelpPage(argparse.RawDescriptionHelpFormatter):
    """Layout of a help page: names such as `pin-sample` are never broken at their hyphen."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=OPTION_WIDTH, width=HELP_WIDTH)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def _add_group(verbs: Any, name: str) -> Any:
    """The parser of a group of verbs, such as `drift`."""
    members = [verb for verb in VERBS if verb.startswith(f"{name} ")]
    group = verbs.add_parser(
        name,
        help=GROUPS[name],
        description=GROUPS[name],
        epilog="\n".join(f"  {help_text.usage(member)}" for member in members),
        formatter_class=HelpPage,
        allow_abbrev=False,
    )
    return group.add_subparsers(required=True, metavar="VERB")


def _add_verb(verbs: Any, word: str, verb: str, completion: bool) -> None:
    """The parser of a verb, with its options under their headings."""
    row = VERBS[verb]
    sub = verbs.add_parser(
        word,
        help=row.summary,
        usage=help_text.usage(verb).replace("%", "%%"),
        description=textwrap.fill(" ".join(str(row.options.__doc__).split()), HELP_WIDTH),
        epilog=f"example:\n  {row.example}",
        formatter_class=HelpPage,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    sub.set_defaults(verb=verb)
    options = row.options.model_fields
    for name in row.positional:
        help_ = help_text.option_help(verb, name, options[name])
        action = sub.add_argument(name, nargs="?", help=help_, metavar=name.upper())
        _complete(action, name, options[name], completion)
    for heading, names in grouped(row.options).items():
        flags = [name for name in names if name not in row.positional]
        if flags:
            group = sub.add_argument_group(heading)
            for name in flags:
                _add_option(group, verb, name, options[name], completion)
    _add_common(sub.add_argument_group("every verb"))


def _add_option(group: Any, verb: str, name: str, field: FieldInfo, completion: bool) -> None:
    """One option with its flag, and `--no-OPTION` where it can be left out."""
    help_ = help_text.option_help(verb, name, field)
    if fields.is_switch(field):
        group.add_argument(flag(name), action=argparse.BooleanOptionalAction, help=help_)
        return
    kind: dict[str, Any] = {"metavar": name.upper().replace("_", "-")}
    if fields.is_sequence(field):
        kind |= {"action": "extend", "nargs": "+"}
    action = group.add_argument(flag(name), help=help_, **kind)
    _complete(action, name, field, completion)
    if fields.can_be_left_out(field):
        group.add_argument(
            f"--no-{name.replace('_', '-')}",
            dest=name,
            action="store_const",
            const=False,
            help=f"leave the {name.replace('_', ' ')} out",
        )


def _add_common(group: Any) -> None:
    """Options that every verb has; their names are COMMON."""
    group.add_argument(
        "--config", type=Path, help="YAML file with any of these options; the command line wins"
    )
    texts = {
        "dry_run": "show what the verb would do and cost, and do nothing",
        "json": "print the result as JSON, without progress",
        "debug": "show the traceback of an error",
    }
    for name, text in texts.items():
        group.add_argument(flag(name), action="store_true", default=False, help=text)


def _complete(action: Any, name: str, field: FieldInfo, completion: bool) -> None:
    """Attach to an action what a shell can complete: names of a table, or files."""
    if not completion:
        return
    names = fields.choices(name, field)
    if names:
        action.choices = names
    elif any("Path" in str(kind) for kind in fields.kinds(field)) or name == "adapter":
        action.complete = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Parse the command line into options by name, with the verb as `verb`.

    Raises:
        SystemExit: Help was printed, or the usage is wrong; the message suggests the nearest name.
    """
    _check_verb(arguments)
    given, extra = parser().parse_known_args(with_negative_values(arguments))
    if not extra:
        return vars(given)
    hint = _nearest_option(given.verb, extra[0].partition("=")[0])
    sys.stderr.write(
        f"usage: {help_text.usage(given.verb)}\n"
        f"latentdrift {given.verb}: unrecognized arguments: {' '.join(extra)}{hint} See "
        f"latentdrift {given.verb} --help\n"
    )
    raise SystemExit(2)


def _check_verb(arguments: Sequence[str]) -> None:
    """Refuse a missing or unknown verb; name the nearest one, or show all of them.

    Raises:
        SystemExit: Usage.
    """
    if not arguments:
        sys.stderr.write(_overview_page())
        raise SystemExit(2)
    place = 1 if arguments[0] in GROUPS else 0
    above = list(arguments[:place])
    known = {verb.split()[place] for verb in VERBS if verb.split()[:place] == above}
    word = arguments[place] if len(arguments) > place else ""
    if not word or word in known or word.startswith("-"):
        return
    command = " ".join(["latentdrift", *above])
    sys.stderr.write(
        f"usage: {command} VERB ...\n"
        f"latentdrift: unknown verb '{' '.join([*above, word])}'; "
        f"{_verb_hint(word, above, known)}\n"
    )
    raise SystemExit(2)


def _verb_hint(word: str, above: Sequence[str], known: Collection[str]) -> str:
    """The hint for an unknown verb: the verb that does what it says, or the nearest one.

    Args:
        word: The unknown verb.
        above: Group of the verb; empty for a verb of one word.
        known: Verbs of this group.
    """
    other = OTHER_TOOLS_VERBS.get(word) if not above else None
    if other:
        return f"{other} does that: {VERBS[other].example}"
    near = get_close_matches(word, sorted(known), n=1)
    if near:
        return f"did you mean {' '.join([*above, *near])}?"
    return f"{' '.join(['latentdrift', *above])} --help shows the verbs"


def _nearest_option(verb: str, given: str) -> str:
    """The hint for an unknown option: its place, the nearest one, or that the value stands without
    a flag; a full stop where nothing is near."""
    row = VERBS[verb]
    flags = {flag(name): name for name in (*row.options.model_fields, *COMMON)}
    longer = [known for known in flags if len(given) > 2 and known.startswith(given)]
    near = longer[:1] or get_close_matches(given, flags, n=1)
    if not near:
        return "."
    name = flags[near[0]]
    if name in row.positional:
        words = " ".join(map(str.upper, row.positional))
        return f"; {name.upper()} stands without a flag: latentdrift {verb} {words}."
    if near[0] == given:
        return f"; options stand after the verb: latentdrift {verb} ... {given}."
    return f"; did you mean {near[0]}?"


def with_negative_values(arguments: Sequence[str]) -> list[str]:
    """Join a flag and a negative value, `--drift -0.1,0.2` -> `--drift=-0.1,0.2`.

    argparse takes a value that begins with a minus for a flag.
    """
    joined: list[str] = []
    for argument in arguments:
        if re.match(r"-[\d.]", argument) and joined and re.fullmatch(r"--[a-z-]+", joined[-1]):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined

"""Only the command line knows flags: below it, every text names parameters in backquotes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import latentdrift

SOURCE = Path(latentdrift.__file__).parent
FLAG = re.compile(r"(?<![\w-])--[a-z{]")
COMMAND = re.compile(
    r"(latentdrift [a-zA-Z-]|accelerate launch)(?:(?!(?<!\.)[.;:]\s).)*$", re.DOTALL
)
OTHER_TOOLS = ("--freeze_model", "--mpirun_hostfile")
"""Flags of other programs, that texts about their files name."""
PIECES = {"adapt/adapters/model_card.py": " --hint-image HINT"}
"""A piece that becomes part of a whole command."""


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every string of a module; of f-strings, all with their expressions as `{}`."""
    pieces: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            pieces |= {id(part) for part in node.values}
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(map(str, parts))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in pieces:
            continue
        if isinstance(node.value, str):
            yield node.lineno, node.value


def flags(text: str) -> Iterator[str]:
    """Flags of a text that stand outside of whole commands."""
    for match in FLAG.finditer(text):
        flag = text[match.start() :].split()[0]
        if not COMMAND.search(text[: match.start()]) and not flag.startswith(OTHER_TOOLS):
            yield flag


def test_no_text_below_the_command_line_names_a_flag() -> None:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith("cli/"):
            continue
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            if text != PIECES.get(name):
                found += [f"{name}:{line}: {flag}" for flag in flags(text)]
    assert found == []


def test_the_search_sees_flags_and_lets_whole_commands_through() -> None:
    assert list(flags("give another --out")) == ["--out"]
    assert list(flags("type `latentdrift fit C --out O`, and leave it")) == []
    assert list(flags("type `latentdrift fit C --out O`. Then give --seed")) == ["--seed"]

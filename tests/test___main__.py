"""`python -m latentdrift` is `latentdrift`, with its exit codes."""

from __future__ import annotations

import os
import sys

import pytest

from latentdrift import __main__
from latentdrift.cli import main as command_line
from latentdrift.cli import stopping


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_is_that_of_the_command(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "leave_at_once", lambda: None)
    monkeypatch.setattr(command_line, "main", lambda: code)
    assert __main__.main() == code


@pytest.mark.parametrize("code", stopping.CODES)
def test_an_interruption_leaves_at_once_with_its_code(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = []
    monkeypatch.setattr(stopping, "leave_at_once", lambda: None)
    monkeypatch.setattr(command_line, "main", lambda: code)
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(sys, "stdout", None)  # as where a window has no terminal
    __main__.main()
    assert left == [code]

"""Progress bars in a terminal and in a notebook."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from latentdrift import notebook, progress


@pytest.fixture
def jupyter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process look like the kernel of a notebook."""
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def work(quiet: bool) -> None:
    with progress.bar("fit", quiet=quiet) as update:
        update(0, 4)
        time.sleep(0.15)  # a bar is drawn anew ten times a second at the most
        update(4, 4)


def test_a_notebook_shows_a_line_of_text_without_widgets(
    jupyter: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notebook.is_notebook()
    work(quiet=False)
    stdout, stderr = capsys.readouterr()
    assert stdout == "" and "fit: 100%" in stderr and "4/4" in stderr
    assert "\x1b" not in stderr


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(config={"TerminalIPythonApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not notebook.is_notebook()


@pytest.mark.usefixtures("jupyter")
def test_a_quiet_notebook_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    work(quiet=True)
    assert capsys.readouterr() == ("", "")


def test_a_quiet_terminal_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    work(quiet=True)
    assert capsys.readouterr() == ("", "")

"""Progress bars: on stderr or in a notebook, and silent where nothing is to be shown."""

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


def test_a_notebook_shows_a_line_of_text_without_widgets(
    jupyter: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.bar("drawing") as update:
        update(0, 4)
        time.sleep(0.15)  # a line is drawn anew ten times a second at the most
        update(4, 4)
    stdout, stderr = capsys.readouterr()
    assert stdout == "" and "drawing: 100%" in stderr and "4/4" in stderr
    assert "\x1b" not in stderr


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(config={"TerminalIPythonApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not notebook.is_notebook()


@pytest.mark.parametrize("kind", [progress.TerminalBars, progress.NotebookBars])
def test_quiet_bars_show_nothing(
    kind: type[progress.TerminalBars | progress.NotebookBars], capsys: pytest.CaptureFixture[str]
) -> None:
    bars = kind(quiet=True, transient=False)
    update = bars.add("work")
    bars.start()
    update(1, 2, "a note")
    update(2, 2)
    bars.stop()
    assert capsys.readouterr() == ("", "")


def test_a_bar_that_appears_later_carries_its_note(
    jupyter: None, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = progress.bars(quiet=False, transient=False)
    update = bars.add("steps", done=3, at_once=False)
    bars.start()
    assert capsys.readouterr().err == ""
    update(3, 4, "loss 0.7")
    time.sleep(0.15)
    update(4, 4, "loss 0.5")
    bars.stop()
    shown = capsys.readouterr().err
    assert shown.rstrip().endswith("loss 0.5]") and "4/4" in shown


@pytest.mark.parametrize("kind", [progress.TerminalBars, progress.NotebookBars])
def test_what_was_done_before_does_not_count_for_the_speed(
    kind: type[progress.TerminalBars | progress.NotebookBars],
) -> None:
    bars = kind(quiet=False, transient=True)
    update = bars.add("steps", done=1000)
    bars.start()
    for done in (1001, 1002, 1003):
        time.sleep(0.15)
        update(done, 2000)
    if isinstance(bars, progress.TerminalBars):
        speed = bars.progress.tasks[0].speed
    else:
        speed = bars.lines[0].format_dict["rate"]
    bars.stop()
    assert speed is not None and 0 < speed < 10  # items a second

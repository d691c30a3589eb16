"""Progress bars: on stderr or in a notebook, and silent where nothing is to be shown."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from latentdrift import progress
from latentdrift.display import notebook


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


def test_quiet_bars_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    bars = progress.bars(quiet=True, transient=False)
    update = bars.add("work")
    bars.start()
    update(1, 2, "a note")
    update(2, 2)
    bars.stop()
    assert capsys.readouterr() == ("", "")


def test_a_log_has_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    update = progress.Lines(lambda: now).add("fit", done=50)
    for step in range(50, 131):  # a second each
        update(step, 400, "loss 0.1")
        now += 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "fit: 60 of 400, loss 0.1, about 6 min left",
        "fit: 90 of 400, loss 0.1, about 5 min left",
        "fit: 120 of 400, loss 0.1, about 5 min left",
    ]


def test_where_stderr_is_no_terminal_there_are_lines_and_no_bars() -> None:
    assert isinstance(progress.bars(quiet=False, transient=True), progress.Lines)


def test_the_time_left_follows_the_mean_speed_also_of_items_that_come_in_bursts() -> None:
    now = 0.0
    pace = progress.Pace(0, lambda: now)
    assert pace.left(0, 32) is None
    now = 600.0
    for done in (1, 2, 3, 4):  # a batch of four ends at once
        left = pace.left(done, 32)
    assert left == pytest.approx(600 / 4 * 28)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3599, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations_are_said_in_their_largest_units(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words


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


def test_what_was_done_before_does_not_count_for_the_speed() -> None:
    now = 0.0
    pace = progress.Pace(1000, lambda: now)
    pace.left(1000, 2000)
    now = 10.0
    assert pace.left(1005, 2000) == pytest.approx(2 * 995)
    line = progress.NotebookBars(transient=True)
    update = line.add("steps", done=1000)
    for done in (1001, 1002, 1003):
        time.sleep(0.15)
        update(done, 2000)
    assert 0 < line.lines[0].format_dict["rate"] < 10  # items a second
    line.stop()


def test_a_terminal_has_bars_with_the_time_left() -> None:
    bars = progress.TerminalBars(transient=True)
    update = bars.add("steps")
    update(0, 4)
    update(2, 4, "loss 0.5")
    (task,) = bars.progress.tasks
    assert task.completed == 2 and task.fields["note"] == "loss 0.5"
    assert task.fields["left"].endswith("s left")


def test_repeated_work_has_one_bar_in_a_terminal() -> None:
    bars = progress.TerminalBars(transient=True)
    bars.add("previews")(4, 4)
    bars.add("steps")(1, 9)
    bars.add("previews")(1, 16)
    shown = {task.description: task.completed for task in bars.progress.tasks}
    assert shown == {"steps": 1, "previews": 1} and len(bars.progress.tasks) == 2

"""Progress bars: on stderr or in a notebook, and silent where nothing is to be shown."""

from __future__ import annotations

import pytest

from latentdrift import progress


@pytest.mark.parametrize("notebook", [False, True])
def test_a_quiet_bar_shows_nothing(
    notebook: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "is_notebook", lambda: notebook)
    with progress.bar("work", quiet=True) as update:
        update(1, 2)
        update(2, 2)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_has_a_line_of_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "is_notebook", lambda: True)
    with progress.bar("drawing") as update:
        update(1, 4)
        update(4, 4)
    shown = capsys.readouterr()
    assert shown.out == "" and "drawing" in shown.err

"""The page about Python and the tutorial run from top to bottom, on phantoms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
SMALLER = {
    "patients=24": "patients=12, size=64",
    "steps=400, out": "steps=2, batch_size=2, drift='none', preview_every=0, out",
    "n=8": "n=2, steps=2",
    "n=32, out": "n=4, steps=2, out",
    "guidance=5": "guidance=5, steps=2",
    'out="edits"': 'out="edits", steps=2, limit=2',
    "card=False": "card=False, bootstrap=10",
}
"""Settings of the page -> settings that take seconds."""


def test_the_page_about_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    text = "\n".join(blocks)
    for setting, smaller in SMALLER.items():
        assert setting in text
        text = text.replace(setting, smaller)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(text, "python.md", "exec"), names)
    assert len(names["images"]) == 2  # type: ignore[arg-type]
    assert (tmp_path / "report" / "report.html").is_file()
    assert (tmp_path / "older" / "counterfactual.png").is_file()


def cells() -> list[dict[str, object]]:
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    found: list[dict[str, object]] = notebook["cells"]
    return found


def test_the_tutorial_has_no_outputs() -> None:
    for cell in cells():
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in cells():
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])  # type: ignore[arg-type]
            exec(compile(source, "tutorial.ipynb", "exec"), names)
    assert (tmp_path / "report" / "report.html").is_file()

"""Completion: verbs, options and choices in the shell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from latentdrift.cli import main


def test_without_shtab_completion_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as stop:
        main.main(["--print-completion", "bash"])
    assert stop.value.code == 1
    assert "pip install 'latentdrift[completion]'" in capsys.readouterr().err


def test_a_completion_script_completes_verbs_options_and_choices(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as stop:
        main.main(["--print-completion", "bash"])
    assert stop.value.code == 0
    script = tmp_path / "latentdrift.bash"
    script.write_text(capsys.readouterr().out)
    probe = (
        f"source {script}; COMP_WORDS=(latentdrift fit cohort --method cu); COMP_CWORD=4; "
        "_shtab_latentdrift latentdrift cu --method; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True)
    assert "custom-diffusion" in done.stdout, done.stderr

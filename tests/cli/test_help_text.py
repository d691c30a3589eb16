"""Help pages: what a user reads before the first command."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from latentdrift.cli import help_text, main
from latentdrift.verbs import GROUPS, VERBS


def page(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main.main([*arguments, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_names_every_option_and_an_example(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = page(capsys, *verb.split())
    row = VERBS[verb]
    for name, field in row.options.model_fields.items():
        assert field.description and field.description.strip(), name
        shown = name.upper() if name in row.positional else f"--{name.replace('_', '-')}"
        assert shown in text
        assert not field.is_required() or f"{name.upper()}" in text.splitlines()[0]
    assert row.example in " ".join(text.split()) and "--dry-run" in text
    assert "('" not in text and "PosixPath" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(("pocket",), "pocket"), ((0.7, 0.15), "0.7 0.15"), (True, "on"), (False, "off"), (1.0, "1")],
)
def test_a_default_is_written_as_a_person_writes_it(value: object, text: str) -> None:
    assert help_text.default_text(value) == text


def test_required_and_default_and_choices_stand_in_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = " ".join(page(capsys, "evaluate").split())
    assert "Cohort of real images. (required)" in text
    assert "{pocket, ssl, squeezenet, inception, huggingface, or another value}" in text
    assert "(default: pocket)" in text
    assert "{train, validation, test} (default: test)" in text


def test_the_overview_lists_every_verb_and_says_what_groups_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = page(capsys)
    for verb, row in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(row.summary)}$", text, re.M)
    for group, sentence in GROUPS.items():
        assert sentence in page(capsys, group)


def test_help_loads_no_torch() -> None:
    probe = (
        "import sys; from latentdrift.cli.main import main\n"
        "try: main(['edit', '--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded:', sorted({'torch', 'diffusers', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"

"""Help pages: what a user reads before the first command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from latentdrift import config
from latentdrift.cli import help_text, main
from latentdrift.cli.parser import parse
from latentdrift.config.option_groups import EXCEPTIONS, OPTION_GROUPS, grouped
from latentdrift.errors import OptionError
from latentdrift.verbs import GROUPS, VERBS, find, load, name_of


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


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_a_verb_is_a_command_that_it_takes(verb: str) -> None:
    program, *arguments = shlex.split(VERBS[verb].example)
    assert program == "latentdrift"
    given = parse(arguments)
    assert given.pop("verb") == verb
    given = {name: value for name, value in given.items() if name not in ("json", "debug")}
    del given["dry_run"]
    assert name_of(main.resolve(verb, given)) == verb


@pytest.mark.parametrize("verb", VERBS)
def test_the_functions_of_a_row_are_there(verb: str) -> None:
    assert callable(load(VERBS[verb].function)) and callable(load(VERBS[verb].plan))


def test_an_unknown_verb_names_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"unknown verb 'fti'.*did you mean 'fit'"):
        find("fti")


def test_every_option_has_one_heading() -> None:
    names = [name for options in OPTION_GROUPS.values() for name in options]
    assert len(names) == len(set(names))
    known: set[str] = set()
    for row in VERBS.values():
        fields = set(row.options.model_fields)
        assert {name for options in grouped(row.options).values() for name in options} == fields
        known |= fields
    assert set(names) <= known
    for model, option in EXCEPTIONS:
        assert option in getattr(config, model).model_fields


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

"""The command line: what users type and what they are told, by exit code and sentence."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from latentdrift import config
from latentdrift.cli import main
from latentdrift.cli.parser import parser, with_negative_values


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_the_package_and_the_shell_load_no_torch() -> None:
    probe = (
        "import sys, latentdrift, latentdrift.cli.main; print({'torch', 'diffusers', "
        "'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main(["generate", "x", "--sede", "1"])
    assert stop.value.code == 2
    assert "--sede" in capsys.readouterr().err


def test_a_family_of_verbs_alone_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["drift"], ["drift", "serach", "C"]):
        with pytest.raises(SystemExit) as stop:
            main.main(arguments)
        assert stop.value.code == 2
        assert "usage: latentdrift drift" in capsys.readouterr().err


def test_a_verb_of_two_words_has_options_config_and_dry_runs(tmp_path) -> None:
    form = tmp_path / "search.yaml"
    form.write_text("fit-steps: 7\nn: 9\n")
    line = [
        "drift",
        "search",
        "C",
        "--out",
        "O",
        "--grid",
        "-0.1,0.1",
        "--n",
        "5",
        "--config",
        str(form),
        "--dry-run",
        "--base",
        "B",
    ]
    given = vars(parser().parse_args(with_negative_values(line)))
    assert given.pop("verb") == "drift search" and given.pop("dry_run")
    options = main.resolve(
        "drift search",
        {name: value for name, value in given.items() if name not in ("json", "debug")},
    )
    assert isinstance(options, config.DriftSearchOptions)
    assert (options.grid, options.n, options.fit_steps) == ("-0.1,0.1", 5, 7)
    assert (options.adapter, options.base) == (
        "B",
        None,
    )  # a base without an adapter is the model that is asked


def test_the_command_line_wins_over_yaml(tmp_path) -> None:
    form = tmp_path / "fit.yaml"
    form.write_text("steps: 7\nbatch-size: 3\nmethod: full\n")
    options = main.resolve("fit", {"cohort": "C", "out": "O", "steps": "9", "config": form})
    assert isinstance(options, config.FitOptions)
    assert (options.steps, options.batch_size, options.method) == (9, 3, "full")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "C"], "--out is missing"),
        (["fit", "--out", "O"], "COHORT is missing"),
        (["fit", "C", "--out", "O", "--steps", "0"], "--steps is 0; give at least 1"),
        (["fit", "C", "--out", "O", "--vectors", "65"], "--vectors is 65; give at most 64"),
        (["fit", "C", "--out", "O", "--precision", "fp8"], "'fp32', 'bf16' or 'fp16'"),
        (["fit", "no-such-folder", "--out", "O"], "not a cohort"),
        (["drift", "search", "C", "--out", "O", "--stage", "fit"], "'infer' or 'train'"),
        (
            ["drift", "estimate", "no-such-folder", "--out", "O"],
            "latentdrift drift estimate: no-such-folder is not a cohort",
        ),
        (["edit", "no-such-adapter", "x.png", "--out", "O", "--set", "age=80"], "no-such-adapter"),
        (["replay", "no-such-record", "--out", "O"], "there is no record"),
        (["generate", "pocket", "--config", "none.yaml"], "--config none.yaml does not exist"),
        (["generate", "pocket", "--config", "/dev/null/x"], "--config /dev/null/x cannot be read"),
    ],
)
def test_a_mistake_is_a_sentence_and_exits_with_1(
    arguments, sentence, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = told(capsys, *arguments)
    assert code == 1
    assert sentence in err
    assert "Traceback" not in err


def test_an_unknown_yaml_option_names_the_near_one(tmp_path, capsys) -> None:
    (tmp_path / "o.yaml").write_text("step: 3\n")
    code, _, err = told(capsys, "fit", "C", "--out", "O", "--config", str(tmp_path / "o.yaml"))
    assert code == 1
    assert "did you mean 'steps'?" in err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("improt scans --out C", "unknown verb 'improt'; did you mean import?"),
        ("drift estimat C", "unknown verb 'drift estimat'; did you mean drift estimate?"),
        ("bench table C", "did you mean bench table"),
        (
            "drift estimate --cohort C",
            "COHORT stands without a flag: latentdrift drift estimate COHORT.",
        ),
        (
            "edit --sorce x.png --adapter=run",
            "SOURCE stands without a flag: latentdrift edit ADAPTER SOURCE.",
        ),
        ("train C", "unknown verb 'train'; fit does that: latentdrift fit cohort"),
        ("finetune C", "unknown verb 'finetune'; fit does that"),
        ("sample run", "unknown verb 'sample'; generate does that: latentdrift generate run"),
        ("synthesize run", "unknown verb 'synthesize'; generate does that"),
        ("counterfactual run", "unknown verb 'counterfactual'; edit does that: latentdrift edit"),
        ("convert scans", "unknown verb 'convert'; import does that: latentdrift import scans"),
        ("xyzzy", "unknown verb 'xyzzy'; latentdrift --help shows the verbs"),
        ("drift xyzzy C", "unknown verb 'drift xyzzy'; latentdrift drift --help shows the verbs"),
        ("fit C --stepz 3", "did you mean --steps?"),
        ("fit C --step 3", "did you mean --steps?"),
        ("fit C --res=64", "did you mean --resolution?"),
        ("--json inspect C", "options stand after the verb: latentdrift inspect ... --json."),
        ("phantom x1", "unrecognized arguments: x1. See latentdrift phantom --help"),
    ],
)
def test_a_mistyped_word_names_the_nearest(line, sentence, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main(line.split())
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err


def test_no_verb_shows_the_verbs(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main([])
    assert stop.value.code == 2
    page = capsys.readouterr().err
    assert all(f"  {verb} " in page for verb in ("import", "fit", "generate", "edit", "evaluate"))


def test_a_value_that_an_option_took_is_named(tmp_path, capsys) -> None:
    image = tmp_path / "scan.png"
    image.touch()
    assert main.main(["edit", "run", "--set", "age=85", str(image), "--out", "o"]) == 1
    assert capsys.readouterr().err == (
        f"latentdrift edit: SOURCE is missing: {image} was read as a value of --set; put ADAPTER "
        "SOURCE before the options\n"
    )
    assert main.main(["generate", "--prompt", "a scan", str(tmp_path), "--out", "o"]) == 1
    assert f"{tmp_path} was read as a value of --prompt; put ADAPTER" in capsys.readouterr().err
    assert main.main(["edit", "run", "--set", "age=85", "--out", "o"]) == 1
    assert capsys.readouterr().err == (
        "latentdrift edit: SOURCE is missing; see latentdrift edit --help\n"
    )


def test_json_is_json_and_a_dry_run_writes_nothing(tmp_path, capsys) -> None:
    code, out, _ = told(capsys, "phantom", "--out", str(tmp_path / "scans"), "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["patients"] == 60
    assert not (tmp_path / "scans").exists()


def test_an_interruption_exits_with_130(capsys, monkeypatch) -> None:
    from latentdrift import service

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(service, "run", stop)
    code, _, err = told(capsys, "inspect", "C")
    assert code == 130
    assert "continues" in err


def test_an_unforeseen_error_is_a_sentence_unless_debug(capsys, monkeypatch) -> None:
    from latentdrift import service

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(service, "run", fail)
    code, _, err = told(capsys, "inspect", "C")
    assert code == 1
    assert "--debug" in err and "Traceback" not in err
    with pytest.raises(RuntimeError, match="boom"):
        main.main(["inspect", "C", "--debug"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "[" * 50_000, "is nested more than 20 levels deep"),
        ("steps: &n 5\nseed: *n", "has a YAML alias"),
        ("x" * 1_000_001, "has more than 1 MB"),
        ("steps: [", "is not YAML"),
        ("seed: 2011-99-99", "is not YAML"),
    ],
)
def test_a_config_that_is_no_page_of_options_is_one_sentence(
    tmp_path, capsys, text: str, message: str
) -> None:
    (tmp_path / "o.yaml").write_text(text)
    code, _, err = told(capsys, "fit", "C", "--out", "O", "--config", str(tmp_path / "o.yaml"))
    assert code == 1 and message in err and "Error" not in err

"""Checks before work: names, paths and models, without anything heavy."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latentdrift import config, preflight, record
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import (
    AdapterError,
    InputError,
    LatentDriftError,
    OptionError,
    ResourceError,
)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A folder that has the attributes of an adapter."""
    folder = tmp_path / "run" / "adapter"
    folder.mkdir(parents=True)
    spec = {"sex": {"type": "category", "vocabulary": ["F", "M"]}}
    (folder / "adapter.json").write_text(json.dumps({"attributes": spec}))
    return tmp_path / "run"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "scan.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "scan.png"


def edit(adapter: Path, source: Path, **given: Any) -> config.EditOptions:
    return config.EditOptions(adapter=str(adapter), source=source, out=adapter / "out", **given)


def test_a_model_is_a_folder_a_card_or_a_hub_id(adapter: Path) -> None:
    for name in (str(adapter), "pocket", "owner/name"):
        preflight.check_model(name)
    with pytest.raises(AdapterError, match=r"there is no adapter or base 'poket' \(did you mean"):
        preflight.check_model("poket")
    with pytest.raises(AdapterError, match=r"did you mean '.*run'"):
        preflight.check_model(str(adapter.with_name("runn")))


def test_a_base_has_an_autoencoder(adapter: Path, tiny_base_folder: Path) -> None:
    assert preflight.is_base(str(tiny_base_folder)) and preflight.is_base("owner/name")
    assert not preflight.is_base(str(adapter))
    assert preflight.attributes(str(tiny_base_folder)) == {}
    assert preflight.attributes(str(adapter)).keys() == {"sex"}
    (adapter / "adapter" / "adapter.json").write_text("{")
    assert preflight.attributes(str(adapter)) is None


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"set": ("sex=X",)}, OptionError, "X"),
        ({"set": ("weight=9",)}, OptionError, "weight"),
        ({"set": ("sex=M",), "given": ("height=9",)}, OptionError, "height"),
        ({"set": ("sex=M",), "split": "test"}, OptionError, "`split` is of a cohort"),
        ({"set": ("sex=M",), "plane": "axial"}, OptionError, "`plane` chooses a slice"),
        ({"set": ("sex=M",), "private": Path("p")}, OptionError, "`private` keeps UIDs of DICOM"),
        ({"set": ("sex=M",), "mask": Path("gone.png")}, InputError, "the mask gone.png does not"),
        ({"set": ("sex=M",), "also": ("gone=0.5",)}, AdapterError, "there is no adapter at gone"),
        (
            {"set": ("sex=M",), "editor": "null-text", "emphasis": ("sex",)},
            OptionError,
            "write WORD=FACTOR",
        ),
        ({"set": ("sex=M",), "animate": "gif"}, OptionError, "shows the values of a grid"),
        ({"set": ("sex=M",), "editor": "ddmi"}, OptionError, "unknown editor 'ddmi'"),
    ],
)
def test_a_mistake_in_an_edit_is_a_sentence(
    given: dict[str, Any], error: type[Exception], message: str, adapter: Path, image: Path
) -> None:
    preflight.check("edit", edit(adapter, image, set=("sex=M",)))
    with pytest.raises(error, match=message):
        preflight.check("edit", edit(adapter, image, **given))


def test_a_folder_is_no_source_of_edits(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is an adapter, which comes first"):
        preflight.check("edit", edit(adapter, adapter, set=("sex=M",)))
    (tmp_path / "scans").mkdir()
    with pytest.raises(InputError, match="is a folder but not a cohort"):
        preflight.check("edit", edit(adapter, tmp_path / "scans", set=("sex=M",)))


def test_a_path_that_is_not_there_names_the_nearest(
    tmp_path: Path, tiny_cohort_folder: Path
) -> None:
    (tmp_path / "map.yaml").touch()
    cohort = tiny_cohort_folder.with_name("tiyn")
    with pytest.raises(LatentDriftError, match="tiyn"):
        preflight.check("fit", config.FitOptions(cohort=cohort, out=tmp_path / "run"))
    preflight.check("fit", config.FitOptions(cohort=tiny_cohort_folder, out=tmp_path / "run"))


def test_a_base_needs_no_place_of_its_base(tiny_base_folder: Path, tmp_path: Path) -> None:
    options = config.GenerateOptions(
        adapter=str(tiny_base_folder), base="pocket", out=tmp_path / "out"
    )
    with pytest.raises(OptionError, match="is a base itself; leave `base` out"):
        preflight.check("generate", options)


@pytest.fixture
def evaluation(tmp_path: Path, tiny_cohort_folder: Path) -> config.EvaluateOptions:
    """Options of an evaluation, whose report is there."""
    options = config.EvaluateOptions(
        real=tiny_cohort_folder, synthetic=tiny_cohort_folder, out=tmp_path / "report"
    )
    record.write(options.out, "evaluate", options, inputs={}, results={})
    (options.out / "cache").mkdir()
    for name in ("report.json", "report.html", ".writing-report.html"):
        (options.out / name).touch()
    return options


def test_a_report_of_the_same_options_is_made_again(evaluation: config.EvaluateOptions) -> None:
    preflight.check("evaluate", evaluation)
    preflight.check("evaluate", evaluation.model_copy(update={"device": "cpu"}))
    (evaluation.out / "features").mkdir()
    preflight.check(
        "evaluate", evaluation.model_copy(update={"cache": evaluation.out / "features"})
    )
    (evaluation.out / "features").rmdir()
    (evaluation.out / "record.json").unlink()  # as an interrupted evaluation leaves it
    preflight.check("evaluate", evaluation)


def test_a_report_of_other_options_is_not_replaced(evaluation: config.EvaluateOptions) -> None:
    other = evaluation.model_copy(update={"split": "validation"})
    with pytest.raises(OptionError, match=r"other options: split \(test there, validation now\)"):
        preflight.check("evaluate", other)


def test_a_report_is_written_into_no_other_folder(evaluation: config.EvaluateOptions) -> None:
    into_a_cohort = evaluation.model_copy(update={"out": evaluation.real})
    with pytest.raises(InputError, match="is no file of a report; give an empty or new folder"):
        preflight.check("evaluate", into_a_cohort)
    record.write(evaluation.out, "audit", evaluation, inputs={}, results={})
    with pytest.raises(InputError, match="holds the output of `audit`"):
        preflight.check("evaluate", evaluation)
    into_a_file = evaluation.model_copy(update={"out": evaluation.out / "report.json"})
    with pytest.raises(InputError, match="is a file"):
        preflight.check("evaluate", into_a_file)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"drift_by": "sxe", "drift": "auto"}, "unknown category for `drift_by` 'sxe'"),
        ({"concept_by": "sxe", "method": "textual-inversion"}, "category for `concept_by` 'sxe'"),
        ({"mask": "lesion"}, "unknown column for `mask` 'lesion'"),
        ({"mask": "sex"}, "`mask=sex` is an attribute"),
    ],
)
def test_columns_that_a_fit_names_are_of_the_cohort(
    given: dict[str, Any], message: str, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    options = config.FitOptions(cohort=tiny_cohort_folder, out=tmp_path / "run", **given)
    with pytest.raises(OptionError, match=re.escape(message)):
        preflight.check("fit", options)


def test_an_edit_names_patients_of_the_cohort(adapter: Path, tiny_cohort_folder: Path) -> None:
    patient = str(Cohort.load(tiny_cohort_folder).rows()["patient"].iloc[0])
    preflight.check("edit", edit(adapter, tiny_cohort_folder, set=("sex=M",), patient=(patient,)))
    with pytest.raises(OptionError, match="`patient=p-nobody` is not in this cohort"):
        preflight.check(
            "edit", edit(adapter, tiny_cohort_folder, set=("sex=M",), patient=("p-nobody",))
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there is nothing to draw: give `prompt`"),
        ({"prompt": ("a",), "compose": ("b",)}, "`prompt` and `compose` both say what to draw"),
    ],
)
def test_one_option_says_what_to_draw(
    given: dict[str, Any], message: str, adapter: Path, tmp_path: Path
) -> None:
    options = config.GenerateOptions(adapter=str(adapter), out=tmp_path / "out", **given)
    with pytest.raises(OptionError, match=message):
        preflight.check("generate", options)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"features": ("pocekt",)}, OptionError, "did you mean 'pocket'"),
        ({"features": ("inception",)}, OptionError, "features 'inception' need"),
        ({"features": ("inception=gone.pth",)}, InputError, "are not at gone.pth"),
        ({"utility": "sxe=M"}, OptionError, "unknown attribute 'sxe'"),
        ({"utility": "mask=lesion"}, OptionError, "unknown column for `utility=mask` 'lesion'"),
    ],
)
def test_names_that_an_evaluation_is_given_exist(
    given: dict[str, Any],
    error: type[Exception],
    message: str,
    evaluation: config.EvaluateOptions,
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        preflight.check("evaluate", evaluation.model_copy(update=given))


def test_checks_load_no_torch(tiny_cohort_folder: Path, adapter: Path, tmp_path: Path) -> None:
    cohort = str(tiny_cohort_folder)
    lines = (
        ["fit", cohort, "--drift", "auto", "--drift-by", "sxe"],
        ["generate", str(adapter)],
        ["edit", str(adapter), cohort, "--set", "sex=M", "--patient", "p-nobody"],
        ["evaluate", "--real", cohort, "--synthetic", cohort, "--features", "pocekt"],
        ["evaluate", "--real", cohort, "--synthetic", cohort, "--utility", "sxe=M"],
    )
    probe = (
        "import sys; from latentdrift.cli.main import main; "
        f"codes = [main([*line, '--out', {str(tmp_path / 'new')!r}]) for line in {lines!r}]; "
        "print(codes, sorted({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 1, 1, 1, 1] []"


def test_columns_and_features_are_checked_in_every_verb_that_names_them(
    tmp_path: Path, tiny_cohort_folder: Path
) -> None:
    fitting = config.FitOptions(cohort=tiny_cohort_folder, out=tmp_path / "run", caption="raport")
    with pytest.raises(OptionError, match="unknown column of words for `caption` 'raport'"):
        preflight.check("fit", fitting)
    evaluating = config.EvaluateOptions(
        real=tiny_cohort_folder, synthetic=tiny_cohort_folder, out=tmp_path / "report", by="sexx"
    )
    with pytest.raises(OptionError, match="unknown attribute of the real images 'sexx'"):
        preflight.check("evaluate", evaluating)
    preflight.check("evaluate", evaluating.model_copy(update={"by": "sex"}))
    bench = config.BenchTable3Options(cohort=tiny_cohort_folder, out=tmp_path / "bench")
    preflight.check("bench table3", bench)
    for features, message in (("poket", "unknown features 'poket'"), ("inception=x", "weights")):
        wrong = bench.model_copy(update={"features": (features,)})
        with pytest.raises(LatentDriftError, match=message):
            preflight.check("bench table3", wrong)


def test_a_cluster_that_does_not_answer_is_refused_before_work(
    tiny_base_folder: Path,
    tiny_cohort_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: name)  # as if Ray were installed
    with socket.socket() as silent:  # bound, and nobody listens
        silent.bind(("127.0.0.1", 0))
        given = {"out": tmp_path / "out", "ray": f"127.0.0.1:{silent.getsockname()[1]}"}
        cohort, base = tiny_cohort_folder, str(tiny_base_folder)
        commands: dict[str, config.Options] = {
            "evaluate": config.EvaluateOptions(real=cohort, synthetic=cohort, **given),
            "generate": config.GenerateOptions(adapter=base, prompt=("a brain",), **given),
            "drift search": config.DriftSearchOptions(adapter=base, cohort=cohort, **given),
            "bench drift": config.BenchDriftOptions(cohort=cohort, **given),
        }
        for verb, options in commands.items():
            with pytest.raises(ResourceError, match=rf"no Ray cluster .* at `ray={given['ray']}`"):
                preflight.check(verb, options)
    assert list(tmp_path.iterdir()) == []

"""Options: each has a part in what it is given to, or is refused; and a mistake is answered before anything heavy is imported."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fits import short_fit
from PIL import Image
from tiny import tiny_cohort

from latentdrift import cli, config, preflight
from latentdrift.adapt.interop.exports import EXPORTS
from latentdrift.adapt.lora import TARGETS
from latentdrift.adapt.methods import METHODS
from latentdrift.adapt.optimizers import OPTIMIZERS
from latentdrift.adapt.rates import SCHEDULES
from latentdrift.adapt.trackers import TRACKERS
from latentdrift.config.parts import given
from latentdrift.data.cohort import Cohort
from latentdrift.data.hints import HINTS
from latentdrift.edit.editors import EDITORS
from latentdrift.edit.inversion import INVERSIONS
from latentdrift.errors import LatentDriftError, OptionError
from latentdrift.model.noise import NOISES
from latentdrift.sample.samplers import FLOW_SAMPLERS, SAMPLERS

TABLES: dict[str, Any] = {
    "method": METHODS, "methods": METHODS, "editor": EDITORS, "editors": EDITORS, "sampler": {**SAMPLERS, **FLOW_SAMPLERS},
    "inversion": INVERSIONS, "rate_schedule": SCHEDULES, "optimizer": OPTIMIZERS, "tracker": TRACKERS, "targets": TARGETS,
    "noise": NOISES, "hint": HINTS, "to": EXPORTS,
}  # fmt: skip


def test_the_names_are_those_of_the_tables() -> None:
    assert {option: sorted(names.known) for option, names in config.NAMES.items()} == {
        option: sorted(table) for option, table in TABLES.items()
    }


def test_every_row_speaks_of_options_that_are_there() -> None:
    for verb, rows in config.PARTS.items():
        assert {name for row in rows for name in row.options} <= set(cli.VERBS[verb][0].model_fields)
    for names, methods in config.BY_METHOD.items():
        assert set(names) <= set(config.FitOptions.model_fields) and set(methods) <= set(METHODS)
        for name, row in METHODS.items():  # what shapes a method's parameters has a part in it
            assert not set(names) & set(row.options) or name in methods


def fit(**options: Any) -> config.FitOptions:
    return config.FitOptions(cohort=Path("c"), out=Path("o"), **options)


@pytest.mark.parametrize(
    ("verb", "options", "sentence"),
    [
        ("fit", fit(vectors=9), "--vectors has no part in --method lora, but in textual-inversion, custom-diffusion"),
        ("fit", fit(token="<x>"), "--token has no part in --method lora"),
        ("fit", fit(hint="mask=m"), "--hint has no part in --method lora, but in controlnet"),
        ("fit", fit(class_prompt="a scan"), "--class-prompt has no part without --prior-images above 0"),
        ("fit", fit(mask_outside=0.5), "--mask-outside has no part without --mask COLUMN"),
        ("fit", fit(method="full", rank=4), "--rank has no part in --method full, but in lora, dreambooth-lora"),
        ("fit", fit(method="textual-inversion", caption_dropout=0.2), "--caption-dropout has no part in"),
        ("fit", fit(preset="ti-small", method="lora"), r"--vectors \(of --preset ti-small\) has no part in --method lora"),
        ("fit", fit(drift="none", drift_mode="train"), "--drift-mode has no part without a --drift other than none"),
        ("fit", fit(patient_info=False, age_encoding="word"), "--age-encoding has no part without a sentence that says"),
        ("generate", config.GenerateOptions(adapter="a", out=Path("o"), split="test"), "--split has no part without --like"),
        (
            "generate",
            config.GenerateOptions(adapter="a", out=Path("o"), prompt=("x",), guidance=1, rescale=0.7),
            "--rescale has no part without a --guidance other than 1",
        ),
        (
            "evaluate",
            config.EvaluateOptions(real=Path("r"), synthetic=Path("s"), out=Path("o"), card=False),
            "--no-card has no part without --edits",
        ),
        (
            "drift search",
            config.DriftSearchOptions(cohort=Path("c"), out=Path("o"), fit_steps=3),
            "--fit-steps has no part without --stage train",
        ),
        (
            "drift estimate",
            config.DriftEstimateOptions(cohort=Path("c"), out=Path("o"), copy_slope=False, n=9),
            "--n has no part without --copy-slope",
        ),
        (
            "bench editors",
            config.BenchEditorsOptions(adapter="a", out=Path("o"), phantom="brain", split="train"),
            "--split has no part without a cohort",
        ),
    ],
)
def test_an_option_without_a_part_is_refused(verb: str, options: config.Options, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        preflight.check(verb, options)


def test_what_has_a_part_is_not_refused() -> None:
    config.check_parts("fit", fit(method="full", prior_images=4, class_prompt="a scan"))
    config.check_parts("fit", fit(method="dreambooth", class_prompt="a scan", rare_word="zwx"))
    config.check_parts("fit", fit(drift="none", drift_mode="pin"))
    config.check_parts("fit", fit(prior_images=0))  # said aloud what is so anyway
    for preset in config.PRESETS:
        config.check_parts("fit", fit(preset=preset))


OTHER: dict[str, Any] = {
    "rank": 3, "alpha": 5.0, "targets": "all", "train_text_encoder": True, "token": "<new>", "vectors": 3,
    "concept_by": "diagnosis", "rare_word": "zwx", "prior_images": 3, "prior_weight": 0.25, "class_prompt": "a photo",
    "hint": "earlier", "instruction": "word", "caption_dropout": 0.9, "mask_outside": 0.5, "age_encoding": "word",
    "negate_findings": True, "drift_form": "prediction", "drift_mode": "pin",
}  # fmt: skip
"""Another value of every option that some fit has no part for."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """With a category, two visits a patient, and findings that some have not."""
    folder = tiny_cohort(tmp_path_factory.mktemp("options") / "cohort", 8)
    table = Cohort.load(folder).table
    table["findings"] = ["nodule|effusion" if place % 3 else "nodule" for place in range(len(table))]
    table.to_csv(folder / "metadata.csv", index=False)
    info = json.loads((folder / "cohort.json").read_text())
    info["attributes"]["findings"] = {"type": "findings", "vocabulary": ["effusion", "nodule"]}
    (folder / "cohort.json").write_text(json.dumps(info))
    return Cohort.load(folder)


def test_the_other_values_are_of_every_option_in_the_tables() -> None:
    rows = [*config.BY_METHOD, *(part.options for part in config.PARTS["fit"])]
    assert {name for names in rows for name in names} == set(OTHER)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_option_changes_a_fit_or_is_refused(method: str, cohort: Cohort, tiny_base_folder: Path, tmp_path: Path) -> None:
    def made(**options: Any) -> str:
        """All that a fit leaves behind, but for what was asked, times and versions."""
        out = tmp_path / (next(iter(options), "plain"))
        few = {"steps": 2, "rank": 8, "vectors": None, "prior_images": None, "drift": "auto", "batch_size": 2}
        result = short_fit(tiny_base_folder, cohort, out, method=method, **{**few, **prior, **options})
        files = sorted(result.adapter.glob("**/*.safetensors"))
        info = {name: result.info[name] for name in ("drift", "losses", "prompt", "describe", "tokens")}
        bytes_ = b"".join(path.read_bytes() for path in files)
        return hashlib.sha256(bytes_ + json.dumps(info, sort_keys=True, default=str).encode()).hexdigest()

    prior = {"prior_images": 2} if "prior_images" in METHODS[method].defaults else {}
    plain = made()
    for name, value in OTHER.items():
        asked = fit(**{"method": method, "drift": "auto", **prior, name: value})
        assert given(asked, name)
        try:
            config.check_parts("fit", asked)
            changed = made(**{name: value})
        except LatentDriftError as error:
            assert f"--{name.replace('_', '-')}" in str(error), (name, error)
            continue
        assert changed != plain, f"--{name} changes nothing in {method}"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """What is read of an adapter before it is loaded."""
    (tmp_path / "run" / "adapter").mkdir(parents=True)
    attributes = {"age": {"type": "number", "unit": "years"}, "diagnosis": {"type": "category", "vocabulary": ["ill", "well"]}}
    (tmp_path / "run" / "adapter" / "adapter.json").write_text(json.dumps({"attributes": attributes}))
    Image.new("L", (8, 8)).save(tmp_path / "scan.png")
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "cohort.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"adapter": "rnu"}, "there is no adapter or base 'rnu' .did you mean 'run'"),
        ({"adapter": "pockt"}, "there is no adapter or base 'pockt' .did you mean 'pocket'"),
        ({"source": Path("scn.png")}, "scn.png does not exist .did you mean 'scan.png'"),
        ({"also": ("rnu=0.5",)}, "there is no adapter at rnu .did you mean 'run'"),
        ({"base": "pockte"}, "no base 'pockte' .did you mean 'pocket'"),
        ({"adapter": "pocket", "base": "pocket"}, "leave --base out"),
        ({"set": ("agee=85",)}, "unknown attribute 'agee'; known: age, diagnosis .did you mean 'age'"),
        ({"set": ("diagnosis=il",)}, "did you mean 'ill'"),
        ({"given": ("agee=85",)}, "unknown attribute 'agee'"),
        ({"adapter": "pocket"}, "--set speaks of attributes, and pocket knows none: it is a base"),
        ({"split": "test"}, "--split is of a cohort, and scan.png is a file; leave it out"),
        ({"patient": ("p-1",)}, "--patient is of a cohort"),
        ({"plane": "axial"}, "--plane chooses a slice of a volume, and scan.png is none"),
        ({"position": "40%"}, "--position chooses a slice of a volume, and scan.png is none"),
        ({"source": Path("cohort"), "window": "0,80"}, "--window is of a file, and cohort is a cohort"),
        ({"source": Path("cohort"), "plane": "axial"}, "--plane chooses a slice of a volume, and cohort is none"),
        ({"source": Path("run")}, "run is a folder but not a cohort"),
    ],
)
def test_a_mistake_in_an_edit_is_said_before_anything_is_loaded(
    changed: dict[str, Any], sentence: str, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(adapter)
    asked = {"adapter": "run", "source": Path("scan.png"), "out": Path("o"), "set": ("age=85",)}
    preflight.check("edit", config.EditOptions(**asked))
    with pytest.raises(LatentDriftError, match=sentence):
        preflight.check("edit", config.EditOptions(**{**asked, **changed}))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("fit nope --out O", "nope is not a cohort"),
        ("generate nope --out O --prompt x", "there is no adapter or base 'nope'"),
        ("edit run scan.png --out O --set agee=85", "did you mean 'age'"),
    ],
)
def test_a_mistake_imports_no_torch(line: str, sentence: str, adapter: Path) -> None:
    probe = (
        "import sys; from latentdrift import cli; cli.main(sys.argv[1:]); "
        "print(sorted({'torch', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe, *line.split()], capture_output=True, text=True, cwd=adapter, check=True)
    assert sentence in done.stderr and done.stdout.strip() == "[]"


def test_a_result_for_people_has_four_digits_and_no_dictionaries() -> None:
    drift = {"train": [], "infer": [0.012345678901234567, -0.1], "start": "shift"}
    shown = cli._show({"cohort": "o", "drift": drift, "seconds": 12.3456789, "same": True, "gate": None, "files": ["a", "b"]})
    assert shown.splitlines() == [
        "cohort: o", "drift:", "  train: none", "  infer: 0.01235, -0.1", "  start: shift", "seconds: 12.35", "same: True",
        "gate: none", "files: a, b",
    ]  # fmt: skip

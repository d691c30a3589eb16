"""Options: each has a part in what it is given to, or is refused; and a mistake is answered before
anything heavy is imported."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom.data
import pytest
from fits import short_fit
from PIL import Image
from tiny import tiny_cohort

from latentdrift import config, preflight
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.config.parts import given
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.edit.core.edit_spec import EditSpec, given_options
from latentdrift.edit.editors.editors import EDITORS, with_inversion
from latentdrift.edit.editors.editors import check as check_editor
from latentdrift.errors import LatentDriftError, OptionError


def fit(**options: Any) -> config.FitOptions:
    return config.FitOptions(cohort=Path("c"), out=Path("o"), **options)


@pytest.mark.parametrize(
    ("verb", "options", "sentence"),
    [
        (
            "fit",
            fit(method="lora", vectors=9),
            "`vectors` has no part in `method=lora`, but in textual-inversion, custom-diffusion",
        ),
        (
            "fit",
            fit(token="<x>"),
            "`token` has no part in the default methods full and lora, but in textual-inversion, "
            "custom-diffusion; give `method=textual-inversion`, or leave it out",
        ),
        (
            "fit",
            fit(hint="mask=m", rank=4),
            "`hint` has no part in the default methods full and lora, but in controlnet",
        ),
        (
            "fit",
            fit(class_prompt="a scan"),
            "`class_prompt` has no part without `prior_images` above 0",
        ),
        (
            "fit",
            fit(budget="10min", steps=400),
            "`budget` and `steps` both say how long the fit is; give one of them",
        ),
        ("fit", fit(mask_outside=0.5), "`mask_outside` has no part without `mask=COLUMN`"),
        (
            "fit",
            fit(method="full", rank=4),
            "`rank` has no part in `method=full`, but in lora, dreambooth-lora",
        ),
        (
            "fit",
            fit(method="textual-inversion", caption_dropout=0.2),
            "`caption_dropout` has no part in",
        ),
        (
            "fit",
            fit(preset="ti-small", method="lora"),
            r"`vectors` \(of `preset=ti-small`\) has no part in `method=lora`",
        ),
        (
            "fit",
            fit(drift="none", drift_mode="train"),
            "`drift_mode` has no part without a `drift` other than none",
        ),
        (
            "fit",
            fit(patient_info=False, age_encoding="word"),
            "`age_encoding` has no part without a sentence that says",
        ),
        (
            "generate",
            config.GenerateOptions(adapter="a", out=Path("o"), split="test"),
            "`split` has no part without `like=COHORT`",
        ),
        (
            "generate",
            config.GenerateOptions(
                adapter="a", out=Path("o"), prompt=("x",), guidance=1, rescale=0.7
            ),
            "`rescale` has no part without a `guidance` other than 1",
        ),
        (
            "generate",
            config.GenerateOptions(
                adapter="a", out=Path("o"), prompt=("x",), guidance=1, guidance_interval=(0.3, 5)
            ),
            "`guidance_interval` has no part without a `guidance` other than 1",
        ),
        (
            "evaluate",
            config.EvaluateOptions(real=Path("r"), synthetic=Path("s"), out=Path("o"), card=False),
            "`card=False` has no part without `edits=FOLDER`",
        ),
        (
            "drift search",
            config.DriftSearchOptions(cohort=Path("c"), out=Path("o"), fit_steps=3),
            "`fit_steps` has no part without `stage=train`",
        ),
        (
            "drift estimate",
            config.DriftEstimateOptions(cohort=Path("c"), out=Path("o"), copy_slope=False, n=9),
            "`n` has no part without `copy_slope`",
        ),
        (
            "bench editors",
            config.BenchEditorsOptions(adapter="a", out=Path("o"), phantom="brain", split="train"),
            "`split` has no part without a cohort",
        ),
    ],
)
def test_an_option_without_a_part_is_refused(
    verb: str, options: config.Options, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence):
        preflight.check(verb, options)


def test_what_has_a_part_is_not_refused() -> None:
    config.check_parts("fit", fit(method="full", prior_images=4, class_prompt="a scan"))
    config.check_parts("fit", fit(method="dreambooth", class_prompt="a scan", rare_word="zwx"))
    config.check_parts("fit", fit(drift="none", drift_mode="pin"))
    config.check_parts("fit", fit(prior_images=0))  # said aloud what is so anyway
    config.check_parts("fit", fit(rank=4, alpha=2.0, targets="attention", train_text_encoder=True))
    config.check_parts("fit", fit(train_text_encoder=True, prior_images=4, class_prompt="a scan"))
    for preset in config.PRESETS:
        config.check_parts("fit", fit(preset=preset))


OTHER: dict[str, Any] = {
    "rank": 3,
    "alpha": 5.0,
    "targets": "attention",
    "train_text_encoder": True,
    "token": "<new>",
    "vectors": 3,
    "concept_by": "diagnosis",
    "rare_word": "zwx",
    "prior_images": 3,
    "prior_weight": 0.25,
    "class_prompt": "a photo",
    "hint": "earlier",
    "instruction": "word",
    "change_weight": 0.25,
    "caption_dropout": 0.9,
    "mask_outside": 0.5,
    "age_encoding": "word",
    "negate_findings": True,
    "drift_form": "prediction",
    "drift_mode": "pin",
}
"""Another value of every option that some fit has no part for."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """With a category, two visits a patient, and findings that some have not."""
    folder = tiny_cohort(tmp_path_factory.mktemp("options") / "cohort", 8)
    table = Cohort.load(folder).table
    table["findings"] = [
        "nodule|effusion" if place % 3 else "nodule" for place in range(len(table))
    ]
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
def test_every_option_changes_a_fit_or_is_refused(
    method: str, cohort: Cohort, tiny_base_folder: Path, tmp_path: Path
) -> None:
    def made(**options: Any) -> str:
        """All that a fit leaves behind, but for what was asked, times and versions."""
        out = tmp_path / (next(iter(options), "plain"))
        few = {
            "steps": 2,
            "rank": 8,
            "vectors": None,
            "prior_images": None,
            "drift": "auto",
            "batch_size": 2,
        }
        result = short_fit(
            tiny_base_folder, cohort, out, method=method, **{**few, **prior, **options}
        )
        files = sorted(result.adapter.glob("**/*.safetensors"))
        info = {
            name: result.info.to_dict()[name]
            for name in ("drift", "losses", "prompt", "describe", "tokens")
        }
        bytes_ = b"".join(path.read_bytes() for path in files)
        return hashlib.sha256(
            bytes_ + json.dumps(info, sort_keys=True, default=str).encode()
        ).hexdigest()

    prior = {"prior_images": 2} if "prior_images" in METHODS[method].defaults else {}
    plain = made()
    for name, value in OTHER.items():
        asked = fit(**{"method": method, "drift": "auto", **prior, name: value})
        assert given(asked, name)
        try:
            config.check_parts("fit", asked)
            changed = made(**{name: value})
        except LatentDriftError as error:
            assert f"`{name}`" in str(error), (name, error)
            continue
        assert changed != plain, f"`{name}` changes nothing in {method}"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """What is read of an adapter before it is loaded."""
    (tmp_path / "run" / "adapter").mkdir(parents=True)
    attributes = {
        "age": {"type": "number", "unit": "years"},
        "diagnosis": {"type": "category", "vocabulary": ["ill", "well"]},
    }
    (tmp_path / "run" / "adapter" / "adapter.json").write_text(
        json.dumps({"attributes": attributes})
    )
    Image.new("L", (8, 8)).save(tmp_path / "scan.png")
    (tmp_path / "folder").mkdir()
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
        ({"adapter": "pocket", "base": "pocket"}, "leave `base` out"),
        (
            {"set": ("agee=85",)},
            "unknown attribute 'agee'; known: age, diagnosis .did you mean 'age'",
        ),
        ({"set": ("diagnosis=il",)}, "did you mean 'ill'"),
        ({"given": ("agee=85",)}, "unknown attribute 'agee'"),
        ({"adapter": "pocket"}, "`set` speaks of attributes, and pocket knows none: it is a base"),
        ({"split": "test"}, "`split` is of a cohort, and scan.png is a file; leave it out"),
        ({"patient": ("p-1",)}, "`patient` is of a cohort"),
        ({"plane": "axial"}, "`plane` chooses a slice of a volume, and scan.png is none"),
        ({"position": "40%"}, "`position` chooses a slice of a volume, and scan.png is none"),
        (
            {"source": Path("cohort"), "window": "0,80"},
            "`window` is of a file, and cohort is a cohort",
        ),
        (
            {"source": Path("cohort"), "plane": "axial"},
            "`plane` chooses a slice of a volume, and cohort is none",
        ),
        ({"source": Path("folder")}, "folder is a folder but not a cohort"),
        ({"adapter": "scan.png", "source": Path("run")}, "run is an adapter, which comes first"),
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
        "import sys; from latentdrift.cli.main import main; main(sys.argv[1:]); "
        "print(sorted({'torch', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *line.split()],
        capture_output=True,
        text=True,
        cwd=adapter,
        check=True,
    )
    assert sentence in done.stderr and done.stdout.strip() == "[]"


EVERY_SOURCE = (
    "png",
    "nifti slice",
    "nifti slice without orientation",
    "nifti volume",
    "dicom",
    "cohort",
)
FILES = EVERY_SOURCE[:-1]
PARTS_BY_SOURCE: dict[str, tuple[tuple[str, ...], Any]] = {
    "window": (FILES, "0,80"),
    "split": (("cohort",), "test"),
    "patient": (("cohort",), ("P0001",)),
    "plane": (("nifti slice", "nifti volume"), "axial"),
    "position": (("nifti volume",), "40%"),
    "private": (("dicom",), Path("private")),
}
"""Option of `edit` whose part depends on the source -> the sources that it has a part in, and
another value than its default."""

EVERY_EDITOR = tuple(EDITORS)
BY_ATTENTION = ("prompt-to-prompt", "null-text")
INVERTING = ("ddim", *BY_ATTENTION, "pix2pix-zero", "edit-friendly", "ledits", "diffedit")
MASKED = ("sdedit", "ddim", *BY_ATTENTION, "pix2pix-zero", "inpaint", "controlnet")
DRAWN = (
    "sdedit",
    "edit-friendly",
    "ledits",
    "inpaint",
    "diffedit",
    "controlnet",
    "instruct-pix2pix",
)
PARTS_BY_EDITOR: dict[str, tuple[tuple[str, ...], Any]] = {
    "strength": (
        tuple(name for name in EVERY_EDITOR if name not in ("controlnet", "instruct-pix2pix")),
        0.3,
    ),
    "steps": (EVERY_EDITOR, 7),
    "guidance": (EVERY_EDITOR, 4.0),
    "seed": (EVERY_EDITOR, 3),
    "seeds": (DRAWN, 3),
    "image_guidance": (("instruct-pix2pix",), 3.0),
    "instruction": (("instruct-pix2pix",), "Age this brain"),
    "inversion": (("ddim", "prompt-to-prompt", "pix2pix-zero", "diffedit"), "ddim"),
    "iterations": (("ddim", "prompt-to-prompt", "null-text", "pix2pix-zero", "diffedit"), 2),
    "inversions": (INVERTING, Path("kept")),
    "mask": (MASKED, Path("mask.png")),
    "protect": (MASKED, Path("mask.png")),
    "mask_edge": (MASKED, 5.0),
    "mask_threshold": (("diffedit",), 0.2),
    "cross_share": (BY_ATTENTION, 0.1),
    "self_share": (BY_ATTENTION, 0.1),
    "exchange": (BY_ATTENTION, "refine"),
    "emphasis": (BY_ATTENTION, ("dementia=2",)),
    "local_blend": (BY_ATTENTION, True),
    "sentences": (("pix2pix-zero",), 3),
    "attention_weight": (("pix2pix-zero",), 0.3),
    "focus": (("ledits",), 0.2),
}
"""Option of `edit` whose part depends on the editor -> the editors of docs/counterfactuals.md that
have it, and another value."""

OF_EVERY_EDIT = {
    "adapter",
    "source",
    "out",
    "also",
    "set",
    "add",
    "remove",
    "age",
    "grid",
    "animate",
    "given",
    "editor",
    "hint_image",
    "gate",
    "detail",
    "reverse",
    "limit",
    "base",
    "precision",
    "device",
    "workers",
    "ray",
}
"""Options that have a part in every source and editor, or whose part depends on one another or on
the network."""


def test_every_option_of_edit_stands_in_a_matrix() -> None:
    matrices = {*PARTS_BY_SOURCE, *PARTS_BY_EDITOR}
    assert (
        matrices | OF_EVERY_EDIT == set(config.EditOptions.model_fields)
        and not matrices & OF_EVERY_EDIT
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each kind that `edit` takes, a cohort, and an adapter."""
    folder = tmp_path_factory.mktemp("sources")
    Image.new("L", (8, 8)).save(folder / "png", "PNG")
    for name, shape, affine in (
        ("nifti slice", (8, 8, 1), np.eye(4)),
        ("nifti slice without orientation", (8, 8, 1), None),
        ("nifti volume", (8, 8, 8), np.eye(4)),
    ):
        path = folder / f"{name}.nii"
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.uint8), affine), path)
        path.rename(folder / name)
    shutil.copy(pydicom.data.get_testdata_file("CT_small.dcm"), folder / "dicom")
    tiny_cohort(folder / "cohort")
    (folder / "run" / "adapter").mkdir(parents=True)
    (folder / "run" / "adapter" / "adapter.json").write_text(
        json.dumps({"attributes": {"age": {"type": "number"}}})
    )
    return folder


@pytest.mark.parametrize("source", EVERY_SOURCE)
@pytest.mark.parametrize("option", PARTS_BY_SOURCE)
def test_an_option_has_a_part_in_a_source_or_is_refused(
    option: str, source: str, sources: Path
) -> None:
    able, value = PARTS_BY_SOURCE[option]
    asked: dict[str, Any] = {
        "adapter": str(sources / "run"),
        "source": sources / source,
        "out": Path("o"),
        "set": ("age=85",),
    }
    options = config.EditOptions(**asked, **{option: value})
    if source in able:
        preflight.check("edit", options)
    else:
        with pytest.raises(OptionError, match=f"`{option}` .*; leave it out"):
            preflight.check("edit", options)


@pytest.mark.parametrize("editor", EVERY_EDITOR)
@pytest.mark.parametrize("option", PARTS_BY_EDITOR)
def test_an_option_has_a_part_in_an_editor_or_is_refused(option: str, editor: str) -> None:
    able, value = PARTS_BY_EDITOR[option]
    beside: dict[str, Any] = {}
    if editor == "inpaint" or (option == "mask_edge" and editor in MASKED):
        beside["mask"] = Path("mask.png")
    options = config.EditOptions(
        adapter="run", source=Path("a.png"), out=Path("o"), **{**beside, option: value}
    )
    spec = EditSpec.of_options(options)
    if editor in able:
        check_editor(editor, spec, given_options(options))
    else:
        with pytest.raises(OptionError, match=f"`{option}`.*leave one of them out"):
            check_editor(editor, spec, given_options(options))


@pytest.mark.parametrize("editor", ["ddim", "prompt-to-prompt", "diffedit"])
def test_iterations_are_refused_by_an_inversion_of_one_call_a_step(editor: str) -> None:
    with pytest.raises(OptionError, match="`iterations` has no part in inversion 'direct'"):
        check_editor(editor, EditSpec(inversion="direct", iterations=2))


@pytest.mark.parametrize("editor", ["ddim", "prompt-to-prompt", "diffedit"])
def test_iterations_ask_for_an_inversion_that_iterates(editor: str) -> None:
    options = config.EditOptions(adapter="run", source=Path("a.png"), out=Path("o"))
    assert with_inversion(options, editor).inversion == "direct"
    more = options.model_copy(update={"iterations": 2})
    assert with_inversion(more, editor).inversion == "negative-prompt"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"set": ()}, "nothing is to change; say what with `set`"),
        ({"set": (), "given": ("age=70",)}, "nothing is to change; say what with `set`"),
        (
            {"add": ("effusion",)},
            "known: age .'effusion' would be a finding, and this adapter's cohort has none",
        ),
    ],
)
def test_an_edit_of_nothing_is_refused_before_anything_is_loaded(
    changed: dict[str, Any], sentence: str, sources: Path
) -> None:
    asked: dict[str, Any] = {
        "adapter": str(sources / "run"),
        "source": sources / "png",
        "out": Path("o"),
        "set": ("age=85",),
    }
    with pytest.raises(OptionError, match=sentence):
        preflight.check("edit", config.EditOptions(**{**asked, **changed}))

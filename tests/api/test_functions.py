"""The Python interface: it does what the verbs do, and its results read what they wrote."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import latentdrift as ld
from latentdrift import config, service
from latentdrift.api import functions
from latentdrift.api.functions import _model_options
from latentdrift.errors import AdapterError, BaseModelError, InputError, OptionError

CPU: dict[str, Any] = {"device": "cpu", "precision": "fp32"}
FEW: dict[str, Any] = {"steps": 2, "seed": 3}


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def test_the_package_names_its_interface_and_loads_nothing_heavy() -> None:
    probe = (
        "import sys, latentdrift as ld; names = dir(ld); "
        "print(sorted({'torch', 'diffusers', 'pandas', 'pydantic'} & set(sys.modules)), "
        "set(ld.__all__) == set(names))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"


@pytest.mark.parametrize("name", ld.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ld, name) is not None


def test_evaluate_can_be_called_before_and_after_its_folder_is_imported() -> None:
    probe = (
        "import latentdrift as ld\nfrom latentdrift.errors import OptionError\n"
        "def missing():\n"
        "    try: ld.evaluate(real='C', synthetic='S', spit='test')\n"
        "    except OptionError as error: return 'split' in str(error)\n"
        "before = missing()\nimport latentdrift.evaluate.images\nprint(before, missing())"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True True"


def test_evaluate_has_its_help_after_its_folder_is_imported() -> None:
    probe = (
        "import inspect\nfrom pydoc import render_doc\nimport latentdrift as ld\n"
        "before = inspect.signature(ld.evaluate), ld.evaluate.__doc__\n"
        "import latentdrift.evaluate.images\n"
        "after = inspect.signature(ld.evaluate), ld.evaluate.__doc__\n"
        "print(type(ld.evaluate).__name__, before == after, 'synthetic' in after[0].parameters, "
        "'Compare synthetic images with real ones' in render_doc(ld.evaluate))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "CallableFolder True True True"


def test_a_phantom_takes_progress_as_the_other_functions_do(tmp_path: Path) -> None:
    scans = ld.write_phantom(tmp_path / "scans", patients=1, progress=False)
    assert (scans / "table.csv").is_file()
    with pytest.raises(OptionError, match="`out` is None"):
        ld.write_phantom(None)


def test_a_name_that_is_not_there_says_which_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'fti'.*fit"):
        ld.fti  # noqa: B018


def test_functions_have_the_options_of_their_verb() -> None:
    options = inspect.signature(ld.fit).parameters
    assert options["steps"].default == config.FitOptions.model_fields["steps"].default
    assert options["out"].default is inspect.Parameter.empty
    assert options["learning_rate"].annotation == float | None
    assert "adapter" not in inspect.signature(ld.Model.generate).parameters
    assert "Number of optimiser steps." in str(ld.fit.__doc__)


def test_the_methods_of_a_model_show_optional_folders_and_dictionaries() -> None:
    for name in ("generate", "edit", "edit_all"):
        own = inspect.signature(getattr(ld.Model, name)).parameters
        function = inspect.signature(getattr(functions, name)).parameters
        assert list(own)[1:] == list(function)[1:]
        for option in set(own) - {"self"}:
            assert own[option].default == function[option].default, option
            assert own[option].annotation == function[option].annotation, option
        required = {option for option in own if own[option].default is inspect.Parameter.empty}
        assert required <= {"self", "source"}
    assert "Mapping" in str(inspect.signature(ld.Model.edit).parameters["given"].annotation)
    assert "or cohort" not in inspect.getdoc(ld.Model.edit).split("Options:")[0]
    assert "source: Image (PNG, DICOM, NIfTI) or cohort" not in inspect.getdoc(ld.Model.edit)


def test_the_help_of_functions_lists_the_choices_of_the_command_line() -> None:
    assert f"{{{', '.join(config.NAMES['method'].known)}}}" in inspect.getdoc(ld.fit)
    for option in ("editor", "inversion"):
        assert f"{{{', '.join(config.NAMES[option].known)}}}" in inspect.getdoc(ld.Model.edit)
    assert f"{{{', '.join(config.NAMES['sampler'].known)}}}" in inspect.getdoc(ld.Model.generate)


def test_synthetic_images_that_are_not_there_say_what_is_wanted(
    cohort: ld.Cohort, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match="nope does not exist; give a folder of images or a cohort"
    ):
        ld.evaluate(real=cohort, synthetic=tmp_path / "nope")


def test_an_unknown_option_names_the_nearest(cohort: ld.Cohort, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"unknown option 'step'.*did you mean 'steps'"):
        ld.fit(cohort, step=3, out=tmp_path / "run")
    with pytest.raises(OptionError, match="`out` is missing"):
        ld.fit(cohort)


def test_generate_draws_what_the_verb_draws(model: ld.Model, tmp_path: Path) -> None:
    images = model.generate("brain mri", n=3, progress=False, **FEW)
    run = model.adapters[0].place
    options = config.GenerateOptions(
        adapter=str(run), prompt=("brain mri",), n=3, out=tmp_path / "verb", **FEW, **CPU
    )
    service.run("generate", options, quiet=True)
    assert len(images) == 3 and images.prompts == ["brain mri"] * 3
    for place, image in enumerate(images):
        with Image.open(tmp_path / "verb" / f"images/{place:06d}.png") as other:
            assert np.array_equal(pixels(image), pixels(other))
    assert np.array_equal(pixels(images[:2][1]), pixels(images[1]))


@pytest.mark.parametrize("name", ["adapter", "also", "base", "device", "precision"])
def test_a_loaded_model_refuses_what_it_was_loaded_with(
    name: str, model: ld.Model, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=rf"`{name}` cannot be given here.*`Model.load\("):
        model.generate("brain", out=tmp_path / "images", **{name: "cpu"})
    with pytest.raises(OptionError, match=rf"`{name}` cannot be given here"):
        model.edit(tmp_path / "scan.png", **{name: "cpu"})
    with pytest.raises(OptionError, match="unknown option 'devise'") as error:
        model.edit_all(tmp_path / "scan.png", devise="cpu")
    known = str(error.value).partition("known: ")[2].partition(" (")[0].split(", ")
    assert "strength" in known and name not in known
    assert name not in inspect.signature(ld.Model.edit).parameters
    assert not (tmp_path / "images").exists()


def test_the_record_names_the_device_and_precision_of_the_loaded_model(model: ld.Model) -> None:
    images = model.generate("brain", n=1, progress=False, **FEW)
    options = json.loads((images.folder / "record.json").read_text())["options"]
    assert (options["device"], options["precision"], options["base"]) == ("cpu", "fp32", None)
    elsewhere = replace(model, base=replace(model.base, name="moved"))
    assert _model_options(elsewhere)["base"] == "moved"


def test_a_model_whose_networks_another_has_changed_is_refused(
    model: ld.Model, tmp_path: Path
) -> None:
    place = model.adapters[0].place
    assert place is not None
    used = ld.Model.load(place, device="cpu", precision="fp32")
    alone = used.without()
    for call in (used.without, lambda: used.generate("brain", n=1, **FEW)):
        with pytest.raises(BaseModelError, match=r"used up.*load this one again"):
            call()
    with pytest.raises(BaseModelError, match="used up"):
        replace(used, drift=ld.Drift()).edit(tmp_path / "scan.png", age="+3")
    alone.base.check_usable()


def test_a_base_alone_draws(tiny_base_folder: Path) -> None:
    base = ld.Model.load(str(tiny_base_folder), device="cpu", precision="fp32")
    assert len(base.generate("brain", n=1, progress=False, **FEW)) == 1


def test_a_model_without_a_folder_cannot_be_named(model: ld.Model) -> None:
    nameless = replace(model, adapters=(replace(model.adapters[0], place=None),))
    with pytest.raises(AdapterError, match="bring it in with `latentdrift adopt"):
        nameless.generate("brain", **FEW)

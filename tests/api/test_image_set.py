"""ImageSet: saved whole, never over others, and removed with its temporary folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import latentdrift as ld
from latentdrift.errors import InputError

FEW: dict[str, Any] = {"steps": 2, "seed": 3}


def test_images_are_copied_whole_and_never_over_others(model: ld.Model, tmp_path: Path) -> None:
    images = model.generate(["brain", "brain mri"], n=2, progress=False, **FEW)
    saved = images.save(tmp_path / "kept")
    assert ld.Cohort.load(saved).fingerprint == images.cohort.fingerprint
    assert (saved / "record.json").is_file()
    assert ld.ImageSet(str(saved)).prompts == images.prompts
    with pytest.raises(InputError, match="is there and not empty; give a new folder as `out`"):
        images.save(saved)


def test_a_cohort_without_prompts_is_no_image_set(cohort: ld.Cohort) -> None:
    with pytest.raises(InputError, match=r"without prompts.*`Cohort\.load`"):
        ld.ImageSet(cohort.folder)


def test_temporary_images_go_with_their_set(model: ld.Model) -> None:
    images = model.generate("brain", n=1, progress=False, **FEW)
    folder = images.folder
    assert folder.is_dir()
    del images
    assert not folder.exists()


def test_objects_show_themselves(model: ld.Model, cohort: ld.Cohort) -> None:
    images = model.generate("brain", n=2, progress=False, **FEW)
    assert images._repr_html_().count("<img") == 2
    html = cohort._repr_html_()
    assert "12 images of 6 patients" in html and "<img" in html
    assert repr(cohort) == f"<Cohort: 12 images of 6 patients, brain MRI, in {cohort.folder}>"

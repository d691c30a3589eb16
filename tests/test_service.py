"""The verbs end to end, on a tiny base and a phantom cohort: what a user gets on disk, and that it
can be made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from latentdrift import config, record, service
from latentdrift.adapt.methods.examples import of_rows
from latentdrift.adapt.training import cost_estimate
from latentdrift.adapt.training.planning.durations import Durations
from latentdrift.cli import dry_run, main
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError, InputError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift

pytestmark = pytest.mark.usefixtures("few_candidates")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Path:
    """A folder with `scans`, the `cohort` made of them, and a finished `run`."""
    folder = tmp_path_factory.mktemp("study")
    service.run(
        "phantom",
        config.PhantomOptions(out=folder / "scans", patients=8, visits=2, size=64),
        quiet=True,
    )
    scans = folder / "scans"
    wanted = config.ImportOptions(
        source=scans, table=scans / "table.csv", map=scans / "map.yaml", out=folder / "cohort"
    )
    service.run("import", wanted, quiet=True)
    service.run("fit", fit_options(folder, tiny_base_folder), quiet=True)
    return folder


def fit_options(study: Path, base: Path) -> config.FitOptions:
    return config.FitOptions(
        cohort=study / "cohort",
        base=str(base),
        out=study / "run",
        steps=3,
        batch_size=2,
        preview_every=2,
        precision="fp32",
    )


def generate(study: Path, out: Path, **options: object) -> dict:
    asked = {"like": study / "cohort", "split": "train", "n": 5, "steps": 3, **options}
    return service.run(
        "generate", config.GenerateOptions(adapter=str(study / "run"), out=out, **asked), quiet=True
    )


def pictures(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted((folder / "images").glob("*.png"))]


def test_import_names_nobody(study: Path) -> None:
    cohort = Cohort.load(study / "cohort")
    said = (study / "cohort" / "metadata.csv").read_text() + (
        study / "cohort" / "cohort.json"
    ).read_text()
    assert not [f"P{n:04d}" for n in range(1, 9) if f"P{n:04d}" in said]
    assert not (study / "cohort" / "record.json").exists()
    assert (
        len(cohort.table) == 16 and cohort.stored(cohort.table.iloc[0].to_dict()).dtype == np.uint16
    )


def test_fit_writes_a_record_previews_and_an_adapter(study: Path) -> None:
    found = record.read(study / "run")
    assert found["verb"] == "fit" and found["results"]["outputs"]
    assert list((study / "run" / "previews").glob("*.png"))
    info = json.loads((study / "run" / "adapter" / "adapter.json").read_text())
    assert info["drift"]["mode"] == "infer" and any(info["drift"]["infer"])


def test_fit_again_says_that_it_is_finished(study: Path, tiny_base_folder: Path) -> None:
    assert service.run("fit", fit_options(study, tiny_base_folder), quiet=True)["already finished"]


def test_generate_follows_the_table_and_labels_what_it_made(study: Path, tmp_path: Path) -> None:
    generate(study, tmp_path / "made")
    made = Cohort.load(tmp_path / "made")
    real = Cohort.load(study / "cohort").rows("train")
    assert list(made.table["age"]) == list(real["age"])[:5]
    assert list(made.table["diagnosis"]) == list(real["diagnosis"])[:5]
    assert made.info.synthetic is True
    assert "Synthetic" in Image.open(tmp_path / "made" / "images" / "000000.png").text
    assert made.stored(made.table.iloc[0].to_dict()).ndim == 2  # a grey cohort gives grey pictures
    assert all("year old" in prompt for prompt in made.table["prompt"])


def test_a_base_alone_follows_the_words_of_a_table(
    study: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    options = config.GenerateOptions(
        adapter=str(tiny_base_folder), like=study / "cohort", n=2, steps=2, out=tmp_path / "made"
    )
    service.run("generate", options, quiet=True)
    made = Cohort.load(tmp_path / "made")
    real = Cohort.load(study / "cohort").rows()
    assert list(made.table["age"]) == list(real["age"])[:2]
    assert all("year old" in prompt for prompt in made.table["prompt"])


def test_generate_warns_of_what_the_text_encoder_drops(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, prompt in (("long", "brain " * 75 + "with dementia"), ("short", "brain " * 75)):
        generate(study, tmp_path / name, like=None, split=None, n=1, prompt=(prompt,))
    assert [
        message
        for message in caplog.messages
        if "is dropped" in message and "'with dementia'" in message
    ]
    long, short = (
        Cohort.load(tmp_path / name).table["prompt"][0].split() for name in ("long", "short")
    )
    assert (
        long == short and (pictures(tmp_path / "long")[0] == pictures(tmp_path / "short")[0]).all()
    )


def test_a_picture_depends_on_seed_and_index_alone(study: Path, tmp_path: Path) -> None:
    generate(study, tmp_path / "five")
    generate(study, tmp_path / "nine", n=9, batch_size=8)
    generate(study, tmp_path / "other", seed=1)
    five, nine, other = (pictures(tmp_path / name) for name in ("five", "nine", "other"))
    assert all((a == b).all() for a, b in zip(five, nine, strict=False))
    assert not (five[0] == other[0]).all()


def test_an_interrupted_generate_goes_on(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latentdrift.sample import synthetic_cohort

    generate(study, tmp_path / "whole")
    keep = synthetic_cohort.ImageStore.keep
    kept = []

    def stop_at_the_third(sheet, index, picture, **how):
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(index)
        keep(sheet, index, picture, **how)

    monkeypatch.setattr(synthetic_cohort.ImageStore, "keep", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        generate(study, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    later: list[int] = []
    monkeypatch.setattr(
        synthetic_cohort.ImageStore,
        "keep",
        lambda sheet, index, picture, **how: (
            later.append(index),
            keep(sheet, index, picture, **how),
        ),
    )
    generate(study, tmp_path / "cut")
    assert not set(kept) & set(later)
    assert all(
        (a == b).all()
        for a, b in zip(pictures(tmp_path / "whole"), pictures(tmp_path / "cut"), strict=True)
    )


def test_drift_reaches_the_pixels(study: Path, tmp_path: Path) -> None:
    for name, drift in (("none", "none"), ("zero", "0"), ("some", "0.5")):
        generate(study, tmp_path / name, drift=drift, n=1)
    none, zero, some = (pictures(tmp_path / name)[0] for name in ("none", "zero", "some"))
    assert (none == zero).all() and not (none == some).all()


def edit(study: Path, source: Path, out: Path, **options: object) -> dict:
    asked = {"set": ("diagnosis=dementia", "age=90"), "steps": 4, "guidance": 3.0, **options}
    return service.run(
        "edit",
        config.EditOptions(adapter=str(study / "run"), source=source, out=out, **asked),
        quiet=True,
    )


def test_an_edit_that_does_as_good_as_nothing_is_said(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scan = study / "scans" / "scans" / "P0001_1.nii.gz"
    known = ("age=70", "sex=F", "diagnosis=no dementia")
    edit(study, scan, tmp_path / "same", given=known, guidance=0.0)
    (message,) = [
        message for message in caplog.messages if "No edit changed more than 1 %" in message
    ]
    assert "the largest change: 0.0 %" in message and "70 year old" in message
    caplog.clear()
    edit(study, scan, tmp_path / "other", given=known, guidance=30.0, strength=1.0)
    assert not [
        message for message in caplog.messages if "No edit changed more than 1 %" in message
    ]


def test_detail_reaches_the_pixels_and_is_the_default_of_editors_that_invert(
    study: Path, tmp_path: Path
) -> None:
    scan = study / "scans" / "scans" / "P0001_1.nii.gz"
    known = ("age=70", "sex=F", "diagnosis=no dementia")
    made = {}
    for name, how in {"default": {}, "on": {"detail": True}, "off": {"detail": False}}.items():
        edit(study, scan, tmp_path / name, given=known, **how)
        folder = tmp_path / name / "000000"
        made[name] = np.asarray(Image.open(folder / "counterfactual.png")).astype(int)
        assert json.loads((folder / "record.json").read_text())["detail"] is (name != "off")
    assert np.array_equal(made["default"], made["on"]) and not np.array_equal(
        made["on"], made["off"]
    )
    edit(study, scan, tmp_path / "noise", given=known, editor="sdedit")
    assert (
        json.loads((tmp_path / "noise" / "000000" / "record.json").read_text())["detail"] is False
    )


def test_edit_of_a_nifti_keeps_its_grid(study: Path, tmp_path: Path) -> None:
    scan = study / "scans" / "scans" / "P0001_1.nii.gz"
    edit(study, scan, tmp_path / "edit", given=("age=70", "sex=F", "diagnosis=no dementia"))
    folder = tmp_path / "edit" / "000000"
    assert {
        "original.png",
        "reconstruction.png",
        "counterfactual.png",
        "difference.png",
        "record.json",
    } <= {p.name for p in folder.iterdir()}
    source = nibabel.load(scan)
    made = nibabel.load(folder / "counterfactual.nii.gz")
    assert made.shape == source.shape and np.allclose(made.affine, source.affine)
    assert made.get_data_dtype() == source.get_data_dtype()
    assert b"synthetic" in made.header["descrip"].tobytes()
    said = json.loads((folder / "record.json").read_text())
    assert (
        "90 year old female with dementia" in said["target_prompt"]
        and "70 year old female" in said["source_prompt"]
    )
    assert "P0001" not in (folder / "record.json").read_text()


def test_an_edit_replaces_none_of_another_image(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = ("age=70", "sex=F", "diagnosis=no dementia")
    out = tmp_path / "edit"
    first, second = (study / "scans" / "scans" / f"P0001_{visit}.nii.gz" for visit in (1, 2))
    edit(study, first, out, given=known)
    before = (out / "000000" / "record.json").read_bytes()
    with pytest.raises(InputError, match="000000 holds an edit of another image"):
        edit(study, second, out, given=known)
    assert (out / "000000" / "record.json").read_bytes() == before
    caplog.set_level("INFO")
    edit(study, first, out, given=known, steps=5)
    assert "1 of 1 edits" in caplog.text and "settings differ: steps" in caplog.text
    assert json.loads((out / "000000" / "record.json").read_text())["steps"] == 5


@pytest.mark.parametrize("editor", ["ddim", "sdedit"])
def test_edit_of_a_cohort_is_restartable_and_replays(
    study: Path, tmp_path: Path, editor: str
) -> None:
    edit(
        study,
        study / "cohort",
        tmp_path / "edits",
        limit=2,
        split="train",
        editor=editor,
        set=("age=90",),
    )
    first = {
        p.parent.name: p.stat().st_mtime_ns for p in (tmp_path / "edits").glob("*/record.json")
    }
    edit(
        study,
        study / "cohort",
        tmp_path / "edits",
        limit=2,
        split="train",
        editor=editor,
        set=("age=90",),
    )
    assert (
        first
        == {p.parent.name: p.stat().st_mtime_ns for p in (tmp_path / "edits").glob("*/record.json")}
        and len(first) == 2
    )
    again = service.run(
        "replay",
        config.ReplayOptions(record=tmp_path / "edits", out=tmp_path / "again"),
        quiet=True,
    )
    assert again["same"] and again["files"] == 10
    edit(
        study,
        study / "cohort",
        tmp_path / "edits",
        limit=1,
        split="train",
        editor=editor,
        set=("age=90",),
    )
    own = json.loads((tmp_path / "edits" / "record.json").read_text())["results"]["outputs"]
    assert len(own) == 5 and len({Path(name).parent for name in own}) == 1


def test_patients_whom_the_change_does_not_concern_are_left_out(
    study: Path, tmp_path: Path
) -> None:
    ill = Cohort.load(study / "cohort").table["diagnosis"] == "dementia"
    made = edit(study, study / "cohort", tmp_path / "edits", set=("diagnosis=dementia",), steps=1)
    assert made["images"] == (~ill).sum() > 0 and ill.sum() > 0


def test_generate_replays(study: Path, tmp_path: Path) -> None:
    generate(study, tmp_path / "made", n=2)
    assert service.run(
        "replay", config.ReplayOptions(record=tmp_path / "made", out=tmp_path / "again"), quiet=True
    )["same"]


def test_fit_replays(study: Path, tmp_path: Path) -> None:
    assert service.run(
        "replay", config.ReplayOptions(record=study / "run", out=tmp_path / "again"), quiet=True
    )["same"]


def test_a_fit_with_a_budget_keeps_its_steps_in_resume_and_replay(
    study: Path, tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock on which a step takes 10 s, and after the run began, 20 s."""
    durations = Durations(8, 2, 0, 0, 0, 0, 0)
    monkeypatch.setattr(cost_estimate, "_measured", lambda *_: durations)
    monkeypatch.setattr(service, "time_spent", lambda *_: 15.0)
    plain = fit_options(study, tiny_base_folder).model_dump(exclude={"steps"}, exclude_unset=True)

    def fit(budget: str) -> dict:
        options = config.FitOptions(**{**plain, "out": tmp_path / "run", "budget": budget})
        return service.run("fit", options, quiet=True)

    assert not fit("1min")["already finished"]
    recorded = record.read(tmp_path / "run")["options"]
    assert (recorded["budget"], recorded["steps"], recorded["method"]) == ("1min", 4, "full")
    durations = Durations(18, 2, 0, 0, 0, 0, 0)
    assert fit("1min")["already finished"]
    with pytest.raises(OptionError, match=r"other settings: budget \(1min there, 2min now\)"):
        fit("2min")
    replaying = config.ReplayOptions(record=tmp_path / "run", out=tmp_path / "again")
    assert service.run("replay", replaying, quiet=True)["same"]
    assert len(list((tmp_path / "again" / "checkpoints").iterdir())) == 2


def test_an_import_does_not_replay(study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="known to replay: fit, generate, edit"):
        service.run(
            "replay",
            config.ReplayOptions(record=study / "cohort-private", out=tmp_path / "again"),
            quiet=True,
        )


def test_evaluate_reports(study: Path, tmp_path: Path) -> None:
    generate(study, tmp_path / "made", n=6)
    edit(study, study / "cohort", tmp_path / "edits", limit=2, set=("age=90",))
    asked = config.EvaluateOptions(
        real=study / "cohort",
        synthetic=tmp_path / "made",
        split="train",
        edits=tmp_path / "edits",
        out=tmp_path / "report",
        bootstrap=10,
    )
    service.run("evaluate", asked, quiet=True)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    for name in ("frechet.pocket", "kid.pocket", "copies", "ssim.counterfactual"):
        assert {"value", "ci", "n", "floor"} <= report["metrics"][name].keys()
    assert list((tmp_path / "report" / "cache").glob("*.npy"))
    page = (tmp_path / "report" / "report.html").read_text()
    assert "data:image/png" in page and "http://" not in page.replace("http://www.w3.org", "")


def test_dry_runs_cost_and_write_nothing(
    study: Path, tmp_path: Path, tiny_base_folder: Path
) -> None:
    cost = dry_run.run("fit", fit_options(study, tiny_base_folder))
    assert cost["trainable_parameters"] > 0 and cost["seconds"] > 0
    cost = dry_run.run(
        "generate",
        config.GenerateOptions(
            adapter=str(study / "run"), prompt=("a brain MRI",), out=tmp_path / "x", n=3, steps=5
        ),
    )
    assert cost["images"] == 3 and cost["seconds"] > 0
    cost = dry_run.run(
        "edit",
        config.EditOptions(
            adapter=str(study / "run"), source=study / "cohort", set=("age=90",), out=tmp_path / "y"
        ),
    )
    assert "90 year old" in cost["target_prompt"]
    assert not list(tmp_path.iterdir())


def test_mistakes_are_sentences(study: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="age lies between 0 and 120"):
        edit(study, study / "cohort", tmp_path / "e", set=("age=-3",))
    with pytest.raises(OptionError, match=r"unknown diagnosis 'demencia'.*did you mean 'dementia'"):
        edit(study, study / "cohort", tmp_path / "e", set=("diagnosis=demencia",))
    with pytest.raises(
        OptionError, match="unknown editor 'ddmi'; known: controlnet, ddim, diffedit"
    ):
        edit(study, study / "cohort", tmp_path / "e", editor="ddmi")
    with pytest.raises(OptionError, match="nothing to draw"):
        generate(study, tmp_path / "g", like=None, split=None)
    with pytest.raises(OptionError, match="one per latent channel"):
        generate(study, tmp_path / "g", drift="0.1,0.2")
    with pytest.raises(AdapterError, match="not an adapter"):
        service.run(
            "generate",
            config.GenerateOptions(
                adapter=str(study / "cohort"), prompt=("x",), out=tmp_path / "g"
            ),
        )


def test_an_adapter_refuses_another_base(study: Path, tmp_path: Path, tiny_v_folder: Path) -> None:
    with pytest.raises(AdapterError, match="does not fit"):
        generate(study, tmp_path / "g", base=str(tiny_v_folder))


def test_a_preview_reports_each_of_its_images(tiny_base_folder: Path) -> None:
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    seen: list[tuple[int, int]] = []
    pictures = service._preview(
        base, Drift(), None, ["a", "b"], None, lambda *counts: seen.append(counts), seed=0
    )
    assert len(pictures) == 2 and seen == [(0, 2), (1, 2), (2, 2)]


def test_demo_never_deletes_a_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(InputError, match="was not made by a demo"):
        service.run("demo", config.DemoOptions(out=tmp_path), quiet=True)
    assert (tmp_path / "precious").exists()


def test_the_command_line_reaches_the_verbs(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "generate",
        str(study / "run"),
        "--prompt",
        "a brain MRI",
        "--n",
        "1",
        "--steps",
        "2",
        "--out",
        str(tmp_path / "g"),
        "--json",
    ]
    assert main.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 1


def test_edit_of_a_dicom_writes_a_derived_synthetic_object(study: Path, tmp_path: Path) -> None:
    import pydicom
    from pydicom.data import get_testdata_file

    scan = get_testdata_file("CT_small.dcm")
    edit(study, Path(scan), tmp_path / "edit", given=("age=70",), set=("age=90",))
    source = pydicom.dcmread(scan)
    made = pydicom.dcmread(tmp_path / "edit" / "000000" / "counterfactual.dcm")
    assert list(made.ImageType) == ["DERIVED", "SECONDARY"] and made.SyntheticData == "YES"
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID not in (
        source.SOPInstanceUID,
        made.SOPInstanceUID,
    )
    assert (made.Rows, made.Columns, made.PixelSpacing) == (
        source.Rows,
        source.Columns,
        source.PixelSpacing,
    )
    assert not made.PatientName and not made.PatientID


def test_outside_of_a_mask_every_pixel_stays(study: Path, tmp_path: Path) -> None:
    """A volume's own format, and a mask that is a volume, too: the slice that is edited, value for
    value."""
    scan = study / "scans" / "scans" / "P0001_1.nii.gz"
    volume = nibabel.load(scan)
    inside = np.zeros(volume.shape[:3], np.uint8)
    inside[20:40, 20:40] = 1
    nibabel.save(nibabel.Nifti1Image(inside, volume.affine), tmp_path / "mask.nii.gz")
    how = {"given": ("age=70", "diagnosis=no dementia"), "editor": "inpaint", "strength": 1.0}
    edit(study, scan, tmp_path / "edit", mask=tmp_path / "mask.nii.gz", **how)
    folder = tmp_path / "edit" / "000000"
    made = nibabel.load(folder / "counterfactual.nii.gz")
    grid = np.linalg.inv(made.affine) @ volume.affine  # where the written slice lies in the volume
    assert np.allclose(grid[:2, :2], np.eye(2)) or made.shape[:2] == volume.shape[:2]
    source = np.asarray(Image.open(folder / "original.png")).astype(int)
    for name in ("reconstruction", "counterfactual"):
        changed = np.asarray(Image.open(folder / f"{name}.png")).astype(int) != source
        rows, columns = np.where(changed)
        assert changed.any() and rows.max() - rows.min() < 20 and columns.max() - columns.min() < 20
    said = json.loads((folder / "record.json").read_text())
    assert len(said["mask"]) == 64 and "mask.nii" not in (folder / "record.json").read_text()


def test_a_mask_of_a_picture_keeps_its_values_to_the_bit(study: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (48, 40), dtype=np.uint8)
    mask = np.zeros_like(values)
    mask[10:30, 5:25] = 255
    Image.fromarray(values).save(tmp_path / "picture.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    edit(
        study,
        tmp_path / "picture.png",
        tmp_path / "edit",
        given=("age=70",),
        mask=tmp_path / "mask.png",
        window="full",
    )
    made = np.asarray(Image.open(tmp_path / "edit" / "000000" / "counterfactual.png"))
    assert (made[mask == 0] == values[mask == 0]).all() and (
        made[mask > 0] != values[mask > 0]
    ).mean() > 0.5


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((5, 5), np.uint8), r"has the shape \(5, 5\)"),
        (np.zeros((48, 40), np.uint8), "all of it is 0"),
    ],
)
def test_a_mask_that_does_not_fit_is_a_sentence(
    study: Path, tmp_path: Path, mask: np.ndarray, message: str
) -> None:
    Image.fromarray(np.zeros((48, 40), np.uint8)).save(tmp_path / "picture.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=message):
        edit(
            study,
            tmp_path / "picture.png",
            tmp_path / "e",
            given=("age=70",),
            mask=tmp_path / "mask.png",
            editor="inpaint",
        )
    assert not (tmp_path / "e").exists()


def test_options_that_do_not_go_together_are_sentences(study: Path, tmp_path: Path) -> None:
    wrong = [
        ({"editor": "inpaint"}, "give one with `mask=FILE`"),
        ({"editor": "sdedit", "inversion": "ddim"}, "`inversion` has no part in editor 'sdedit'"),
        ({"editor": "sdedit", "inversions": tmp_path / "kept"}, "inverts no image"),
        (
            {"editor": "ddim", "local_blend": True},
            "`local_blend` has no part in editor 'ddim', but in prompt",
        ),
        ({"editor": "ddim", "mask_edge": 5.0}, "`mask_edge` says how a mask ends"),
        (
            {"editor": "ddim", "image_guidance": 3.0},
            "`image_guidance` has no part in editor 'ddim', but in instruct-pix2pix",
        ),
    ]
    for options, message in wrong:
        with pytest.raises(OptionError, match=message):
            edit(study, study / "cohort", tmp_path / "e", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("editor", ["ledits", "pix2pix-zero"])
def test_editors_are_told_of_changes_in_their_own_way(
    study: Path, tmp_path: Path, editor: str
) -> None:
    scan = study / "scans" / "scans" / "P0001_1.nii.gz"
    edit(study, scan, tmp_path / "edit", given=("age=70", "diagnosis=no dementia"), editor=editor)
    said = json.loads((tmp_path / "edit" / "000000" / "record.json").read_text())
    if editor == "ledits":
        ill, older = said["parts"]
        assert "90" in older and "no dementia" in older and "70" in ill and "with dementia" in ill
    else:
        before, after = said["sentences"]
        assert len(set(before)) == len(set(after)) == 8
        assert all("70" in text for text in before) and all("90" in text for text in after)


def test_inversions_are_kept_beside_the_edits_and_found_again(study: Path, tmp_path: Path) -> None:
    scan = study / "scans" / "scans" / "P0001_1.nii.gz"
    how = {"given": ("age=70", "diagnosis=no dementia")}
    edit(study, scan, tmp_path / "one", **how)
    (kept,) = (tmp_path / "one" / "cache").glob("*.safetensors")
    for editor in ("ddim", "prompt-to-prompt"):
        edit(study, scan, tmp_path / editor, editor=editor, inversions=tmp_path / "kept", **how)
    (shared,) = (tmp_path / "kept").glob("*.safetensors")
    assert shared.name == kept.name and shared.read_bytes() == kept.read_bytes()
    edit(study, scan, tmp_path / "set", set=("age=60",), inversions=tmp_path / "kept", **how)
    assert len(list((tmp_path / "kept").iterdir())) == 1  # what it is changed to has no part in it


def test_import_and_inspect_name_a_prompt_of_the_cohort(study: Path, tmp_path: Path) -> None:
    """The prompt of the first training image, in words of its row."""
    shutil.copytree(study / "cohort", tmp_path / "cohort")
    table = pd.read_csv(tmp_path / "cohort" / "metadata.csv")
    first = table.index[table["split"] == "train"][0]
    row = {"age": 71.0, "sex": "F", "diagnosis": "dementia", "view": "axial"}
    table.loc[first, list(row)] = list(row.values())
    table.to_csv(tmp_path / "cohort" / "metadata.csv", index=False)
    inspecting = config.InspectOptions(cohort=tmp_path / "cohort", out=tmp_path / "page")
    found = service.run("inspect", inspecting, quiet=True)
    assert found["example prompt"] == "an axial brain MRI of a 71 year old female with dementia"

    scans = study / "scans"
    importing = config.ImportOptions(
        source=scans, table=scans / "table.csv", map=scans / "map.yaml", out=tmp_path / "again"
    )
    imported = service.run("import", importing, quiet=True)
    cohort = Cohort.load(tmp_path / "again")
    options = config.FitOptions(cohort=cohort.folder, out=tmp_path / "run")
    examples = of_rows(cohort, "train", options, cohort.describe, 32)
    assert imported["example prompt"] == examples[0].caption

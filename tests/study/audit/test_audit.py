"""Membership inference: a model that learned eight images by heart is found out, one that never saw
them is not."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import short_fit
from gaussian import sd_schedule
from infos import info_of
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter

from latentdrift import config, service
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches.latent_cache import Moments
from latentdrift.cli import dry_run
from latentdrift.data.cohort.cohort import Cohort, write_cohort
from latentdrift.data.phantom import phantom
from latentdrift.errors import CohortError, OptionError
from latentdrift.evaluate.privacy.membership_inference import Losses, membership, verdict
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift
from latentdrift.model.model import Model
from latentdrift.resampling import Resampling
from latentdrift.study.audit.audit import losses
from latentdrift.study.drift.conditioning import CohortConditioning

MEMBERS = 8
OTHERS = 32


def random_cohort(folder: Path, seed: int) -> Cohort:
    """Pictures that have nothing in common, one per patient: MEMBERS to train on, OTHERS beside
    them."""
    fields = gaussian_filter(
        np.random.default_rng(seed).normal(size=(MEMBERS + OTHERS, 32, 32)), (0, 2, 2)
    )
    pixels = np.clip(128 + 60 * fields / fields.std(), 0, 255).astype(np.uint8)
    splits = ["train"] * MEMBERS + ["test"] * OTHERS
    rows = [
        {"patient": f"p{seed}-{i}", "split": split, "sex": "FM"[i % 2]}
        for i, split in enumerate(splits)
    ]
    return write_cohort(folder, zip(pixels, rows, strict=True), {"describe": "brain MRI"})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Path:
    """Two cohorts of different people, and a fit on the first that is too short to learn anything
    by heart."""
    folder = tmp_path_factory.mktemp("audit")
    mine = random_cohort(folder / "mine", 0)
    _ = random_cohort(folder / "other", 1)
    short_fit(tiny_base_folder, mine, folder / "run", method="full")
    return folder


def audit(study: Path, cohort: str) -> dict:
    asked = {"draws": 8, "bootstrap": 200, "precision": "fp32", "device": "cpu"}
    out = study / f"audit-{cohort}"
    service.run(
        "audit",
        config.AuditOptions(adapter=str(study / "run"), cohort=study / cohort, out=out, **asked),
        quiet=True,
    )
    return json.loads((out / "audit.json").read_text())


class Known:
    """A base whose network is the exact denoiser of some latents, each as likely: what learning
    them by heart comes to."""

    device = torch.device("cpu")
    schedule = sd_schedule()

    def __init__(self, latents: torch.Tensor) -> None:
        self.latents = latents

    def embed(self, prompts: list[str]) -> Conditioning:
        return Conditioning(torch.zeros(len(prompts), 1, 1))

    def with_images(self, text: Conditioning, images: object) -> Conditioning:
        return text

    def denoiser(self):
        def denoise(xt: torch.Tensor, t: torch.Tensor, context: Conditioning) -> torch.Tensor:
            """E[eps | xt] = (xt - a E[x0 | xt]) / s, x0 by Bayes among the latents."""
            a, s = (scale.reshape(-1, 1) for scale in self.schedule.scales(t, xt))
            x = xt.flatten(1)
            known = self.latents.flatten(1)
            likely = (-((x[:, None] - a[..., None] * known) ** 2).sum(2) / (2 * s**2)).softmax(1)
            return ((x - a * (likely @ known)) / s).reshape(xt.shape)

        return denoise


def known_losses(latents: np.ndarray, learned: np.ndarray) -> np.ndarray:
    options = config.AuditOptions(adapter="", cohort=Path(), out=Path(), draws=8)
    base: Any = Known(torch.from_numpy(learned))
    model = Model(base, Drift(), info_of(), base_schedule=base.schedule)
    moments = Moments(latents, np.zeros_like(latents))
    return losses(
        model,
        moments,
        CohortConditioning(dict.fromkeys(range(len(latents)), "")),
        options,
        lambda *_: None,
    )


def test_what_was_learned_by_heart_is_found_out() -> None:
    """The exact denoiser of eight latents against that of many others: the eight are told from 32,
    and eight new ones are not."""
    generator = np.random.default_rng(0)
    mine, others, new, public = (
        generator.normal(0, 1, (n, 4, 4, 4)).astype(np.float32) for n in (8, 32, 8, 100)
    )
    member = np.arange(MEMBERS + OTHERS) < MEMBERS
    for eight, low, high in ((mine, 0.99, 1.0), (new, 0.25, 0.75)):
        latents = np.concatenate([eight, others])
        found = membership(
            Losses(member, known_losses(latents, mine), known_losses(latents, public)),
            Resampling(200),
        )
        assert all(low <= found.scores[name].auc <= high for name in ("ratio", "loss"))
        assert (verdict(found)[0] == "red") == (eight is mine)


def brains(folder: Path, seed: int) -> Cohort:
    """Phantom patients, MEMBERS of them to train on."""
    spec = phantom.kind_of("brain")
    rows = phantom.cohort_table("brain", MEMBERS + OTHERS, 1, seed)
    found = []
    for number, row in enumerate(rows):
        unit = spec.render(row.subject, row.attributes, visit=1, size=64).clip(0, 1)
        kept = {
            "patient": f"{seed}-{number}",
            "split": "train" if number < MEMBERS else "test",
            "age": row.attributes.age,
            "sex": row.attributes.sex,
        }
        found.append((np.rint(unit * 255).astype(np.uint8), kept))
    return write_cohort(folder, found, {"describe": "brain MRI"})


@pytest.mark.slow
def test_a_fit_that_learned_eight_images_by_heart_is_found_out(tmp_path: Path) -> None:
    """The same of a network that was trained: the pocket base, eight phantoms, 150 steps; it knows
    nothing of eight others."""
    mine = brains(tmp_path / "mine", 0)
    _ = brains(tmp_path / "other", 1)
    craft = {
        "steps": 150,
        "batch_size": 8,
        "resolution": 64,
        "caption_dropout": 0.0,
        "checkpoint_every": 150,
    }
    short_fit("pocket", mine, tmp_path / "run", method="full", drift="none", **craft)
    told = audit(tmp_path, "mine")
    other = audit(tmp_path, "other")
    assert (
        told["ratio"]["auc"] > 0.99
        and told["loss"]["auc"] > 0.99
        and told["verdict"]["colour"] == "red"
    )
    assert (
        other["ratio"]["ci"][0] < 0.5 < other["ratio"]["ci"][1]
        and other["verdict"]["colour"] != "red"
    )


def test_a_short_fit_betrays_nobody_and_the_page_says_so(study: Path) -> None:
    told = audit(study, "mine")
    assert (
        told["ratio"]["ci"][0] < 0.5 < told["ratio"]["ci"][1]
        and told["matches"]
        and told["verdict"]["colour"] != "red"
    )
    assert told["patients"] == {"members": MEMBERS, "others": OTHERS} == told["images"]
    attack = ["patients", "images", "loss", "ratio", "means"]
    inputs = ["draws", "seed", "cohort", "matches", "method", "shown", "base"]
    assert list(told) == ["verdict", *attack, *inputs, "losses"]
    assert list(told["losses"][0]) == ["image", "member", "adapted", "base"]
    assert sum(row["member"] for row in told["losses"]) == MEMBERS
    page = (study / "audit-mine" / "audit.html").read_text()
    assert told["verdict"]["sentence"] in html.unescape(page) and "no differential privacy" in page
    assert not [
        name for name in Cohort.load(study / "mine").table["patient"] if f">{name}<" in page
    ]


def test_another_cohort_is_told_from_the_adapters_own(study: Path) -> None:
    told = audit(study, "other")
    assert not told["matches"] and told["verdict"]["colour"] != "red"
    assert "trained on another cohort" in (study / "audit-other" / "audit.html").read_text()


def test_the_same_audit_gives_the_same_numbers(study: Path, tmp_path: Path) -> None:
    asked = {
        "adapter": str(study / "run"),
        "cohort": study / "mine",
        "draws": 4,
        "bootstrap": 10,
        "precision": "fp32",
    }
    for name in ("a", "b"):
        service.run(
            "audit", config.AuditOptions(out=tmp_path / name, device="cpu", **asked), quiet=True
        )
    assert (tmp_path / "a" / "audit.json").read_text() == (
        tmp_path / "b" / "audit.json"
    ).read_text()


def test_a_finished_audit_is_not_computed_again(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "run", tmp_path / "run")
    options = config.AuditOptions(
        adapter=str(tmp_path / "run"),
        cohort=study / "mine",
        out=tmp_path / "audit",
        draws=4,
        bootstrap=10,
        precision="fp32",
        device="cpu",
    )
    first = service.run("audit", options, quiet=True)
    made = (tmp_path / "audit" / "audit.json").stat().st_mtime_ns
    assert "already finished" not in first
    assert service.run("audit", options, quiet=True) == {**first, "already finished": True}
    assert (tmp_path / "audit" / "audit.json").stat().st_mtime_ns == made

    more = options.model_copy(update={"draws": 5})
    assert "already finished" not in service.run("audit", more, quiet=True)
    weights = METHODS["full"].file_in(tmp_path / "run" / "adapter")
    tensors = load_file(weights)
    changed = {name: tensor * 1.01 for name, tensor in tensors.items()}
    with safe_open(weights, "pt") as file:
        save_file(changed, weights, metadata=file.metadata())
    assert "already finished" not in service.run("audit", more, quiet=True)
    (tmp_path / "audit" / "audit.html").unlink()
    assert "already finished" not in service.run("audit", more, quiet=True)
    assert service.run("audit", more, quiet=True)["already finished"]


def test_bases_and_one_sided_cohorts_are_refused(
    study: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    asked = {"cohort": study / "mine", "out": tmp_path / "out"}
    with pytest.raises(OptionError, match="is a base, and was trained on no cohort of yours"):
        service.run(
            "audit", config.AuditOptions(adapter=str(tiny_base_folder), **asked), quiet=True
        )
    table = (study / "other" / "metadata.csv").read_text().replace(",test,", ",train,")
    folder = tmp_path / "all"
    (folder / "images").mkdir(parents=True)
    for file in (study / "other").rglob("*.*"):
        (folder / file.relative_to(study / "other")).write_bytes(file.read_bytes())
    (folder / "metadata.csv").write_text(table)
    with pytest.raises(CohortError, match="40 training and 0 other images; an audit"):
        service.run(
            "audit",
            config.AuditOptions(adapter=str(study / "run"), **{**asked, "cohort": folder}),
            quiet=True,
        )


def test_a_dry_run_counts_and_times_an_audit_and_writes_nothing(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds: all images are encoded once, and their losses measured under two models."""
    options = config.AuditOptions(
        adapter=str(study / "run"),
        cohort=study / "mine",
        out=study / "planned",
        draws=32,
        precision="fp32",
        device="cpu",
    )
    times = iter([0.5, 2.0])  # of encoding an image, of 8 losses of one
    monkeypatch.setattr("latentdrift.study.audit.audit._seconds", lambda work: next(times))
    planned = dry_run.run("audit", options)
    images = MEMBERS + OTHERS
    assert (planned["images"], planned["training_images"]) == (images, MEMBERS)
    assert planned["seconds"] == images * (0.5 + 2 * 2.0 * 32 / 8)
    assert not (study / "planned").exists()


def test_a_dry_run_measures_and_refuses_as_the_audit_does(study: Path) -> None:
    options = config.AuditOptions(
        adapter=str(study / "run"),
        cohort=study / "mine",
        out=study / "planned",
        precision="fp32",
        device="cpu",
    )
    assert dry_run.run("audit", options)["seconds"] > 0
    a_base = options.model_copy(update={"adapter": "pocket"})
    for run in (dry_run.run, service.run):
        with pytest.raises(OptionError, match="is a base, and was trained on no cohort"):
            run("audit", a_base)

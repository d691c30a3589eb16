"""Conditioning of a cohort's images: as in training, with hints and earlier visits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from fits import short_fit

from latentdrift import config, service
from latentdrift.adapt.training.batches.latent_cache import latents
from latentdrift.adapt.training.batches.row_cache import CacheRoot
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.service import load_model
from latentdrift.study.audit.audit import losses
from latentdrift.study.drift.conditioning import CohortConditioning


@pytest.mark.parametrize("method", ["controlnet", "instruct-pix2pix"])
def test_what_a_network_is_shown_in_training_it_is_shown_here(
    method: str, tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    """The loss of an image whose source or hint is another's is another; pictures without one are
    not asked of."""
    cohort = Cohort.load(tiny_cohort_folder)
    hint = {"hint": "earlier"} if method == "controlnet" else {}
    short_fit(
        tiny_base_folder,
        cohort,
        tmp_path / "run",
        method=method,
        steps=4,
        learning_rate=0.1,
        drift="0.1",
        **hint,
    )
    asked = config.AuditOptions(
        adapter=str(tmp_path / "run"),
        cohort=cohort.folder,
        out=tmp_path / "out",
        draws=4,
        bootstrap=10,
        precision="fp32",
    )
    found = service.run("audit", asked, quiet=True)
    told = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (
        found["patients"] == {"members": 4, "others": 2} == told["images"]
    )  # of two visits the later one
    assert {row["image"] for row in told["losses"]} == {f"{row:04d}" for row in range(1, 12, 2)}
    assert (
        told["shown"] in (tmp_path / "out" / "audit.html").read_text()
        and told["shown"] != "nothing"
    )

    model = load_model(asked)
    moments = latents(model.base, cohort, 32, CacheRoot(tmp_path / "cache"))
    seen = CohortConditioning.of(model, cohort, moments)
    prompt = seen.prompts[3]
    assert (
        prompt.startswith("Age this 61 years old")
        if method == "instruct-pix2pix"
        else "62 year old" in prompt
    )
    before = torch.from_numpy(cohort.batch(cohort.rows().iloc[[2]], 32))
    (shown,) = seen.image_inputs(3)
    expected = (
        model.base.source(model.base.moments(before)[0])
        if method == "instruct-pix2pix"
        else (before + 1) / 2
    )
    torch.testing.assert_close(shown.expand_as(expected), expected, rtol=0, atol=1e-5)
    right, wrong = (
        losses(
            model,
            moments,
            CohortConditioning({3: prompt}, lambda _, row=row: seen.image_inputs(row)),
            asked,
            lambda *_: None,
        )
        for row in (3, 7)
    )
    assert abs(right - wrong).max() > 1e-6
    assert right == pytest.approx(
        next(r["adapted"] for r in told["losses"] if r["image"] == "0003")
    )

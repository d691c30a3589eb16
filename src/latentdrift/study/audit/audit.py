"""`audit`: whether an adapter's loss betrays whom it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.optimization.losses import denoising_loss
from latentdrift.config import AuditOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.display import html_report
from latentdrift.errors import CohortError, OptionError
from latentdrift.evaluate.privacy.membership_inference import SCORES, Losses, membership, verdict
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.model import Model
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling
from latentdrift.seeds import generator
from latentdrift.study.drift.conditioning import CohortConditioning
from latentdrift.study.drift.drift_report import write_json

AT_A_TIME = 8  # draws that go through the network together
MEMBER = "#d1603d"
OTHER = "#4878a8"


def losses(
    model: Model,
    moments: latent_cache.Moments,
    conditioning: CohortConditioning,
    options: AuditOptions,
    report: ProgressCallback,
) -> np.ndarray:
    """Mean denoising loss of each conditioned image [N].

    The times are the same for every image and model. The noise of an image is the same for every
    model.

    Args:
        model: Model whose loss is measured.
        moments: Latents of the images; the model predicts their means.
        conditioning: Prompt and image inputs of each image.
        options: Number of draws, and the seed.
        report: Callback (done, all) for the images.
    """
    base = model.base
    drift = model.drift
    length = base.schedule.length
    draws = options.draws
    t = ((torch.arange(draws) + 0.5) / draws * length).long()
    loss_values = np.empty(len(conditioning.prompts))
    with torch.inference_mode():
        for place, (index, prompt) in enumerate(conditioning.prompts.items()):
            x0 = moments.means([index]).expand(draws, -1, -1, -1)
            eps = torch.randn(x0.shape, generator=generator(options.seed, "audit", index))
            denoiser = drift.wrap_training(base.denoiser(), base.schedule, [prompt])
            read = base.with_images(base.embed([prompt]), conditioning.image_inputs(index))
            parts = []
            for first in range(0, draws, AT_A_TIME):
                span = slice(first, min(first + AT_A_TIME, draws))
                clean, noise, times = (value[span].to(base.device) for value in (x0, eps, t))
                values = denoising_loss(
                    denoiser, base.schedule, clean, noise, times, read.expand(len(times))
                )
                parts.append(values)
            loss_values[place] = torch.cat(parts).double().mean().item()
            report(place + 1, len(conditioning.prompts))
    return loss_values


def audit(
    model: Model,
    load_base: Callable[[AdapterInfo], Model],
    cohort: Cohort,
    options: AuditOptions,
    report: ProgressCallback,
) -> dict[str, Any]:
    """Contents of audit.json.

    Args:
        model: The adapted model.
        load_base: Loads the adapter's base, alone.
        cohort: Cohort of the adapter: its train split are members, the other splits are not.
        options: Options of the audit.
        report: Callback (done, all) for the images.

    Raises:
        OptionError: A base alone.
        CohortError: No images on one side, or none that can be conditioned as in training.
    """
    if model.is_base:
        raise OptionError(
            f"{options.adapter} is a base, and was trained on no cohort of yours; give a run or an "
            "adapter"
        )
    moments = latent_cache.latents(model.base, cohort, model.info.side, options.out / "cache")
    conditioning = CohortConditioning.of(model, cohort, moments)
    table = cohort.rows().loc[list(conditioning.prompts)]
    member = _members(table, cohort)
    base_model = load_base(model.info).about(cohort)
    adapted_losses = losses(model, moments, conditioning, options, report)
    base_conditioning = CohortConditioning.of(base_model, cohort, moments).only(
        list(conditioning.prompts)
    )
    base_losses = losses(base_model, moments, base_conditioning, options, report)
    patients = list(table["patient"]) if table["patient"].notna().all() else None
    attack = membership(
        Losses(member, adapted_losses, base_losses, patients),
        Resampling(options.bootstrap, options.seed),
    )
    colour, sentence = verdict(attack)
    trained_on = model.info.cohort.fingerprint if model.info.cohort else None
    return {
        "verdict": {"colour": colour, "sentence": sentence},
        **attack,
        "draws": options.draws,
        "seed": options.seed,
        "cohort": cohort.fingerprint,
        "matches": trained_on == cohort.fingerprint,
        "method": model.info.method,
        "shown": model.base.shows,
        "base": {"name": model.base.name, "hash": model.base.hash},
        "losses": _loss_rows(table, member, adapted_losses, base_losses),
    }


def _members(table: pd.DataFrame, cohort: Cohort) -> np.ndarray:
    """Whether each image of the table was in the train split, bool [N].

    Raises:
        CohortError: All images were, or none.
    """
    member = (table["split"] == "train").to_numpy()
    if member.all() or not member.any():
        raise CohortError(
            f"cohort {cohort.folder} has {int(member.sum())} training and "
            f"{int((~member).sum())} other images; an audit compares the two and needs "
            "both; import it with another `split`"
        )
    result: np.ndarray = member
    return result


def _loss_rows(
    table: pd.DataFrame, member: np.ndarray, adapted_losses: np.ndarray, base_losses: np.ndarray
) -> list[dict[Hashable, Any]]:
    """One row per image: name without folder and suffix, membership, and both losses."""
    columns = {
        "image": [Path(name).stem for name in table["file_name"]],
        "member": member,
        "adapted": adapted_losses,
        "base": base_losses,
    }
    result: list[dict[Hashable, Any]] = pd.DataFrame(columns).to_dict("records")
    return result


OTHERS = (
    "The adapter was trained on another cohort or split. The images that this audit "
    "counts as training images may not be training images."
)
WORDS = (
    "An attacker who has the adapter and an image measures how well the model predicts "
    "that image, at {draws} timesteps and with the same noise for every model. The area "
    "under the curve is the probability that a training patient's score is higher than "
    "another patient's. This is one attack, and a weak one. If it fails, privacy is not "
    "proven, and there is no differential privacy."
)
BESIDE = (
    " As in training, the adapter receives {shown} beside noise and text, from the visit "
    "before or the image itself. Images without it are left out. The base receives only "
    "the image's prompt."
)
AREAS = "0.5: no better than by chance; 1: always right. The 95 % intervals resample patients."
MEANS = (
    "Mean losses. A difference between training images and others that the base does not "
    "have was memorised in training."
)
APART = (
    "How far training has lowered the loss of each image. Where the two colours separate, "
    "training images can be recognised."
)


def write_audit(out: Path, results: Mapping[str, Any]) -> None:
    """Write audit.json and audit.html, with the verdict, the numbers and the distributions of
    losses.

    Args:
        out: Folder that exists.
        results: From `audit`.
    """
    colour = results["verdict"]["colour"]
    sentence = results["verdict"]["sentence"]
    lights: list[tuple[str, html_report.Colour, str]] = [
        ("Who was in the training set?", colour, sentence)
    ]
    if not results["matches"]:
        lights.append(("The adapter's own cohort?", "red", OTHERS))
    areas = [
        {
            "score": title,
            "area under the curve": results[name]["auc"],
            "95 % interval": "{:.3f} to {:.3f}".format(*results[name]["ci"])
            if results[name]["ci"]
            else None,
            "by chance with probability": results[name]["p"],
        }
        for name, title in SCORES.items()
    ]
    means = [{"model": name, **values} for name, values in results["means"].items()]
    blocks = [
        html_report.lights(lights),
        html_report.text(
            WORDS.format(draws=results["draws"])
            + (BESIDE.format(**results) if results["shown"] != "nothing" else "")
        ),
        html_report.table(areas, AREAS),
        html_report.table(means, MEANS),
    ]
    write_json(out / "audit.json", results)
    html_report.write_page(
        out / "audit.html",
        "Does the adapter reveal its training patients?",
        [*blocks, html_report.picture(_histogram(results["losses"]), APART)],
    )


def _histogram(rows: Any) -> Any:
    drawing, (ax,) = html_report.figure(width=5.6, height=2.4)
    member = np.array([row["member"] for row in rows])
    score = np.array([np.log(row["base"] / row["adapted"]) for row in rows])
    bins = np.linspace(score.min() - 1e-9, score.max() + 1e-9, 31)
    for mask, colour, label in (
        (~member, OTHER, "other patients"),
        (member, MEMBER, "training patients"),
    ):
        ax.hist(
            score[mask],
            bins=bins,
            weights=np.full(mask.sum(), 1 / mask.sum()),
            color=colour,
            alpha=0.6,
            label=label,
        )
    ax.set_xlabel("log (loss of the base / loss of the adapted model)", fontsize=8)
    ax.set_ylabel("share of images", fontsize=8)
    ax.legend(fontsize=8, frameon=False)
    return drawing

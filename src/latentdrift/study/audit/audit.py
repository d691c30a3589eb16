"""`audit`: whether an adapter's loss betrays whom it was trained on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.row_cache import CacheRoot
from latentdrift.adapt.training.optimization.losses import denoising_loss
from latentdrift.config import AuditOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.display import html_report
from latentdrift.errors import CohortError, OptionError
from latentdrift.evaluate.privacy.membership_inference import (
    SCORES,
    Losses,
    Membership,
    membership,
    verdict,
)
from latentdrift.model.adapter_info import AdapterInfo, BaseInfo
from latentdrift.model.model import Model
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling
from latentdrift.seeds import generator
from latentdrift.storage import write_json
from latentdrift.study.drift.conditioning import CohortConditioning

AT_A_TIME = 8  # draws that go through the network together
MEMBER = "#d1603d"
OTHER = "#4878a8"


@dataclass(frozen=True)
class ImageLoss:
    """Losses of an image under both models."""

    image: str
    """Name of its file, without folder and suffix."""
    member: bool
    """Whether it is in the train split."""
    adapted: float
    base: float


@dataclass(frozen=True)
class AuditResult:
    """Result of a membership inference attack on an adapter."""

    colour: html_report.Colour
    sentence: str
    """Verdict in words."""
    membership: Membership
    draws: int
    """Timesteps behind each loss."""
    seed: int
    cohort: str
    """Fingerprint of the audited cohort."""
    matches: bool
    """Whether the adapter was trained on this cohort."""
    method: str | None
    shown: str
    """Input of the adapter beside noise and text: "nothing" where it has none."""
    base: BaseInfo
    """Name and hash."""
    losses: list[ImageLoss]

    def to_dict(self) -> dict[str, Any]:
        """Content of audit.json."""
        return {
            "verdict": {"colour": self.colour, "sentence": self.sentence},
            **self.membership.to_dict(),
            "draws": self.draws,
            "seed": self.seed,
            "cohort": self.cohort,
            "matches": self.matches,
            "method": self.method,
            "shown": self.shown,
            "base": self.base.to_dict(),
            "losses": [asdict(row) for row in self.losses],
        }


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
) -> AuditResult:
    """Attack an adapter by membership inference.

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
    _require_adapter(model, options)
    root = CacheRoot(options.out / "cache")
    moments = latent_cache.latents(model.base, cohort, model.info.side, root)
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
    return AuditResult(
        colour=colour,
        sentence=sentence,
        membership=attack,
        draws=options.draws,
        seed=options.seed,
        cohort=cohort.fingerprint,
        matches=trained_on == cohort.fingerprint,
        method=model.info.method,
        shown=model.base.shows,
        base=BaseInfo(name=model.base.name, hash=model.base.hash),
        losses=_loss_rows(table, member, adapted_losses, base_losses),
    )


def _require_adapter(model: Model, options: AuditOptions) -> None:
    """Raises OptionError: A base alone."""
    if model.is_base:
        raise OptionError(
            f"{options.adapter} is a base, and was trained on no cohort of yours; give a run or an "
            "adapter"
        )


@dataclass(frozen=True)
class AuditCost:
    """Work of an audit.

    Attributes:
        images: Images whose losses are measured, under the adapter and under its base.
        members: Those of the train split.
        seconds: Time of encoding all images of the cohort and of all losses.
    """

    images: int
    members: int
    seconds: float


def audit_cost(model: Model, cohort: Cohort, options: AuditOptions) -> AuditCost:
    """Estimate an audit: one image is encoded, and a few of its losses are measured.

    Args:
        model: The adapted model.
        cohort: Cohort of the adapter.
        options: Options of the audit.

    Raises:
        OptionError, CohortError: As `audit` raises.
    """
    _require_adapter(model, options)
    blank = torch.zeros(1, 3, model.info.side, model.info.side)
    encoding = _seconds(lambda: model.base.moments(blank))
    mean, std = (np.asarray(part.float().cpu()) for part in model.base.moments(blank))
    images = len(cohort.rows())
    moments = latent_cache.Moments(
        *(np.broadcast_to(part, (images, *part.shape[1:])) for part in (mean, std))
    )
    conditioning = CohortConditioning.of(model, cohort, moments)
    rows = list(conditioning.prompts)
    member = _members(cohort.rows().loc[rows], cohort)
    few = options.model_copy(update={"draws": min(AT_A_TIME, options.draws)})
    one = conditioning.only(rows[:1])
    measuring = _seconds(lambda: losses(model, moments, one, few, lambda done, total: None))
    models = 2  # the adapter and its base
    seconds = images * encoding + models * len(rows) * measuring * options.draws / few.draws
    return AuditCost(len(rows), int(member.sum()), seconds)


def _seconds(work: Callable[[], object]) -> float:
    """Wall time of the second of two calls; the first one warms up."""
    work()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


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
) -> list[ImageLoss]:
    """Losses of each image of the table."""
    columns = zip(table["file_name"], member, adapted_losses, base_losses, strict=True)
    return [
        ImageLoss(Path(name).stem, bool(is_member), float(adapted), float(base))
        for name, is_member, adapted, base in columns
    ]


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


def write_audit(out: Path, result: AuditResult) -> None:
    """Write audit.json and audit.html, with the verdict, the numbers and the distributions of
    losses.

    Args:
        out: Folder that exists.
        result: Result of `audit`.
    """
    lights: list[tuple[str, html_report.Colour, str]] = [
        ("Who was in the training set?", result.colour, result.sentence)
    ]
    if not result.matches:
        lights.append(("The adapter's own cohort?", "red", OTHERS))
    areas = []
    for name, title in SCORES.items():
        separation = result.membership.scores[name]
        areas.append(
            {
                "score": title,
                "area under the curve": separation.auc,
                "95 % interval": "{:.3f} to {:.3f}".format(*separation.ci)
                if separation.ci
                else None,
                "by chance with probability": separation.p,
            }
        )
    means = [{"model": name, **asdict(mean)} for name, mean in result.membership.means.items()]
    blocks = [
        html_report.lights(lights),
        html_report.text(
            WORDS.format(draws=result.draws)
            + (BESIDE.format(shown=result.shown) if result.shown != "nothing" else "")
        ),
        html_report.table(areas, AREAS),
        html_report.table(means, MEANS),
    ]
    write_json(out / "audit.json", result.to_dict())
    html_report.write_page(
        out / "audit.html",
        "Does the adapter reveal its training patients?",
        [*blocks, html_report.picture(_histogram(result.losses), APART)],
    )


def _histogram(rows: Sequence[ImageLoss]) -> Any:
    drawing, (ax,) = html_report.figure(width=5.6, height=2.4)
    member = np.array([row.member for row in rows])
    score = np.array([np.log(row.base / row.adapted) for row in rows])
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

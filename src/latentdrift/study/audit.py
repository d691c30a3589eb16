"""`audit`: whether an adapter's loss betrays whom it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from latentdrift import page
from latentdrift.adapt import cache
from latentdrift.adapt.losses import denoising_loss
from latentdrift.config import AuditOptions
from latentdrift.data.cohort import Cohort
from latentdrift.errors import CohortError, OptionError
from latentdrift.evaluate.membership import SCORES, Losses, membership, verdict
from latentdrift.progress import Report
from latentdrift.seeds import generator
from latentdrift.study.results import write_json
from latentdrift.study.subject import Subject, check_method

AT_A_TIME = 8  # draws that go through the network together
MEMBER, OTHER = "#d1603d", "#4878a8"


def losses(
    subject: Subject, moments: cache.Moments, prompts: Mapping[int, str], options: AuditOptions, report: Report
) -> np.ndarray:
    """Mean loss of each image [N] over the same times and, per image, the same noise for every model.

    Args:
        subject: Whose loss.
        moments: Latents of the N images; their means are what is predicted.
        prompts: What the model is told of each.
        options: How many draws, and the seed.
        report: Told (done, all) images.
    """
    base, drift = subject.base, subject.drift
    length, draws = base.schedule.length, options.draws
    t = ((torch.arange(draws) + 0.5) / draws * length).long()
    found = np.empty(len(prompts))
    with torch.inference_mode():
        for index, prompt in prompts.items():
            x0 = moments.means([index]).expand(draws, -1, -1, -1)
            eps = torch.randn(x0.shape, generator=generator(options.seed, "audit", index))
            denoiser, context = drift.wrap_training(base.denoiser(), base.schedule, [prompt]), base.embed([prompt])
            parts = []
            for first in range(0, draws, AT_A_TIME):
                span = slice(first, min(first + AT_A_TIME, draws))
                clean, noise, times = (value[span].to(base.device) for value in (x0, eps, t))
                shown = context.expand(len(times), -1, -1)
                parts.append(denoising_loss(denoiser, base.schedule, clean, noise, times, shown))
            found[index] = torch.cat(parts).double().mean().item()
            report(index + 1, len(prompts))
    return found


def audit(
    subject: Subject, without: Callable[[Mapping[str, Any]], Subject], cohort: Cohort, options: AuditOptions, report: Report
) -> dict[str, Any]:
    """What audit.json says.

    Args:
        subject: The adapted model.
        without: adapter.json -> its base alone.
        cohort: The adapter's: its train split are members, the others not.
        options: What is asked.
        report: Told (done, all) images.

    Raises:
        OptionError: A base alone, or a network that is shown more than text.
        CohortError: No images on one side.
    """
    if subject.info["method"] is None:
        raise OptionError(f"{options.adapter} is a base, and was trained on no cohort of yours; give a run or an adapter")
    check_method(subject.info["method"])
    table = cohort.rows()
    member = (table["split"] == "train").to_numpy()
    if member.all() or not member.any():
        raise CohortError(
            f"cohort {cohort.folder} has {int(member.sum())} training and {int((~member).sum())} other images, and an audit "
            "compares the two; import it with another --split"
        )
    resolution, known = subject.info["resolution"], bool(table["patient"].notna().all())
    rows = table.to_dict("records")
    measured = {}
    for name in ("adapted", "base"):
        asked = subject if name == "adapted" else without(subject.info).about(cohort)
        moments = cache.latents(asked.base, cohort, resolution, options.out / "cache")
        measured[name] = losses(asked, moments, asked.prompts_of(rows), options, report)
    table_of_losses = Losses(member, measured["adapted"], measured["base"], list(table["patient"]) if known else None)
    found = membership(table_of_losses, bootstrap=options.bootstrap, seed=options.seed)
    colour, sentence = verdict(found)
    fingerprint = subject.info.get("cohort", {}).get("fingerprint")
    return {
        "verdict": {"colour": colour, "sentence": sentence},
        **found,
        "draws": options.draws,
        "seed": options.seed,
        "cohort": cohort.fingerprint,
        "matches": fingerprint == cohort.fingerprint,
        "method": subject.info["method"],
        "base": {"name": subject.base.name, "hash": subject.base.hash},
        "losses": pd.DataFrame(
            {"image": [Path(name).stem for name in table["file_name"]], "member": member, **measured}
        ).to_dict("records"),
    }  # fmt: skip


OTHERS = "The adapter says that it was trained on another cohort or split: whom this audit takes for members may be none."
WORDS = (
    "An attacker with the adapter and a picture asks how well the model predicts that picture, at {draws} times of the schedule "
    "and with noise that is the same for every model. The area under the curve is the chance that a training patient's score is "
    "higher than another patient's. This is one attack, and a weak one: that it fails is no proof, and no differential privacy."
)
AREAS = "0.5: no better than by chance; 1: always right. Patients are resampled."
MEANS = "Mean losses. A gap between members and others that the base has not is what was learned by heart."
APART = "How far the fit has lowered the loss of each image. Where the two colours part, members can be told."


def write_audit(out: Path, told: Mapping[str, Any]) -> None:
    """audit.json, and audit.html: the verdict, the numbers, how the losses lie."""
    colour, sentence = told["verdict"]["colour"], told["verdict"]["sentence"]
    lights: list[tuple[str, page.Colour, str]] = [("Who was in the training set?", colour, sentence)]
    if not told["matches"]:
        lights.append(("The adapter's own cohort?", "red", OTHERS))
    areas = [
        {
            "score": title,
            "area under the curve": told[name]["auc"],
            "95 % interval": "{:.3f} to {:.3f}".format(*told[name]["ci"]) if told[name]["ci"] else None,
            "by chance with probability": told[name]["p"],
        }
        for name, title in SCORES.items()
    ]
    means = [{"model": name, **values} for name, values in told["means"].items()]
    blocks = [
        page.lights(lights),
        page.text(WORDS.format(draws=told["draws"])),
        page.table(areas, AREAS),
        page.table(means, MEANS),
    ]
    write_json(out / "audit.json", told)
    page.write_page(
        out / "audit.html", "Does the adapter betray its patients?", [*blocks, page.picture(_histogram(told["losses"]), APART)]
    )


def _histogram(rows: Any) -> Any:
    drawing, (ax,) = page.figure(width=5.6, height=2.4)
    member = np.array([row["member"] for row in rows])
    score = np.array([np.log(row["base"] / row["adapted"]) for row in rows])
    bins = np.linspace(score.min() - 1e-9, score.max() + 1e-9, 31)
    for mask, colour, label in ((~member, OTHER, "other patients"), (member, MEMBER, "training patients")):
        ax.hist(score[mask], bins=bins, weights=np.full(mask.sum(), 1 / mask.sum()), color=colour, alpha=0.6, label=label)
    ax.set_xlabel("log (loss of the base / loss of the adapted model)", fontsize=8)
    ax.set_ylabel("share of images", fontsize=8)
    ax.legend(fontsize=8, frameon=False)
    return drawing

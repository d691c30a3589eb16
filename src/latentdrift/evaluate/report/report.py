"""Everything that is known about a set of synthetic images, as one dictionary, report.json and
report.html.

report.json (schema 1):
    metrics.<name>   {value, ci: [low, high] (95 %) or null, n: {real, synthetic, ...}, floor}; names: each row of DISTANCES as
                     `<row>.<space>`, read in their order: `kid`, `precision`, `recall`, `density`,
                     `coverage`, `mifid` (where no training patient is among the real ones),
                     `frechet`; `nearest.<space>`, `nearest.pixel`, `copies`, `duplicates`; where
                     patients have several visits, `recognised.` and `closer.` with <space> or
                     `pixel`; `ssim`, `ms-ssim`, `psnr` and, with SqueezeNet features,
                     `lpips-unweighted`, of `nearest`, `reconstruction` and `counterfactual`;
                     `ms-ssim.within` and `lpips-unweighted.within`, how alike the images of a set
                     are. Distances add floor_ci, floor_n and matched (the value at the floor's
                     number of images); KID its subsets; what looks at neighbours its k; `.within`
                     floor_ci. `c2st.<space>`: area under the ROC curve of a classifier of real and
                     synthetic images (0.5: no difference); floor is that between two halves of the
                     real patients
    spaces.<space>   dimension and resize protocol of a feature space
    realism.<space>  critics of anatomy, see `realism.Realism`: n; controls.<row of CONTROLS> title, auc, auc_ci, told, position
                     (of the synthetic set: 0 at real, 1 at ruined images) and position_ci; beyond
                     and beyond_ci (share of the synthetic images beyond 95 % of the real ones);
                     unseen, undecided and nearer, titles of controls; intervals of fewer than 3
                     different synthetic images (`n.different`) are null; or reason, a sentence that
                     says why nothing is judged
    map.<space>      the first two principal components of the real features, of real and synthetic images
    edits            one row per edit: name, detail (whether the change alone was put on the image itself), patient_known,
                     similarities
    utility          with `utility`: classes (what is learned), groups that it parts images into, network, measure (AUC or
                     Dice), chance (without looking), steps, repeats; tested.images and .patients,
                     of each group; arms.<name> value (mean over seeds), ci, sd over seeds, trained
                     (pictures of each group in each stage), difference and difference_ci from the
                     arm `real`, augmented_difference and its _ci from `real, augmented`, with
                     `gan_steps` gan_difference and its _ci from `real + GAN`, and where `by` has
                     values subgroups, gap, gap_ci; curves.<arm>, its value over n synthetic images;
                     warnings
    alignment        with `alignment`: judged.<attribute or attribute=value> n, verdict, and metrics `mae`, `r`, `bias` of
                     numbers, `auc`, `accuracy` (balanced) of classes: value, ci, ceiling and
                     ceiling_ci (held-out real images), floor and floor_range (labels shuffled);
                     left_out; rules (see `rules.rules`); retrieval (see `retrieval.py`; null where
                     images or prompts are too few): scorer, prompts (how many are ranked), among
                     (how many a choice is made from), n, metrics `first`, `third`, `rank` (value,
                     ci, ceiling, ceiling_ci, floor, floor_range; blind: images withheld),
                     attributes.<name>.contradicted and .withheld, the same and n; curve, the share
                     of the images whose prompt is among the best x of all; worst
    card             with `edits`, see `card.py`: patients; kinds.<change>, its number of edits; effectiveness, rows with
                     change, judged, n, patients, moved, and of a number asked, share (1: all of
                     what was asked), share_ceiling (what the judges see of a real difference),
                     error, of a class reached and reached_ci; untouched, the same of the originals,
                     and ceiling, of held-out real images; composition, and minimality's change,
                     area (of pixels that change by more than truth.CHANGED) and outside (of the
                     mask), as shares of the intensity range; collateral.columns, .unit (one of
                     each), .unit_of, .rows.<change> cells {value, ci, share, share_ci, asked,
                     beyond}; identity.<space>; realism, rows with change, features, n, value, ci,
                     floor, floor_ci, matched and original (KID to real images that have the
                     target); follow_ups (see `interventions.py`), or null; reversibility;
                     subgroups.<value>, rows as of effectiveness; worst.<by>
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.evaluate.critics.anatomy_critics import Judge, judge_of
from latentdrift.evaluate.images import subgroups
from latentdrift.evaluate.images.image_sets import ImageSet
from latentdrift.evaluate.metrics import feature_metrics
from latentdrift.evaluate.metrics.diversity import diversity
from latentdrift.evaluate.metrics.image_similarity import WINDOW, read_edits
from latentdrift.evaluate.privacy import pairwise_metrics
from latentdrift.evaluate.privacy.copy_detection import find_copies, find_duplicates, planted
from latentdrift.evaluate.privacy.reidentification import recognition
from latentdrift.evaluate.report.downstream_lights import judge_answers
from latentdrift.evaluate.report.report_sections import draw_blocks
from latentdrift.evaluate.report.report_style import ordered, title
from latentdrift.evaluate.report.report_warnings import about_edits, about_numbers, about_sets
from latentdrift.evaluate.report.traffic_lights import judge_lights
from latentdrift.evaluate.statistics.bootstrap import part_of, rng
from latentdrift.html_report import write_page
from latentdrift.storage import write_text

SCHEMA = 1
ALIKE = ("ms-ssim", "lpips-unweighted")  # rows that say how alike the images of one set are
SEARCHED = 2000  # pictures of a set that copies are looked for in; of larger sets a random part

Features = Mapping[str, Callable[[np.ndarray], np.ndarray]]


def evaluate(
    real: ImageSet,
    synthetic: ImageSet,
    train: ImageSet | None,
    features: Features,
    bootstrap: int = 200,
    seed: int = 0,
    edits: Path | None = None,
    by: str | None = None,
    judges: Mapping[str, Judge | str] | None = None,
) -> dict[str, Any]:
    """Judge synthetic images against held-out real ones.

    Args:
        real: the reference, best of patients that no training has seen.
        synthetic: what is judged.
        train: where copies are looked for; None if nobody knows what the model was trained on.
        features: label -> feature space, e.g. from `features.load_features`.
        bootstrap: resamples behind each interval.
        seed: of everything random.
        edits: a folder that `edit` made.
        by: an attribute of both sets, for whose values distances are given one by one.
        judges: label -> judge of realism, or why there is none; default: learned here, by
            `realism_judges`.

    Returns:
        The contents of report.json.

    Raises:
        OptionError: `by` is no attribute of both sets.
    """
    how = {"bootstrap": bootstrap, "seed": seed}
    parts, few = subgroups.shared(real, synthetic, by) if by else ({}, [])
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "n": {"real": len(real), "synthetic": len(synthetic)},
        **how,
    }
    report |= {
        "metrics": {},
        "spaces": {},
        "realism": {},
        "map": {},
        "warnings": about_sets(real, synthetic, train) + few,
    }
    if by:
        values = {
            v: {"n": {"real": len(a), "synthetic": len(b)}, "metrics": {}}
            for v, (a, b) in parts.items()
        }
        report["by"] = {"column": by, "values": values}
    judges = judges or realism_judges(real, train, features, **how)
    every = {}
    for label, space in features.items():
        vectors = feature_metrics.Vectors.of(label, space, real, synthetic, train)
        report["spaces"][label] = {
            "dimension": vectors.real.shape[1],
            "protocol": getattr(space, "protocol", "not stated"),
        }
        metrics, few = feature_metrics.distances(vectors, real.patients, synthetic.patients, **how)
        report["metrics"] |= metrics
        report["realism"][label], metrics = _realism(label, judges[label], synthetic)
        report["metrics"] |= metrics
        report["warnings"] += few
        for value, (ours, theirs) in parts.items():
            patients, whose = real.take(ours).patients, synthetic.take(theirs).patients
            some = vectors.take(ours, theirs)
            report["by"]["values"][value]["metrics"] |= feature_metrics.distances(
                some, patients, whose, **how
            )[0]
        if train is not None:
            report["metrics"] |= feature_metrics.keeps_distance(
                vectors, real, synthetic, train, **how
            )
        every[label] = vectors
        report["map"][label] = feature_metrics.chart(vectors, seed)
    rows = pairwise_metrics.rows_of(features)
    if min(*real.images.shape[1:3], *synthetic.images.shape[1:3]) >= WINDOW:
        alike = {
            f"{name}.within": diversity(real, synthetic, name, rows[name], **how)
            for name in ALIKE
            if name in rows
        }
        report["metrics"] |= {name: metric for name, metric in alike.items() if metric}
    held_out, asked = (
        part_of(len(images), SEARCHED, rng(seed, "searched", i))
        for i, images in enumerate((real, synthetic))
    )
    usual = real.take(held_out)
    searched = synthetic.take(asked)
    if train is not None:
        found = find_copies(usual, searched, train, bootstrap=bootstrap, seed=seed)
        report["metrics"] |= found.metrics | pairwise_metrics.neighbours(
            usual, searched, train, found, rows, **how
        )
        spaces = {label: vectors.take(held_out, asked) for label, vectors in every.items()}
        report["metrics"] |= recognition(usual, searched, train, found, spaces, **how)
        report["copies"] = found.details | {"planted": planted(train, found.yardstick, seed)}
    if min(len(real), len(synthetic)) > 1:
        report["metrics"]["duplicates"], report["duplicates"] = find_duplicates(usual, searched)
    if len(searched) < len(synthetic):
        what = "Duplicates" if train is None else "Copies and duplicates"
        report["warnings"].append(
            f"{what} were looked for in {len(searched)} of the {len(synthetic)} synthetic images, "
            "taken at random; `latentdrift generate --gate` looks at every one."
        )
    if edits is not None:
        report["edits"], metrics = pairwise_metrics.edits(edits, real, rows, **how)
        report["metrics"] |= metrics
        report["warnings"] += about_edits(report["edits"])
    report["warnings"] += about_numbers(report)
    report["lights"] = judge_lights(report)
    return report


def realism_judges(
    real: ImageSet, train: ImageSet | None, features: Features, *, bootstrap: int, seed: int
) -> dict[str, Judge | str]:
    """A judge of realism in each feature space, or why there is none; one serves any number of
    synthetic sets."""
    return {
        label: judge_of(real, train, space, bootstrap=bootstrap, seed=seed)
        for label, space in features.items()
    }


def _realism(
    label: str, judge: Judge | str, synthetic: ImageSet
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a judge says of a set, and the metrics that follow from it."""
    if isinstance(judge, str):
        return {"reason": judge}, {}
    views = judge.views(synthetic)
    found = judge(views)
    test = judge.two_sample(views)
    if test is None:
        return found.to_dict(), {}
    n = {"real": found.n["real"], "synthetic": found.n["synthetic"]}
    metric = {"value": test.auc, "ci": test.ci, "n": n, "floor": test.floor}
    return found.to_dict(), {f"c2st.{label}": metric}


def evaluate_all(
    real: ImageSet,
    made: Mapping[str, ImageSet],
    train: ImageSet | None,
    features: Features,
    edits: Path | None,
    **how: Any,
) -> dict[str, Any]:
    """The report on the set `synthetic`, with further ones, judged against the same real images, at
    its side.

    Args:
        real, train, features, edits, how: as for `evaluate`.
        made: `synthetic`, and further sets by name.
    """
    judges = realism_judges(
        real, train, features, bootstrap=how.get("bootstrap", 200), seed=how.get("seed", 0)
    )
    report, *others = (
        evaluate(
            real, images, train, features, edits=edits if place == 0 else None, judges=judges, **how
        )
        for place, images in enumerate(made.values())
    )
    if not others:
        return report
    kept = ("n", "metrics", "realism", "lights", "warnings", "by")
    names = list(made)[1:]
    report["compared"] = {
        n: {part: o[part] for part in kept if part in o} for n, o in zip(names, others, strict=True)
    }
    sizes = {name: len(images) for name, images in made.items()}
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"{name} {n}" for name, n in sizes.items())
        words = (
            f"The synthetic sets differ in size ({each}), and scores with it: draw as many of each "
            "before calling one better."
        )
        report["warnings"].insert(0, words)
    return report


def joined(report: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """The report with the answers of `questions.Questions`, and their lights."""
    lights = [*report["lights"], *judge_answers(answers)]
    return {
        **report,
        **answers,
        "lights": lights,
        "warnings": [*report["warnings"], *answers["warnings"]],
    }


def scores_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a model card says of a report: the size of the sets, the lights, and each measure; no
    name of an image or patient."""
    kept = ("value", "ci", "floor", "n")
    metrics = {
        name: {"title": title(name), **{part: metric[part] for part in kept}}
        for name, metric in ordered(report["metrics"]).items()
        if metric["value"] is not None
    }
    lights = [[question, colour] for question, colour, _ in report["lights"]]
    return {"n": dict(report["n"]), "seed": report["seed"], "lights": lights, "metrics": metrics}


def write_report(
    out: Path,
    report: Mapping[str, Any],
    pictures: Mapping[str, ImageSet],
    edits: Path | None = None,
) -> Path:
    """Write report.json and the self-contained report.html, and return the latter's path.

    Args:
        out: the folder.
        report: from `evaluate`.
        pictures: `real` and `synthetic`, `train` where copies were looked for, and further sets by
            name.
        edits: the folder of edits that was judged.
    """
    write_text(out / "report.json", json.dumps(report, indent=1, allow_nan=False))
    write_page(
        out / "report.html",
        "Are the synthetic images any good?",
        draw_blocks(report, pictures, read_edits(edits) if edits else []),
    )
    return out / "report.html"

"""Everything that is known about a set of synthetic images, as one dictionary, report.json and report.html.

report.json (schema 1):
    metrics.<name>   {value, ci: [low, high] (95 %) or null, n: {real, synthetic, ...}, floor}; names: `frechet.<space>`,
                     `kid.<space>`, `nearest.<space>`, `nearest.pixel`, `copies`, `duplicates`, and where patients
                     have several visits `recognised.` and `closer.` with <space> or `pixel`; and `ssim.` and `psnr.`
                     with `nearest`, `reconstruction` and `counterfactual`.
                     Distances add floor_ci, floor_n and matched (the value at the floor's number of images); KID its subsets.
    spaces.<space>   dimension and resize protocol of a feature space
    lights           [label, colour, sentence], the summary      warnings   sentences
    copies           threshold, held_out similarities, how many planted copies are found, and for each synthetic image its nearest
                     training image
    duplicates       threshold and pairs of synthetic images that repeat one another
    map.<space>      the first two principal components of the real features, of real and synthetic images
    edits            one row per edit
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.errors import InputError
from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.bootstrap import groups, mean_interval, rng
from latentdrift.evaluate.distances import DISTANCES, FRECHET_N, judge
from latentdrift.evaluate.identity import closer, repeats
from latentdrift.evaluate.overlay import nearest, structure
from latentdrift.evaluate.plots import draw_blocks
from latentdrift.evaluate.privacy import Copies, find_copies, find_duplicates, nearest_features, nearness, planted, same_patient
from latentdrift.evaluate.similarity import compare, read_edits
from latentdrift.evaluate.verdict import judge_lights
from latentdrift.page import write_page

SCHEMA = 1
MAP_POINTS = 500  # of each set, in the map
STRANGERS = 100  # random pairs of two real patients behind the floor of SSIM and PSNR

Features = Mapping[str, Callable[[np.ndarray], np.ndarray]]


def evaluate(
    real: ImageSet,
    synthetic: ImageSet,
    train: ImageSet | None,
    features: Features,
    bootstrap: int = 200,
    seed: int = 0,
    edits: Path | None = None,
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

    Returns:
        The contents of report.json.
    """
    n = {"real": len(real), "synthetic": len(synthetic)}
    report: dict[str, Any] = {"schema": SCHEMA, "n": n, "bootstrap": bootstrap, "seed": seed}
    report |= {"metrics": {}, "spaces": {}, "map": {}, "warnings": _about_sets(real, synthetic, train)}
    vectors = {}
    for label, space in features.items():
        ours, theirs = _vectors(label, space, real), _vectors(label, space, synthetic)
        report["spaces"][label] = {"dimension": ours.shape[1], "protocol": getattr(space, "protocol", "not stated")}
        for name, row in DISTANCES.items():
            if min(len(real), len(synthetic)) < row.least:
                report["warnings"].append(f"{row.title} needs at least {row.least} images in each set and was left out.")
                continue
            report["metrics"][f"{name}.{label}"] = judge(row, ours, theirs, real.patients, bootstrap=bootstrap, seed=seed)
        if train is not None:
            known = _vectors(label, space, train)
            near, usual = nearest_features(theirs, known), nearest_features(ours, known, same_patient(real, train))
            report["metrics"][f"nearest.{label}"] = nearness(near.value, usual.value, len(train), bootstrap, seed)
            vectors[label] = ours, theirs, known
        report["map"][label] = _map(ours, theirs, rng(seed, "map", label))
    if train is not None:
        found = find_copies(real, synthetic, train, bootstrap=bootstrap, seed=seed)
        report["metrics"] |= found.metrics | _neighbours(real, synthetic, train, found, bootstrap, seed)
        report["metrics"] |= _identity(real, train, found, vectors, bootstrap, seed)
        report["copies"] = found.details | {"planted": planted(train, found.details["threshold"], seed)}
    if min(len(real), len(synthetic)) > 1:
        report["metrics"]["duplicates"], report["duplicates"] = find_duplicates(real, synthetic)
    if edits is not None:
        report["edits"], scores = _edits(edits, real, bootstrap, seed)
        report["metrics"] |= scores
    report["warnings"] += _about_numbers(report)
    report["lights"] = judge_lights(report)
    return report


def write_report(out: Path, report: Mapping[str, Any], pictures: Mapping[str, ImageSet], edits: Path | None = None) -> Path:
    """Write report.json and the self-contained report.html, and return the latter's path.

    Args:
        out: the folder.
        report: from `evaluate`.
        pictures: `real` and `synthetic`, and `train` where copies were looked for.
        edits: the folder of edits that was judged.
    """
    out.mkdir(parents=True, exist_ok=True)
    partial = out / ".report.json.partial"
    partial.write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
    os.replace(partial, out / "report.json")
    write_page(
        out / "report.html",
        "Are the synthetic images any good?",
        draw_blocks(report, pictures, read_edits(edits) if edits else []),
    )
    return out / "report.html"


def _vectors(label: str, space: Callable[[np.ndarray], np.ndarray], images: ImageSet) -> np.ndarray:
    vectors = np.asarray(space(images.images), dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != len(images):
        raise InputError(
            f"the features '{label}' of {len(images)} images have the shape {list(vectors.shape)}; one vector each is needed"
        )
    broken = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(broken):
        raise InputError(
            f"the {label} features of {len(broken)} images are not finite, first of {images.names[broken[0]]}; look at it"
        )
    return vectors


def _map(real: np.ndarray, synthetic: np.ndarray, generator: np.random.Generator) -> dict:
    """The plane in which the real features vary most, and where both sets lie in it."""
    mean = real.mean(0)
    _, scale, axes = np.linalg.svd(real - mean, full_matrices=False)
    share = np.square(scale) / max(np.square(scale).sum(), 1e-300)
    points = {}
    for name, x in (("real", real), ("synthetic", synthetic)):
        keep = generator.permutation(len(x))[:MAP_POINTS]
        flat = np.zeros((len(keep), 2))
        flat[:, : min(2, len(axes))] = (x[keep] - mean) @ axes[:2].T
        points[name] = flat.tolist()
    return points | {"explained": share[:2].tolist()}


def _neighbours(
    real: ImageSet, synthetic: ImageSet, train: ImageSet, found: Copies, bootstrap: int, seed: int
) -> dict[str, dict]:
    """SSIM and PSNR of each synthetic image and its nearest training image; floor: the same for held-out patients."""
    if len({images.images.shape[1:] for images in (real, synthetic, train)}) > 1 or min(real.images.shape[1:3]) < 11:
        return {}
    ours = compare(train.images[found.synthetic.index], synthetic.images)
    theirs = compare(train.images[found.real.index], real.images)
    n = {"real": len(real), "synthetic": len(synthetic), "train": len(train)}
    return {f"{name}.nearest": _mean(ours[name], theirs[name], n, bootstrap, seed) for name in ours}


def _identity(
    real: ImageSet,
    train: ImageSet,
    found: Copies,
    vectors: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    bootstrap: int,
    seed: int,
) -> dict[str, dict]:
    """How well each measure knows a patient again, and whether synthetic images come as near; nothing without repeat visits.

    Args:
        found: Nearest training images by pixels.
        vectors: Feature space -> features of the real, the synthetic and the training images.
    """
    again = repeats(real, train)
    if again is None:
        return {}
    metrics = {}
    for label, (ours, theirs, known) in vectors.items():
        asked, gallery = ours[again.query], np.concatenate([ours, known])
        metrics[f"recognised.{label}"] = again.recognised(nearest_features(asked, gallery, again.itself).index, bootstrap, seed)
        own = nearest_features(asked, gallery, ~again.same).value
        near, usual = nearest_features(theirs, known), nearest_features(ours, known, same_patient(real, train))
        metrics[f"closer.{label}"] = closer(-near.value, -own, -usual.value, bootstrap, seed)
    seen, all_real = structure(real.images[again.query]), structure(np.concatenate([real.images, train.images]))
    metrics["recognised.pixel"] = again.recognised(nearest(seen, all_real, again.itself).index, bootstrap, seed)
    visits = nearest(seen, all_real, ~again.same).value
    strangers = found.real.value[found.real.value > -1]
    metrics["closer.pixel"] = closer(found.synthetic.value, visits, strangers, bootstrap, seed)
    return metrics


def _edits(folder: Path, real: ImageSet, bootstrap: int, seed: int) -> tuple[list[dict], dict[str, dict]]:
    """SSIM and PSNR of the original against reconstruction and counterfactual; floor: two different real patients."""
    rows = []
    for edit in read_edits(folder):
        row: dict[str, Any] = {"name": edit["name"]}
        for other in ("reconstruction", "counterfactual"):
            scores = compare(edit["original"][None], edit[other][None])
            row |= {f"{name}.{other}": float(values[0]) for name, values in scores.items()}
        rows.append(row)
    units, generator = groups(len(real), real.patients), rng(seed, "strangers")
    pairs = generator.integers(len(real), size=(STRANGERS, 2))
    pairs = pairs[units[pairs[:, 0]] != units[pairs[:, 1]]]
    strangers = compare(real.images[pairs[:, 0]], real.images[pairs[:, 1]]) if min(real.images.shape[1:3]) >= 11 else {}
    metrics = {}
    for name in rows[0].keys() - {"name"}:
        floor = strangers.get(name.split(".")[0], np.empty(0))
        metrics[name] = _mean(
            np.array([row[name] for row in rows]), floor, {"edits": len(rows), "real": len(floor)}, bootstrap, seed
        )
    finite = [{key: None if value == float("inf") else value for key, value in row.items()} for row in rows]
    return finite, dict(sorted(metrics.items()))


def _mean(values: np.ndarray, floor: np.ndarray, n: dict, bootstrap: int, seed: int) -> dict:
    """The mean with its interval; identical pairs, of infinite PSNR, are counted instead."""
    finite, floor = values[np.isfinite(values)], floor[np.isfinite(floor)]
    return {
        "value": float(finite.mean()) if len(finite) else None,
        "ci": mean_interval(finite, groups(len(finite)), bootstrap, rng(seed, "mean")) if len(finite) else None,
        "n": n,
        "floor": float(floor.mean()) if len(floor) else None,
        "identical": int(np.isinf(values).sum()),
    }


def _about_sets(real: ImageSet, synthetic: ImageSet, train: ImageSet | None) -> list[str]:
    warnings = []
    if real.patients is None:
        warnings.append(
            "No patient is known for the real images: each counts as its own patient, and intervals may be too narrow."
        )
    elif len(set(real.patients)) < 20:
        warnings.append(f"The real images come from only {len(set(real.patients))} patients; intervals from so few are rough.")
    if real.images.shape[1:] != synthetic.images.shape[1:]:
        ours, theirs = ("x".join(map(str, images.images.shape[1:3])) for images in (real, synthetic))
        warnings.append(f"Real images are {ours}, synthetic ones {theirs}: a difference in sharpness counts as one in content.")
    flat = [name for name, image in zip(synthetic.names, synthetic.images, strict=True) if np.ptp(image) < 1e-6]
    if flat:
        warnings.append(f"Synthetic images of one flat colour: {len(flat)}, the first is {flat[0]}.")
    repeated = len(synthetic) - len({image.tobytes() for image in synthetic.images})
    if repeated:
        warnings.append(f"Synthetic images that repeat another one exactly: {repeated}.")
    if train is None:
        warnings.append("No training images were given, so copies were not looked for.")
    return warnings


def _about_numbers(report: Mapping[str, Any]) -> list[str]:
    warnings, fewest = [], min(report["n"].values())
    if fewest < FRECHET_N:
        warnings.append(
            f"Fréchet distances of fewer than {FRECHET_N} images (here {fewest}) are biased upwards and compare only at the same "
            "number: read KID first, and the Fréchet distance only beside its floor."
        )
    for label, space in report["spaces"].items():
        if fewest <= space["dimension"]:
            warnings.append(
                f"Fewer images ({fewest}) than {label} features ({space['dimension']}): the covariance is incomplete."
            )
    if report["spaces"] and "inception" not in report["spaces"]:
        warnings.append(
            f"Features: {', '.join(report['spaces'])}. Published distances use Inception and do not compare with these."
        )
    return warnings

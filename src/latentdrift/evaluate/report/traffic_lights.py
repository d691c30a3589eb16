"""Traffic lights: the report in a few sentences, each with the threshold that decided its
colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latentdrift.evaluate.critics.anatomy_critics import MOST_BEYOND, NEARER, ORDINARY
from latentdrift.evaluate.statistics.bootstrap import FEWEST

Light = tuple[str, str, str]

FEW = 50
ENOUGH = 2048  # images: below the first no distance says much; the second is Heusel et al. 2017
ALIKE = 1.5
FAR = 3.0  # Fréchet distance over real-vs-real at equal numbers
REACHED = 0.8
MISSED = 0.5  # coverage over that of real-vs-real at equal numbers (ours)
CLOSER = 0.9
TOO_CLOSE = 0.6  # distance to the nearest training image over that of held-out patients
KEEN = 0.9  # of planted copies that a search has to find before its silence means anything (ours)
REPEATED = 0.1  # of the synthetic images (ours)
FAITHFUL = 0.9
POOR = 0.75  # SSIM of a reconstruction


def judge_lights(report: Mapping[str, Any]) -> list[Light]:
    """One light for each question a reader has, in the order in which they ask."""
    lights = [_number(report["n"])]
    for label in report["spaces"]:
        fidelity = _fidelity(label, report["metrics"], report["realism"][label])
        lights += [fidelity, *_variety(label, report["metrics"], fidelity[1])]
    lights += [
        _copies(report),
        *_duplicates(report),
        *_closeness(report["metrics"]),
        *_reconstruction(report),
    ]
    return lights


def _number(n: Mapping[str, int]) -> Light:
    fewest = min(n.values())
    colour = "green" if fewest >= ENOUGH else "amber" if fewest >= FEW else "red"
    return (
        "Enough images?",
        colour,
        f"{n['real']} real and {n['synthetic']} synthetic images. Green from {ENOUGH:,} of each; "
        f"red below {FEW}, where only large differences can be seen.",
    )


def _fidelity(label: str, metrics: Mapping[str, Any], realism: Mapping[str, Any]) -> Light:
    """Red where either anatomy or distances are; green where both are; grey where either says
    nothing."""
    parts = (anatomy_light(realism), _distance(label, metrics))
    colours = {colour for colour, _ in parts}
    worst = next(colour for colour in ("red", "grey", "amber", "green") if colour in colours)
    return f"Like the real ones? ({label})", worst, " ".join(sentence for _, sentence in parts)


def anatomy_light(realism: Mapping[str, Any]) -> tuple[str, str]:
    """Colour and sentence of what critics of anatomy say."""
    if "reason" in realism:
        return "grey", realism["reason"]
    n = realism["n"]
    controls = realism["controls"]
    told = len(controls) - len(realism["unseen"])
    sentence = (
        f"Anatomy: {told} of {len(controls)} kinds of ruined real images are told from {n['real']} "
        f"real images of {n['patients']} patients; {realism['beyond']:.0%} of the synthetic images "
        f"lie beyond {ORDINARY:.0%} of the real ones (expected: {1 - ORDINARY:.0%})."
    )
    if realism["beyond_ci"] is None:
        return (
            "grey",
            f"{sentence} {FEWEST} different synthetic images are the least for a judgement.",
        )
    nearer = realism["nearer"]
    hidden = [*realism["unseen"], *realism["undecided"]]
    if nearer or realism["beyond_ci"][0] > NEARER:
        kind = (
            f" The set lies nearer to real images {nearer[0]} than to real images."
            if nearer
            else ""
        )
        return (
            "red",
            f"{sentence}{kind} Red when a kind of ruined images is surely nearer, or most images "
            "surely lie beyond.",
        )
    if hidden:
        return (
            "grey",
            f"{sentence} With so few images these kinds cannot be ruled out: real images "
            f"{'; '.join(hidden)}.",
        )
    positions = [control["position"] for control in controls.values()]
    ordinary = max(positions) <= NEARER and realism["beyond"] <= MOST_BEYOND
    rule = (
        "Green when no kind of ruined images is nearer than real ones, and at most "
        f"{MOST_BEYOND:.0%} lie beyond."
    )
    return "green" if ordinary else "amber", f"{sentence} {rule}"


def _distance(label: str, metrics: Mapping[str, Any]) -> tuple[str, str]:
    """Colour and sentence of what distances of pooled features say."""
    kid = metrics.get(f"kid.{label}")
    frechet = metrics.get(f"frechet.{label}")
    if (
        not kid
        or not frechet
        or kid["floor"] is None
        or kid["ci"] is None
        or frechet["floor"] is None
    ):
        return (
            "grey",
            "Distances: two halves of the real patients are needed to say how far apart real "
            "images are.",
        )
    ratio = frechet["matched"] / frechet["floor"] if frechet["floor"] > 0 else float("inf")
    overlap = kid["ci"][0] <= kid["floor_ci"][1]
    colour = (
        "green"
        if ratio <= ALIKE or (overlap and ratio <= FAR)
        else "amber"
        if ratio <= FAR
        else "red"
    )
    seen = "cannot be told from" if overlap else "can be told from"
    return (
        colour,
        f"Distances: by KID the synthetic set {seen} a set of other real patients. The Fréchet "
        f"distance is {ratio:.1f} times that between two halves of the real patients "
        f"({frechet['floor_n']} images each). Green when the ratio is at most {ALIKE}, or KID's "
        f"interval reaches real-vs-real and the ratio is at most {FAR:.0f}; red above {FAR:.0f}.",
    )


def _variety(label: str, metrics: Mapping[str, Any], fidelity: str) -> list[Light]:
    metric = metrics.get(f"coverage.{label}")
    if not metric or not metric["floor"]:
        return []
    ratio = metric["matched"] / metric["floor"]
    colour = "green" if ratio >= REACHED else "amber" if ratio >= MISSED else "red"
    sentence = (
        f"Coverage {metric['matched']:.0%} (real vs real: {metric['floor']:.0%}): share of real "
        f"images with a synthetic image within their {metric['k']}-nearest-neighbour radius "
        f"({metric['floor_n']} images each). Green from {REACHED:.0%} of real vs real; red below "
        f"{MISSED:.0%}, where whole kinds of image are missing."
    )
    if fidelity in ("red", "grey") and colour != "red":
        colour = "grey"
        unknown = (
            "Not judged: the images are not known to be like real ones, and ruined images can be "
            "varied, too."
        )
        sentence = f"{unknown} {sentence}"
    return [(f"As varied? ({label})", colour, sentence)]


def _copies(report: Mapping[str, Any]) -> Light:
    metric = report["metrics"].get("copies")
    if metric is None:
        return "Copies?", "grey", "Not looked for: no training images were given."
    limit = report["copies"]["threshold"]
    n = metric["n"]
    planted = report["copies"]["planted"]
    keen = planted["caught"] >= KEEN * planted["n"]
    honest = (
        ""
        if not metric["floor"]
        else f" Of as many held-out real images, {metric['floor']:.1f} would be counted."
    )
    return (
        "Copies?",
        "red" if metric["value"] else "green" if keen else "amber",
        f"{metric['value']} of {n['synthetic']} synthetic images are copies of one of {n['train']} "
        f"training images (similarity above {limit:.3f}, also mirrored, cropped, shifted or "
        f"turned).{honest} Control: of {planted['n']} altered training images that were added, "
        f"{planted['caught']} were found. Green: no copy, and at least {KEEN:.0%} of the control "
        "images are found.",
    )


def _duplicates(report: Mapping[str, Any]) -> list[Light]:
    metric = report["metrics"].get("duplicates")
    if metric is None:
        return []
    value = metric["value"]
    n = metric["n"]["synthetic"]
    usual = metric["floor"] or 0.0
    colour = "green" if value <= max(1.0, usual) else "amber" if value <= REPEATED * n else "red"
    sentence = (
        f"{value} of {n} synthetic images repeat another one (similarity above "
        f"{report['duplicates']['threshold']:.3f}); of as many real images, {usual:.1f} would. "
        f"Green: one at most, or no more than of real images; red above {REPEATED:.0%} of the "
        "images, where the model draws the same few images again and again."
    )
    return [("Different from one another?", colour, sentence)]


def _closeness(metrics: Mapping[str, Any]) -> list[Light]:
    metric = metrics.get("nearest.pixel")
    if not metric or metric["value"] is None:
        return []
    value = metric["value"]
    colour = "green" if value >= CLOSER else "amber" if value >= TOO_CLOSE else "red"
    sentence = (
        f"Mean distance of a synthetic image to its nearest training image: {value:.2f} times that "
        f"of held-out patients. Green from {CLOSER}; red below {TOO_CLOSE}, where images follow "
        "single training patients."
    )
    return [("Keeps its distance?", colour, sentence)]


def _reconstruction(report: Mapping[str, Any]) -> list[Light]:
    metric = report["metrics"].get("ssim.reconstruction")
    if not metric or metric["value"] is None:
        return []
    value = metric["value"]
    n = metric["n"]["edits"]
    detailed = sum(edit["detail"] for edit in report["edits"])
    poor = "amber" if detailed == n else "red"
    colour = "green" if value >= FAITHFUL else "amber" if value >= POOR else poor
    sentence = (
        f"Mean SSIM of the original and its reconstruction without any change: {value:.3f} over "
        f"{n} edits. Green from {FAITHFUL}; red below {POOR}, where the editor loses the image "
        "that it is to change."
    )
    if detailed:
        sentence += (
            f" {detailed} of the edits put only the change on the original, so that the "
            "counterfactual keeps the detail that the reconstruction loses; the light is amber at "
            "worst where all edits do."
        )
    return [("Edits start faithful?", colour, sentence)]

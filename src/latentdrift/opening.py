"""What verbs and dry runs open before their work: models, what to draw, who watches for copies."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentdrift import config
from latentdrift.errors import OptionError

log = logging.getLogger(__name__)


def adapted(
    options: config.GenerateOptions
    | config.EditOptions
    | config.DriftOptions
    | config.AuditOptions
    | config.BenchEditorsOptions,
    also: Sequence[str] = (),
) -> tuple[Any, Any, Mapping[str, Any], Any]:
    """(base, drift, adapter.json, statistics) of an adapter folder; of a base alone, itself and
    what there is to say of it.

    Beside what adapter.json says, `adapters` has method, weight and sha256 of each adapter in the
    base, the lowest first, and `trained_on` the fingerprints of their cohorts.

    Args:
        options: Which, and where to put it.
        also: Adapters that are put on top.
    """
    from latentdrift.adapt.adapters.adapter import Adapted, load_adapter
    from latentdrift.adapt.adapters.adapter_stack import add
    from latentdrift.model.base import Base
    from latentdrift.study.subject import Subject

    where: Any = {"device": options.device, "precision": options.precision}
    place = Path(options.adapter)
    if (
        place.exists() and not (place / "vae").is_dir()
    ):  # a base has an autoencoder, an adapter never has
        adapted = add(load_adapter(options.adapter, base=options.base, **where), also)
        if "adopted" in adapted.info:  # its words are another's choice
            log.info(
                "%s, words in a prompt: %s",
                adapted.info["adopted"]["format"],
                ", ".join(adapted.info["tokens"]) or "none",
            )
        return adapted.base, adapted.drift, _listed(adapted), adapted.statistics
    base = Base.load(options.adapter, **where)
    alone = Subject.alone(base)
    adapted = add(Adapted(base, alone.drift, alone.info, None, base.schedule), also)
    return adapted.base, adapted.drift, _listed(adapted), adapted.statistics


def _listed(adapted: Any) -> Mapping[str, Any]:
    """adapter.json and, without the places where they lie, the adapters in the base and the cohorts
    they were trained on."""
    from latentdrift.adapt.adapters.adapter_files import read

    parts = [
        {name: part[name] for name in ("method", "weight", "sha256") if name in part}
        for part in adapted.parts
    ]
    ours = [
        read(part["adapter"]) for part in adapted.parts if "adapter" in part
    ]  # another tool's says nothing of a cohort
    return {
        **adapted.info,
        "adapters": parts,
        "trained_on": [one["cohort"]["fingerprint"] for one in ours if "cohort" in one],
    }


def edits(options: config.EditOptions) -> Any:
    """What `edit` edits, and by which model.

    Raises:
        OptionError, InputError, CohortError: It cannot be asked for, or read, or the network cannot
            be shown its hints.
    """
    from latentdrift.adapt.training.edit_hints import sourced
    from latentdrift.edit.editors.editors import starting
    from latentdrift.edit.io.edit_inputs import entries
    from latentdrift.edit.io.edit_requests import Wish
    from latentdrift.edit.io.edit_run import Work

    base, drift, info, statistics = adapted(options, options.also)
    wish = Wish.of(options, base, info)
    cohort = options.source if (options.source / "cohort.json").is_file() else None
    hints = sourced(
        info, cohort, options.hint_image, plane=options.plane, position=options.position
    )
    found = wish.requests(hints.having(entries(options, info, info["resolution"])))
    drift = starting(wish.editor, drift, base, info, options.steps)
    work = Work(options, base, drift, statistics, info["adapters"], wish, hints, found)
    work.check_free()
    return work


def edited_by(options: config.BenchEditorsOptions) -> Any:
    """What `bench editors` edits, and by which model."""
    from latentdrift.adapt.training.edit_hints import sourced
    from latentdrift.study.editors.editor_benchmark import Editing

    base, drift, info, statistics = adapted(options, options.also)
    return Editing(options, base, drift, statistics, info, sourced(info, options.cohort))


def subject(options: config.DriftOptions | config.AuditOptions) -> Any:
    """The model that is asked; also what every process of a search opens."""
    from latentdrift.study.subject import Subject

    return Subject(*adapted(options))


def without(options: config.AuditOptions, info: Mapping[str, Any]) -> Any:
    """The base of the model that is asked, alone."""
    from latentdrift.model.base import Base
    from latentdrift.study.subject import Subject

    how: Any = {
        "device": options.device,
        "precision": options.precision,
        "fetch": options.base is not None,
    }
    return Subject.alone(Base.load(options.base or info["base"]["name"], **how), info["resolution"])


def gatekeeper(
    options: config.GenerateOptions | config.EditOptions, info: Mapping[str, Any]
) -> Any:
    """What holds copies of training images back, with a warning where it cannot know all of them;
    None where there is none.

    Raises:
        CohortError: There is nothing to compare with.
    """
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.evaluate.privacy.copy_filter import Gate

    if options.gate is False:
        return None
    folder = options.gate or own_cohort(options.adapter, info["trained_on"])
    if folder is None:
        if info["trained_on"]:
            log.info(
                "no gate: the cohort that this adapter was trained on is not where it was; "
                "`gate=COHORT` names it, and then copies of its training images are held back"
            )
        return None
    gate = Gate.of(Cohort.load(folder), info["trained_on"])
    if gate.doubt:
        log.warning(gate.doubt)
    return gate


def own_cohort(adapter: str, trained_on: Sequence[str]) -> Path | None:
    """The cohort of an adapter's run, as its record names it, if that is there and the same; None
    if not."""
    from latentdrift import record
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.errors import LatentDriftError

    for run in (Path(adapter), Path(adapter).parent):
        try:
            found = record.read(run)
            named = Path(found["options"]["cohort"]) if found["verb"] == "fit" else None
        except (LatentDriftError, KeyError, TypeError):
            continue
        for place in (named, run.parent / named.name) if named is not None else ():
            try:
                if Cohort.load(place).fingerprint in trained_on:
                    return place
            except LatentDriftError:
                continue
    return None


def passed(gate: Any, pictures: Any) -> Any:
    """What a gate found of pictures uint8 [N, R, R, 3], which is said, too; None without a gate."""
    from latentdrift.evaluate.images.image_sets import ImageSet

    if gate is None:
        return None
    verdict = gate.judge(ImageSet(pictures / 255), pictures.shape[1])
    log.info(verdict.sentence)
    return verdict


def passed_edits(gate: Any, work: Any, made: Sequence[Any]) -> Any:
    """The same of edits that are made: their verdict is in their order."""
    from latentdrift.evaluate.images.image_sets import ImageSet
    from latentdrift.evaluate.images.lazy_images import Pictures

    if gate is None or not made:
        return None
    side = int(work.wish.info["resolution"])
    names = [asked.name for asked in made]

    def of(name: str) -> ImageSet:
        return ImageSet(
            Pictures(lambda place: work.shown(made[place], name), (side, side), names, names)
        )

    verdict = gate.judge_edits(of("original"), of("counterfactual"), side)
    log.info(verdict.sentence)
    if verdict.own:
        log.info(
            "%d of %d edits are of images that the adapter was trained on: keep them as you keep "
            "the cohort",
            verdict.own,
            len(made),
        )
    return verdict


def requests(options: config.GenerateOptions, base: Any, info: Mapping[str, Any]) -> Any:
    """What to draw, in words that the base can read.

    Raises:
        OptionError: It is not said, or said twice, or the network does not draw from words alone.
    """
    from latentdrift.adapt.training.hint_batches import followed
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.prompts import departures, of_text
    from latentdrift.sample.prompt_composition import between, combined
    from latentdrift.sample.synthetic_cohort import follow_cohort, follow_prompts, readable

    if base.sees_source:
        raise OptionError(
            f"{options.adapter} edits: its network is shown a picture to start from, and generate "
            f"has none; write latentdrift edit {options.adapter} IMAGE --set age=85 --out FOLDER"
        )
    said = [
        f"`{name}`"
        for name in ("prompt", "like", "compose", "interpolate")
        if getattr(options, name)
    ]
    if len(said) > 1:
        raise OptionError(f"{' and '.join(said)} both say what to draw; give one of them")
    if options.like:
        like = Cohort.load(options.like)
        only = (
            followed(like, options.split, info)
            if base.controls and not options.hint_image
            else None
        )
        wanted = follow_cohort(like, options.split, options.n, info, only)
    elif options.compose:
        wanted = combined(options.compose, options.n, info)
    elif options.interpolate:
        wanted = between(options.interpolate, options.n, info)
    else:
        wanted = follow_prompts(options.prompt, options.n)
    departing = [sentence for text in options.prompt for sentence in of_text(text, info)]
    departing += departures([one.attributes for one in wanted], info) if options.like else []
    for sentence in dict.fromkeys(departing):
        log.warning(sentence)
    return readable(wanted, base.readable)

"""`--dry-run`: what each verb would do and cost, before it does anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from latentdrift import config, prompts
from latentdrift.service import VERBS, Result, adapted, requests, start, worded


def run(verb: str, options: config.Options) -> Result:
    """What a verb would do under these options; errors that can be known before work starts are raised."""
    return PLANS[verb](options)


def import_(options: config.ImportOptions) -> Result:
    from latentdrift.data.plan import survey

    return survey(options)


def fit(options: config.FitOptions) -> Result:
    from latentdrift.adapt.plan import plan
    from latentdrift.data.cohort import Cohort
    from latentdrift.model.base import Base

    return plan(Base.load(options.base, device=options.device, precision=options.precision), Cohort.load(options.cohort), options)


def generate(options: config.GenerateOptions) -> Result:
    from latentdrift.sample.generate import SLOTS
    from latentdrift.sample.generate import generate as draw

    base, drift, info = adapted(options)
    drift, wanted = start(drift, options.drift, base, info), requests(options, info)
    how: dict[str, Any] = {name: getattr(options, name) for name in ("seed", "guidance", "sampler")}
    how["resolution"] = options.resolution or info["resolution"]
    tried = min(4, options.steps)
    for _ in range(2):  # the first call warms up
        began = time.perf_counter()
        list(draw(base, drift, {0: wanted[0].prompt}, steps=tried, **how))
    each = (time.perf_counter() - began) / tried * options.steps / SLOTS
    return {"images": len(wanted), "seconds_per_image": round(each, 3), "seconds": round(each * len(wanted), 2),
            "first_prompt": wanted[0].prompt, "out": str(options.out)}  # fmt: skip


def edit(options: config.EditOptions) -> Result:
    from latentdrift.edit.sources import subjects

    base, _, info = adapted(options)
    changes = dict(prompts.parse_assignment(text, info["attributes"]) for text in options.set)
    wording = {"add": options.add, "remove": options.remove, "spec": info["attributes"], "style": info["prompt"]["style"]}
    found = worded(
        subjects(options, info, info["resolution"]), partial(prompts.pair, info["describe"], changes=changes, **wording)
    )
    _, source, target = found[0]
    return {"images": len(found), "base": base.name, "editor": options.editor, "source_prompt": source, "target_prompt": target}


def echo(options: config.Options) -> Result:
    """For verbs that cost seconds: what they would do is what they were asked."""
    return options.model_dump(mode="json")


PLANS: dict[str, Callable[..., Result]] = {
    **dict.fromkeys(VERBS, echo),
    "import": import_,
    "fit": fit,
    "generate": generate,
    "edit": edit,
}

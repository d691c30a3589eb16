"""OPTION_GROUPS: the headings under which help pages and forms show the options of a verb."""

from __future__ import annotations

from latentdrift.config.base import Options

# Heading -> its options, whatever the verb, in the order of a help page.
OPTION_GROUPS: dict[str, tuple[str, ...]] = {
    "input": (
        "adapter",
        "answers",
        "cohort",
        "file",
        "key",
        "real",
        "record",
        "source",
        "synthetic",
        "compare",
        "edits",
        "table",
        "sheet",
        "map",
        "describe",
        "keep",
        "follow_links",
        "include",
        "phantom",
        "kind",
        "patients",
        "visits",
        "size",
        "patient",
        "limit",
    ),
    "model": ("base", "also", "start"),
    "slices and intensities": ("plane", "position", "slab", "register", "window"),
    "splits and privacy": ("split", "stratify", "salt", "gate", "private"),
    "change": ("set", "add", "remove", "age", "grid", "given", "instruction", "reverse"),
    "method": (
        "preset",
        "method",
        "methods",
        "variants",
        "rank",
        "alpha",
        "targets",
        "train_text_encoder",
        "vectors",
        "token",
        "concept_by",
        "rare_word",
        "prior_images",
        "prior_weight",
        "class_prompt",
        "hint",
    ),
    "editor": (
        "editor",
        "editors",
        "strength",
        "inversion",
        "iterations",
        "inversions",
        "detail",
        "cross_share",
        "self_share",
        "exchange",
        "emphasis",
        "local_blend",
        "sentences",
        "attention_weight",
        "focus",
        "round_trip",
    ),
    "mask": ("mask", "mask_outside", "protect", "mask_edge", "mask_threshold"),
    "drift": ("drift", "drift_mode", "drift_form", "drift_by", "delta", "stage", "copy_slope"),
    "noise": ("noise", "prediction", "zero_snr", "min_snr"),
    "prompts": (
        "prompt",
        "compose",
        "interpolate",
        "like",
        "prompt_style",
        "patient_info",
        "age_encoding",
        "negate_findings",
        "caption",
        "caption_dropout",
    ),
    "sampling": (
        "n",
        "steps",
        "guidance",
        "guidance_interval",
        "step_cache",
        "image_guidance",
        "rescale",
        "sampler",
        "slots",
        "hint_image",
        "same_noise",
        "seeds",
    ),
    "optimiser": (
        "budget",
        "fit_steps",
        "fit_batch_size",
        "batch_size",
        "accumulate",
        "learning_rate",
        "rate_schedule",
        "warm_up",
        "optimizer",
        "ema",
        "patience",
        "gradient_checkpointing",
    ),
    "evaluation": (
        "features",
        "by",
        "utility",
        "alignment",
        "scorer",
        "card",
        "classifier",
        "classifier_steps",
        "classifier_seeds",
        "gan_steps",
        "draws",
        "bootstrap",
    ),
    "precision and device": ("resolution", "precision", "device", "workers", "ray"),
    "output": (
        "out",
        "to",
        "depth",
        "format",
        "animate",
        "cache",
        "checkpoint_every",
        "preview_every",
        "tracker",
    ),
    "randomness": ("seed",),
}

# (verb's options, option) -> its heading, where the option means something else in this verb.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("ImportOptions", "preset"): "input",
    ("FitOptions", "instruction"): "prompts",
    ("FitOptions", "change_weight"): "optimiser",
    ("FitOptions", "steps"): "optimiser",
    ("GenerateOptions", "batch_size"): "sampling",
    ("DriftEstimateOptions", "batch_size"): "sampling",
    ("DriftSearchOptions", "batch_size"): "sampling",
    ("DriftSearchOptions", "grid"): "drift",
    ("ReaderMakeOptions", "key"): "output",
}


def group_of(model: type[Options], option: str) -> str:
    """Heading of an option on help pages.

    Args:
        model: Option model of the verb.
        option: Name of the option.
    """
    exception = EXCEPTIONS.get((model.__name__, option))
    if exception is not None:
        return exception
    return next(heading for heading, options in OPTION_GROUPS.items() if option in options)


def grouped(model: type[Options]) -> dict[str, list[str]]:
    """Heading -> options of a verb, both in the order of their tables."""
    groups: dict[str, list[str]] = {heading: [] for heading in OPTION_GROUPS}
    for option in model.model_fields:
        groups[group_of(model, option)].append(option)
    return {heading: options for heading, options in groups.items() if options}

"""PARTS: options that have an effect only beside others. An option without effect is refused.

Only conditions on the options themselves stand here. Conditions on a file, a cohort or a network
are checked where it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from latentdrift.config.base import Options
from latentdrift.config.fit import PRESETS, FitOptions
from latentdrift.config.names import METHODS
from latentdrift.errors import OptionError

LORAS = ("lora", "dreambooth-lora")
LORA_OPTIONS = ("rank", "alpha", "targets")
"""Options of `fit` that imply `method=lora` where no method is given."""
DEFAULT_METHODS = ("full", "lora")
"""Methods that `fit` takes by default, depending on the base and on LORA_OPTIONS."""
WORDS = ("textual-inversion", "custom-diffusion")
DREAMBOOTHS = ("dreambooth", "dreambooth-lora")
PRESERVING = (*DREAMBOOTHS, "custom-diffusion")
"""Methods with prior preservation by default."""

# Options of `fit` -> the methods in which they have an effect. All others have one in every method.
BY_METHOD: dict[tuple[str, ...], tuple[str, ...]] = {
    LORA_OPTIONS: LORAS,
    ("train_text_encoder",): ("full", *LORAS, "dreambooth"),
    ("token", "vectors", "concept_by"): WORDS,
    ("rare_word",): DREAMBOOTHS,
    ("prior_images", "prior_weight", "class_prompt"): ("full", "lora", *PRESERVING),
    ("hint",): ("controlnet",),
    ("instruction", "change_weight"): ("instruct-pix2pix",),
    ("caption_dropout",): tuple(name for name in METHODS.known if name != "textual-inversion"),
}
# Options of `edit` -> the editors in which they have an effect (`options` in EDITORS of
# edit/editors/editors.py). All others have one in several kinds of editors.
BY_EDITOR: dict[tuple[str, ...], tuple[str, ...]] = {
    ("cross_share", "self_share", "exchange", "emphasis", "local_blend"): (
        "prompt-to-prompt",
        "null-text",
    ),
    ("sentences", "attention_weight"): ("pix2pix-zero",),
    ("focus",): ("ledits",),
    ("mask_threshold",): ("diffedit",),
    ("image_guidance", "instruction"): ("instruct-pix2pix",),
}
DEFAULT_EDITORS = ("ddim", "controlnet", "instruct-pix2pix")
"""Editors that `edit` takes by default, depending on the model."""
# Values that a method gives to an option by default (METHODS in adapt/methods/methods.py). Giving
# one of them has no effect.
EQUAL_TO_DEFAULT = {"vectors": (None, 1), "prior_images": (None, 0), "change_weight": (None, 0.5)}


@dataclass(frozen=True)
class Part:
    """Options with a condition, a row of PARTS."""

    options: tuple[str, ...]
    needed: str
    """The condition in words, with parameters in backquotes."""
    is_there: Callable[[Any], bool]
    """Whether the options of the verb meet the condition."""


def _draws_class(options: Any) -> bool:
    return (
        bool(options.prior_images)
        if options.prior_images is not None
        else options.method in PRESERVING
    )


def _says_patient(options: Any) -> bool:
    result: bool = options.patient_info and options.prompt_style != "bare"
    return result


def _trains_classifiers(options: Any) -> bool:
    return bool(options.utility or options.alignment or (options.edits and options.card))


def _guides(options: Any) -> bool:
    return (
        options.guidance != 1
        or bool(options.compose)
        or any(" AND " in text for text in options.prompt)
    )


PARTS: dict[str, tuple[Part, ...]] = {
    "fit": (
        Part(("mask_outside",), "`mask=COLUMN`", lambda o: o.mask is not None),
        Part(("prior_weight", "class_prompt"), "`prior_images` above 0", _draws_class),
        Part(
            ("age_encoding", "negate_findings"), "a sentence that says the patient", _says_patient
        ),
        Part(
            ("drift_form",),
            "a `drift` other than none",
            lambda o: o.drift.strip().lower() != "none",
        ),
        Part(
            ("drift_mode",),
            "a `drift` other than none",
            lambda o: (
                o.drift.strip().lower() != "none" or o.drift_mode not in ("infer", "train", "both")
            ),
        ),
    ),
    "generate": (
        Part(("split",), "`like=COHORT`", lambda o: o.like is not None),
        Part(("rescale",), "a `guidance` other than 1", _guides),
        Part(("guidance_interval",), "a `guidance` other than 1", lambda o: o.guidance != 1),
    ),
    "evaluate": (
        Part(
            ("classifier", "classifier_steps", "classifier_seeds"),
            "`utility`, `alignment`, or a card of `edits`",
            _trains_classifiers,
        ),
        Part(("card",), "`edits=FOLDER`", lambda o: o.edits is not None),
        Part(("scorer",), "`alignment`", lambda o: o.alignment),
    ),
    "drift estimate": (
        Part(("n", "guidance", "batch_size"), "`copy_slope`", lambda o: o.copy_slope),
    ),
    "drift search": (
        Part(
            ("method", "fit_steps", "learning_rate", "rank"),
            "`stage=train`",
            lambda o: o.stage == "train",
        ),
        Part(("rank",), "`method=lora` or `method=dreambooth-lora`", lambda o: o.method in LORAS),
    ),
    "bench editors": (
        Part(("split",), "a cohort", lambda o: o.cohort is not None),
        Part(
            ("image_guidance",),
            "`editors=instruct-pix2pix`",
            lambda o: not o.editors or "instruct-pix2pix" in o.editors,
        ),
        Part(
            ("sentences",),
            "`editors=pix2pix-zero`",
            lambda o: not o.editors or "pix2pix-zero" in o.editors,
        ),
    ),
}


def check_parts(verb: str, options: Options) -> None:
    """Check that every given option has an effect.

    Args:
        verb: Name of the verb.
        options: Its options.

    Raises:
        OptionError: An option has no effect without another one.
    """
    for part in PARTS.get(verb, ()):
        for name in part.options:
            if given(options, name) and not part.is_there(options):
                raise OptionError(
                    f"{_named(options, name)} has no part without {part.needed}; give that, or "
                    "leave it out"
                )
    if isinstance(options, FitOptions):
        _check_length(options)
        _check_method(options)
    if verb == "edit":
        _check_editor(options)


def given(options: Options, name: str) -> bool:
    """Whether an option differs from its default."""
    default = type(options).model_fields[name].default
    return getattr(options, name) not in EQUAL_TO_DEFAULT.get(name, (default,))


def implies_lora(options: FitOptions) -> bool:
    """Whether options of `fit` were given that only a low-rank change has, at any value."""
    return not options.model_fields_set.isdisjoint(LORA_OPTIONS)


def _check_length(options: FitOptions) -> None:
    """Check that one option says how long a fit is.

    Raises:
        OptionError: Two do.
    """
    if options.budget is not None and "steps" in options.model_fields_set:
        raise OptionError("`budget` and `steps` both say how long the fit is; give one of them")


def _check_method(options: Any) -> None:
    for names, methods in BY_METHOD.items():
        for name in names:
            if not given(options, name) or options.method in methods:
                continue
            if options.method is not None:
                raise OptionError(
                    f"{_named(options, name)} has no part in `method={options.method}`, but in "
                    f"{', '.join(methods)}; leave one of them out"
                )
            if not set(methods) & set(DEFAULT_METHODS):
                raise OptionError(
                    f"`{name}` has no part in the default methods {' and '.join(DEFAULT_METHODS)}, "
                    f"but in {', '.join(methods)}; give `method={methods[0]}`, or leave it out"
                )


def _check_editor(options: Any) -> None:
    for names, editors in BY_EDITOR.items():
        for name in names:
            if not given(options, name) or options.editor in editors:
                continue
            if options.editor is not None:
                raise OptionError(
                    f"`{name}` has no part in editor '{options.editor}', but in "
                    f"{', '.join(editors)}; leave one of them out"
                )
            if not set(editors) & set(DEFAULT_EDITORS):
                raise OptionError(
                    f"`{name}` has no part in the default editors, but in {', '.join(editors)}; "
                    f"give `editor={editors[0]}`, or leave it out"
                )


def _named(options: Any, name: str) -> str:
    """The option in backquotes, and the preset that sets it."""
    preset = getattr(options, "preset", None)
    named = f"`{name}=False`" if getattr(options, name) is False else f"`{name}`"
    gives = PRESETS.get(preset or "", {}).get(name, ...) == getattr(options, name)
    return f"{named} (of `preset={preset}`)" if gives else named

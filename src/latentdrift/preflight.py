"""Checks before anything heavy is imported: names, options without effect, missing paths.

Loading torch, diffusers and a base takes seconds; a typing mistake is answered in less than one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from latentdrift import config, record
from latentdrift.attributes.specification import Attribute, Spec
from latentdrift.config.parts import given
from latentdrift.engines.ray_actors import check_cluster
from latentdrift.errors import AdapterError, InputError, OptionError, unknown
from latentdrift.model import model_files as folders
from latentdrift.prompts import Manner, parse_assignment, parse_emphasis, parse_wanted
from latentdrift.storage import check_writable

COHORTS = ("cohort", "real", "like", "gate")
"""Options that name a cohort."""
IMAGE_SETS = ("synthetic", "compare")
"""Options that name a set of images, real or synthetic."""
IMAGES = "a folder of images or a cohort"
OUTPUT_OPTIONS = ("out", "cache", "inversions", "private")
"""Options that name what is made, and need not be there."""
CHECKED_AT_ONCE = ("import", "replay", "reader make", "reader score", "phantom", "demo")
"""Verbs that load nothing heavy before they check their paths themselves."""
ADAPTER = "adapter.json"


def check(verb: str, options: config.Options) -> None:
    """Check that a verb can begin, without heavy imports.

    Args:
        verb: Name of the verb.
        options: Its options.

    Raises:
        OptionError: An unknown name, an option without effect, or a report with other options.
        InputError, CohortError, AdapterError, BaseModelError: A path or model does not exist.
        ResourceError: Nothing can be written to `out`, or a Ray cluster cannot be reached.
    """
    config.check_names(options)
    config.check_parts(verb, options)
    if isinstance(options, config.InspectOptions):
        check_writable(options.folder)
    elif (out := getattr(options, "out", None)) is not None:
        check_writable(out)
    if verb not in CHECKED_AT_ONCE:
        _check_models(options)
        _check_paths(options)
    if isinstance(options, config.FitOptions):
        _check_columns(options)
    if isinstance(options, config.GenerateOptions):
        _check_content(options)
    if isinstance(options, config.EditOptions):
        _check_edit(options)
    if isinstance(options, config.EvaluateOptions | config.BenchOptions):
        _check_features(options.features)
    if isinstance(options, config.EvaluateOptions):
        _check_evaluation(options)
        _check_report_folder(options)
    _check_ray(options)


def _check_ray(options: config.Options) -> None:
    """Check that Ray is installed, and its cluster answers, where an option needs it.

    Raises:
        OptionError: Ray is not installed.
        ResourceError: The cluster cannot be reached.
    """
    address = getattr(options, "ray", None)
    if address is None:
        return
    if find_spec("ray") is None:
        raise OptionError(
            "`ray` needs the package ray, which is not installed: pip install 'latentdrift[ray]', "
            "or leave `ray` out, and the workers are processes of this machine"
        )
    check_cluster(address)


def _check_columns(options: config.FitOptions) -> None:
    """Check that the cohort has the attributes and columns that options of `fit` name.

    Raises:
        OptionError: It has no such category or column.
        CohortError: A mask file is missing.
    """
    from latentdrift.data.cohort import masks
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.data.cohort.row_selection import check_category

    named = (options.caption, options.concept_by, options.drift_by, options.mask)
    if all(column is None for column in named):
        return
    cohort = Cohort.load(options.cohort)
    Manner.of_options(options).check(cohort.attributes, cohort.texts)
    for name in ("drift_by", "concept_by"):
        category = getattr(options, name)
        if category is not None:
            check_category(cohort, category, name)
    if options.mask is not None:
        masks.positions(cohort, options.mask, "mask")


CONTENTS = ("prompt", "like", "compose", "interpolate")
"""Options of `generate` of which one says what to draw."""


def _check_content(options: config.GenerateOptions) -> None:
    """Check that one option says what to draw.

    Raises:
        OptionError: No option does, or several do.
    """
    named = [f"`{name}`" for name in CONTENTS if getattr(options, name)]
    if len(named) > 1:
        raise OptionError(f"{' and '.join(named)} both say what to draw; give one of them")
    if not named and not _is_for_editing(options.adapter):
        raise OptionError(
            "there is nothing to draw: give `prompt`, `compose` or `interpolate`, or `like=COHORT` "
            "whose table the images follow"
        )


def _is_for_editing(adapter: str) -> bool:
    """Whether an adapter's network needs a source image; `generate` refuses it when loaded."""
    for folder in (Path(adapter), Path(adapter) / "adapter"):
        with suppress(OSError, ValueError, AttributeError):
            recorded = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
            return bool(recorded.get("method") == "instruct-pix2pix")
    return False


def _check_features(features: tuple[str, ...]) -> None:
    """Check the names of feature spaces, and that their files exist.

    Raises:
        OptionError, InputError: A name is unknown, or a file is missing.
    """
    from latentdrift.evaluate.features.features import parse_all

    parse_all(features)


def _check_evaluation(options: config.EvaluateOptions) -> None:
    """Check the attribute that `by` names, and the class or masks that `utility` names.

    Raises:
        OptionError: An attribute, value or column that the cohort lacks.
        CohortError: Too few images of a class.
    """
    from latentdrift.data.cohort import masks
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.evaluate.downstream.class_labels import Classes

    if not options.utility and options.by is None:
        return
    cohort = Cohort.load(options.real)
    if options.by is not None and options.by not in cohort.attributes:
        raise unknown("attribute of the real images", options.by, cohort.attributes)
    if not options.utility:
        return
    name, _, column = options.utility.partition("=")
    if name == "mask" and name not in cohort.attributes:
        masks.positions(cohort, column, "utility=mask")
        return
    classes = Classes.of(cohort, options.utility, "utility", ("train", options.split))
    if (options.synthetic / "cohort.json").is_file():
        classes.check_synthetic(Cohort.load(options.synthetic))


REPORT_FILES = ("report.json", "report.html", record.NAME, "cache")
"""Content of a folder that `evaluate` made."""
NOT_COMPARED = ("out", "cache", "device", *record.WORKERS)
"""Options of `evaluate` that may differ from those of the report in its folder."""


def _check_report_folder(options: config.EvaluateOptions) -> None:
    """Check that `out` is free, or holds a report with these options.

    Raises:
        InputError: It is a file, holds anything else, or has a damaged record.
        OptionError: It holds a report with other options.
    """
    out = options.out
    if out.is_file():
        raise InputError(f"{out} is a file; give an empty or new folder as `out`")
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    own = {out / name for name in REPORT_FILES} | {options.cache}
    others = [name for name in names if out / name not in own and not name.startswith(".")]
    if others:
        raise InputError(
            f"{out} holds {others[0]}, which is no file of a report; give an empty or new folder "
            "as `out`"
        )
    if record.NAME not in names:
        return
    recorded = record.read(out)
    if recorded["verb"] != "evaluate":
        raise InputError(
            f"{out} holds the output of `{recorded['verb']}`; give an empty or new folder as `out`"
        )
    defaults = {name: field.default for name, field in type(options).model_fields.items()}
    there = defaults | recorded["options"]
    changed = [
        f"{name} ({there[name]} there, {value} now)"
        for name, value in options.model_dump(mode="json").items()
        if name not in NOT_COMPARED and there[name] != value
    ]
    if changed:
        raise OptionError(
            f"{out} holds a report with other options: {', '.join(changed)}; give the same ones "
            "to make it again, or another `out`"
        )


def _check_models(options: config.Options) -> None:
    adapter = getattr(options, "adapter", None)
    base = getattr(options, "base", None)
    if adapter is not None:
        check_model(adapter)
    for reference in (*getattr(options, "also", ()), *getattr(options, "start", ())):
        _check_reference(reference)
    if base is not None:
        folders.check_name(base)
    if adapter is not None and base is not None and is_base(adapter):
        raise OptionError(
            f"`base` says where an adapter's base lies, and {adapter} is a base itself; leave "
            "`base` out"
        )


def _check_paths(options: config.Options) -> None:
    from latentdrift.data.cohort.cohort import check_cohort

    for name in type(options).model_fields:
        for path in _paths(getattr(options, name)) if name not in OUTPUT_OPTIONS else ():
            if name in COHORTS:
                check_cohort(path)
            elif not path.exists():
                wanted = IMAGES if name in IMAGE_SETS else "one that is there"
                raise InputError(
                    f"the {name.replace('_', ' ')} {path} does not exist{_near(path)}; give "
                    f"{wanted}"
                )


def _paths(value: Any) -> Iterator[Path]:
    yield from (
        part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, Path)
    )


def is_base(name: str) -> bool:
    """Whether a model is a base, by its name or folder: only a base has an autoencoder.

    Args:
        name: Name, folder or hub id.
    """
    place = Path(name)
    return (place / "vae").is_dir() if place.exists() else True


def check_model(name: str) -> None:
    """Check that an adapter or base exists, or can be a hub id.

    Args:
        name: Name, folder or hub id.

    Raises:
        AdapterError: It is none of these.
    """
    place = Path(name)
    if place.exists() or name in folders.cards() or folders.is_hub_id(name):
        return
    near = get_close_matches(name, folders.cards(), n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else _near(place)
    raise AdapterError(
        f"there is no adapter or base '{name}'{hint}: it is neither a folder on this machine, nor "
        f"a hub id `owner/name`, nor one of {', '.join(folders.cards())}"
    )


def _check_reference(reference: str) -> None:
    """Check that `RUN` or `RUN=WEIGHT` is there."""
    places = (Path(reference), Path(reference.rpartition("=")[0] or reference))
    if not any(place.exists() for place in places):
        raise AdapterError(
            f"there is no adapter at {places[1]}{_near(places[1])}; give the folder that `fit` made"
        )


def _near(path: Path) -> str:
    """A name in the same folder that is nearly the same."""
    there = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, there, n=1)
    return f" (did you mean '{path.parent / near[0]}'?)" if near else ""


def attributes(adapter: str) -> Spec | None:
    """Attributes that `edit` can set with an adapter.

    Args:
        adapter: Adapter or run folder.

    Returns:
        Attributes in adapter.json, by name; None where it cannot be read.
    """
    for folder in (Path(adapter), Path(adapter) / "adapter"):
        try:
            recorded = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))["attributes"]
        except (OSError, ValueError, KeyError, TypeError):  # whoever loads it says what is wrong
            continue
        return _read_spec(recorded)
    return {} if is_base(adapter) else None


def _read_spec(recorded: Any) -> Spec | None:
    """Attributes of adapter.json; None where they are damaged, which the loading explains."""
    if not isinstance(recorded, dict):
        return None
    try:
        return {name: Attribute.model_validate(row) for name, row in recorded.items()}
    except ValidationError:
        return None


def _check_edit(options: config.EditOptions) -> None:
    """Check that prompts can state an edit, and that its options fit its source.

    Raises:
        OptionError: An attribute or value that the adapter does not know, or an option that this
            source has no use for.
        InputError: The source is a folder and no cohort.
    """
    is_cohort = (options.source / "cohort.json").is_file()
    if options.source.is_dir() and not is_cohort:
        if attributes(str(options.source)):
            raise InputError(
                f"{options.source} is an adapter, which comes first: latentdrift edit "
                f"{options.source} IMAGE ..."
            )
        raise InputError(
            f"{options.source} is a folder but not a cohort; give one image, or import the folder "
            "first"
        )
    spec = attributes(options.adapter)
    if spec is not None:
        parse_wanted(options, spec)
        for text in options.given:
            parse_assignment(text, spec)
    for text in options.emphasis:
        parse_emphasis(text)
    _check_animation(options)
    _check_source(options, is_cohort)
    if is_cohort and options.patient:
        _check_patients(options)


def _check_animation(options: config.EditOptions) -> None:
    """Check that there is a series to animate, and a package that writes it."""
    if options.animate != "none":
        from latentdrift.edit.io.attribute_sweep import check_animation

        check_animation(options.animate, options.grid)


def _check_patients(options: config.EditOptions) -> None:
    """Check that the cohort, or its split, has the patients that an edit names."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.data.cohort.row_selection import rows_of_patients

    rows_of_patients(Cohort.load(options.source), options.split, options.patient)


FILE_ONLY = ("window",)
COHORT_ONLY = ("split", "patient")
SLICES = ("plane", "position")
"""Options that choose a slice of a volume."""


def _check_source(options: config.EditOptions, is_cohort: bool) -> None:
    """Check that options about cohorts go with a cohort, and those about files with a file."""
    for name in FILE_ONLY if is_cohort else COHORT_ONLY:
        if getattr(options, name):
            kind, other = (
                ("a cohort, whose images have theirs", "a file")
                if is_cohort
                else ("a file", "a cohort")
            )
            raise OptionError(
                f"`{name}` is of {other}, and {options.source} is {kind}; leave it out"
            )
    file = not is_cohort and options.source.is_file()
    beside = [
        path for path in (options.mask, options.protect, *options.hint_image) if path is not None
    ]
    read = [options.source, *beside] if file else beside
    for name in SLICES:
        if given(options, name) and not any(_chooses(name, path) for path in read):
            raise OptionError(
                f"`{name}` chooses a slice of a volume, and {options.source} is none; leave it out"
            )
    if options.private is not None and not (file and _kind(options.source) == "dicom"):
        raise OptionError(
            f"`private` keeps UIDs of DICOM files, and {options.source} has none; leave it out"
        )


def _kind(path: Path) -> str:
    from latentdrift.data.images.image_readers import kind_of

    return kind_of(path)


def _chooses(option: str, path: Path) -> bool:
    """Whether an option about slices has a part in a file: a single slice has no other, but its
    plane may be confirmed."""
    from latentdrift.data.images.formats.nifti import open_volume

    if _kind(path) != "nifti":
        return False
    grid = open_volume(path).grid
    return 1 not in grid.shape or (option == "plane" and grid.oriented)

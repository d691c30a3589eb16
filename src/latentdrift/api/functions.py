"""Functions of the Python interface: import images, fit, generate, edit, evaluate.

Each takes the options of its verb as keywords, does the verb, and returns the result as an object.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from latentdrift import config, service
from latentdrift.api.counterfactual import Counterfactual
from latentdrift.api.image_set import ImageSet
from latentdrift.api.report import Report
from latentdrift.api.scratch import ResultFolder
from latentdrift.api.values import options_of
from latentdrift.config.signature import document
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError, CohortError, InputError, OptionError, unknown
from latentdrift.model.base import PRECISIONS
from latentdrift.model.model import SET_AT_LOAD, Model

log = logging.getLogger(__name__)
ModelOptions = TypeVar("ModelOptions", config.GenerateOptions, config.EditOptions)


def import_images(source: Path | str, *, progress: bool = True, **options: Any) -> Cohort:
    """Read scans and a table into a cohort: de-identified, split by patient.

    Args:
        source: Folder with the images.
        progress: Whether to show a progress bar.
        options: Options of `latentdrift import`; `out` is required.

    Raises:
        OptionError: An option is unknown, missing or not allowed.
        InputError, CohortError: The images or the table cannot be used.
    """
    built = options_of(config.ImportOptions, {"source": source, **options})
    service.run("import", built, quiet=not progress)
    return Cohort.load(built.out)


def write_phantom(out: Path | str, *, progress: bool = True, **options: Any) -> Path:
    """Write phantom scans with their table and map, whose true counterfactuals are known.

    Args:
        out: Folder for the scans, `table.csv` and `map.yaml`.
        progress: Whether to show a progress bar.
        options: Options of `latentdrift phantom`.

    Returns:
        The folder.

    Raises:
        OptionError: An option is unknown or not allowed.
        InputError: The folder holds something else.
    """
    built = options_of(config.PhantomOptions, {"out": out, **options})
    service.run("phantom", built, quiet=not progress)
    return built.out


def fit(cohort: Cohort | Path | str, *, progress: bool = True, **options: Any) -> Model:
    """Adapt a base model to a cohort.

    Args:
        cohort: A cohort, or its folder.
        progress: Whether to show a progress bar.
        options: Options of `latentdrift fit`; `out` is required.

    Returns:
        The model with the new adapter. The same call again continues an interrupted run.

    Raises:
        OptionError: An option is unknown, missing or not allowed.
        CohortError, BaseModelError: The cohort or the base does not fit.
    """
    built = options_of(config.FitOptions, {"cohort": cohort, **options})
    service.run("fit", built, quiet=not progress)
    return Model.load(built.out, device=built.device, precision=built.precision)


def generate(
    model: Model,
    prompt: str | Sequence[str] = (),
    *,
    out: Path | str | None = None,
    progress: bool = True,
    **options: Any,
) -> ImageSet:
    """Draw synthetic images.

    Args:
        model: A model.
        prompt: One prompt or several; none where `like`, `compose` or `interpolate` is given.
        out: Folder for the images; default: a temporary one, see `ImageSet.save`.
        progress: Whether to show a progress bar.
        options: Options of `latentdrift generate`.

    Raises:
        OptionError: An option is unknown or not allowed.
        CohortError: All images repeat training images, and were held back.
    """
    place = ResultFolder.open(out, "synthetic")
    values = {"prompt": prompt, "out": place.path}
    built = _options_with_model(config.GenerateOptions, model, values, options)
    service.run("generate", built, quiet=not progress, model=model)
    return ImageSet(place.path, place.keeper)


def edit(
    model: Model,
    source: Path | str,
    *,
    given: Mapping[str, Any] | None = None,
    set: Mapping[str, Any] | None = None,
    out: Path | str | None = None,
    progress: bool = True,
    **options: Any,
) -> Counterfactual:
    """Make the counterfactual of one image.

    Args:
        model: Model that was trained with the attributes that change.
        source: Image file: PNG, DICOM or NIfTI.
        given: Attributes of the source image, such as `{"age": 70}`; None: none.
        set: Attributes of the counterfactual, such as `{"age": 85}`; None: none.
        out: Folder for the edit; None: a temporary one, see `Counterfactual.save`.
        progress: Whether to show a progress bar.
        options: Options of `latentdrift edit`.

    Raises:
        OptionError: An option is unknown or not allowed, or the model lacks an attribute.
        InputError: The image cannot be used, or there is more than one counterfactual.
        CohortError: The counterfactual repeats a training image, and was held back.
    """
    place = ResultFolder.open(out, "edits")
    values = {"source": source, "given": given or {}, "set": set or {}, "out": place.path}
    built = _options_with_model(config.EditOptions, model, values, options)
    edits = _make_edits(model, built, progress)
    if edits.held_back and not edits.released:
        raise CohortError(
            f"all {len(edits.held_back)} counterfactuals of {built.source} repeat training images "
            f"of other patients, and were held back in {edits.quarantine}; change the edit, or "
            "take another image"
        )
    if len(edits.released) != 1:
        raise InputError(
            f"{built.source} gives {len(edits.released)} counterfactuals, and `edit` returns one; "
            "take `edit_all`"
        )
    return Counterfactual(edits.released[0], place.keeper)


def edit_all(
    model: Model,
    source: Cohort | Path | str,
    *,
    given: Mapping[str, Any] | None = None,
    set: Mapping[str, Any] | None = None,
    out: Path | str | None = None,
    progress: bool = True,
    **options: Any,
) -> list[Counterfactual]:
    """Make the counterfactuals of an image, a volume or a cohort.

    Args:
        model: Model that edits.
        source: Image file, volume or cohort.
        given: Known attributes of the images, by name; None: none.
        set: Attributes to change, by name; None: none.
        out: Folder of the result; None: a temporary folder.
        progress: Whether to show a progress bar.
        options: Further options of `edit`.

    Returns:
        One counterfactual for each image and value. Counterfactuals that repeat a training image of
        another patient are left out.

    Raises:
        OptionError, InputError, CohortError: As `edit`.
    """
    place = ResultFolder.open(out, "edits")
    values = {"source": source, "given": given or {}, "set": set or {}, "out": place.path}
    built = _options_with_model(config.EditOptions, model, values, options)
    edits = _make_edits(model, built, progress)
    if edits.held_back:
        log.warning(
            "%d of %d counterfactuals repeat training images of other patients, and were held back "
            "in %s.",
            len(edits.held_back),
            len(edits.held_back) + len(edits.released),
            edits.quarantine,
        )
    return [Counterfactual(folder, place.keeper) for folder in edits.released]


def _make_edits(model: Model, options: config.EditOptions, progress: bool) -> service.Edits:
    """Make the edits of one call.

    Args:
        model: The model.
        options: Options of `edit`.
        progress: Whether to show a progress bar.
    """
    with service.ready("edit", options):
        return service.make_edits(options, not progress, model)


def evaluate(
    *,
    real: Cohort | Path | str,
    synthetic: ImageSet | Cohort | Path | str,
    out: Path | str | None = None,
    progress: bool = True,
    **options: Any,
) -> Report:
    """Compare synthetic images with real ones.

    Args:
        real: A cohort of real images.
        synthetic: Synthetic images: a set, a cohort or a folder.
        out: Folder for the report; default: a temporary one, see `Report.save`.
        progress: Whether to show a progress bar.
        options: Options of `latentdrift evaluate`.

    Raises:
        OptionError: An option is unknown or not allowed.
        CohortError: A set is missing or empty.
    """
    place = ResultFolder.open(out, "report")
    values = {"real": real, "synthetic": synthetic, "out": place.path, **options}
    built = options_of(config.EvaluateOptions, values)
    service.run("evaluate", built, quiet=not progress)
    return Report(place.path, place.keeper)


def _options_with_model(
    kind: type[ModelOptions], model: Model, values: Mapping[str, Any], options: Mapping[str, Any]
) -> ModelOptions:
    """Options of a verb that takes a loaded model.

    Args:
        kind: Option model of the verb.
        model: The loaded model.
        values: Options that the function has as parameters.
        options: Further options, by name.

    Raises:
        OptionError: An option is unknown, not allowed, or set when the model is loaded.
        AdapterError: An adapter of the model has no folder.
        BaseModelError: The model is used up.
    """
    model.base.check_usable()
    for name in options:
        if name in SET_AT_LOAD:
            raise OptionError(
                f"`{name}` cannot be given here: the loaded model decides it; leave it out, or "
                f"load the model with {_how_to_load(name)}"
            )
        if name not in kind.model_fields:
            known = [field for field in kind.model_fields if field not in SET_AT_LOAD]
            raise unknown("option", name, known)
    return options_of(kind, {**_model_options(model), **values, **options})


def _how_to_load(name: str) -> str:
    """Call of `Model.load` that sets an option of SET_AT_LOAD."""
    return "`Model.load(ADAPTER)`" if name == "adapter" else f"`Model.load(..., {name}=...)`"


def _model_options(model: Model) -> dict[str, Any]:
    """Options by which a replay loads the same model, on the same device."""
    precisions = {dtype: name for name, dtype in PRECISIONS.items()}
    moved = not model.is_base and model.base.name != model.info.base.name
    return {
        **_references(model),
        "base": model.base.name if moved else None,
        "device": str(model.base.device),
        "precision": precisions[model.base.dtype],
    }


def _references(model: Model) -> dict[str, Any]:
    """Name a model in options: its adapter, or its base, and the adapters on top.

    Raises:
        AdapterError: An adapter was read from another tool's file and has no folder.
    """
    if model.is_base:
        return {"adapter": model.base.name}
    names = []
    for adapter in model.adapters:
        if adapter.place is None:
            raise AdapterError(
                "this model was read from another tool's file, which a record cannot name; bring "
                "it in with `latentdrift adopt FILE --base BASE --out RUN`, and load RUN"
            )
        names.append(str(adapter.place))
    weights = [adapter.weight for adapter in model.adapters]
    also = [f"{name}={weight:g}" for name, weight in zip(names[1:], weights[1:], strict=True)]
    return {"adapter": names[0], "also": also}


document(import_images, config.ImportOptions)
document(write_phantom, config.PhantomOptions)
document(fit, config.FitOptions)
document(generate, config.GenerateOptions, *SET_AT_LOAD)
document(edit, config.EditOptions, *SET_AT_LOAD)
document(edit_all, config.EditOptions, *SET_AT_LOAD)
document(evaluate, config.EvaluateOptions)

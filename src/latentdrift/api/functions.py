"""Functions of the Python interface: import images, fit, generate, edit, evaluate.

Each takes the options of its verb as keywords, does the verb, and returns the result as an object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentdrift import config, service
from latentdrift.api.counterfactual import Counterfactual
from latentdrift.api.image_set import ImageSet
from latentdrift.api.report import Report
from latentdrift.api.scratch import ResultFolder
from latentdrift.api.values import options_of
from latentdrift.config.signature import document
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError, InputError
from latentdrift.model.model import Model


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


def write_phantom(out: Path | str, **options: Any) -> Path:
    """Write phantom scans with their table and map, whose true counterfactuals are known.

    Args:
        out: Folder for the scans, `table.csv` and `map.yaml`.
        options: Options of `latentdrift phantom`.

    Returns:
        The folder.

    Raises:
        OptionError: An option is unknown or not allowed.
        InputError: The folder holds something else.
    """
    built = options_of(config.PhantomOptions, {"out": out, **options})
    service.run("phantom", built, quiet=True)
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
    values = {**_references(model), "prompt": prompt, "out": place.path, **options}
    built = options_of(config.GenerateOptions, values)
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
    """
    edits = edit_all(model, source, given=given, set=set, out=out, progress=progress, **options)
    if len(edits) != 1:
        raise InputError(
            f"{source} gives {len(edits)} counterfactuals, and `edit` returns one; take `edit_all`"
        )
    return edits[0]


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
    values = {"source": source, "given": given or {}, "set": set or {}, **options}
    built = options_of(config.EditOptions, {**_references(model), "out": place.path, **values})
    service.run("edit", built, quiet=not progress, model=model)
    folders = sorted(path.parent for path in place.path.rglob("counterfactual.png"))
    folders_of_edits = [folder for folder in folders if "reverse" not in folder.parts]
    return [Counterfactual(folder, place.keeper) for folder in folders_of_edits]


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


def _references(model: Model) -> dict[str, Any]:
    """How options name a model: its adapter, or its base, and the adapters on top.

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
document(generate, config.GenerateOptions, "adapter", "also")
document(edit, config.EditOptions, "adapter", "also")
document(edit_all, config.EditOptions, "adapter", "also")
document(evaluate, config.EvaluateOptions)

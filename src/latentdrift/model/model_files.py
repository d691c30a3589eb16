"""Path of a base on this machine, and a check that it is complete, before anything heavy is
loaded."""

from __future__ import annotations

import hashlib
import json
from difflib import get_close_matches
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentdrift.errors import BaseModelError

if TYPE_CHECKING:
    import torch

    from latentdrift.model.families.family import Family


def cards() -> dict[str, dict[str, Any]]:
    """Named bases: name -> row of cards.yaml."""
    import yaml

    result: dict[str, dict[str, Any]] = yaml.safe_load(
        (files("latentdrift.model") / "cards.yaml").read_text(encoding="utf-8")
    )
    return result


def find(name: str, *, fetch: bool = True) -> Path:
    """The folder on this machine of a named base, a folder, or a hub id.

    Args:
        name: Name of the base.
        fetch: Download it if need be; else only what was downloaded before is found.
    """
    known = cards()
    card = known.get(name, {})
    if "folder" in card:
        result: Path = Path(str(files("latentdrift.model"))) / card["folder"]
        return result
    if not card and Path(name).is_dir():
        return Path(name)
    check_name(name)
    return _download(card.get("repository", name), card.get("revision"), fetch)


def check_name(name: str) -> None:
    """Check that a name can be a base: a named one, a folder, or a hub id.

    Raises:
        BaseModelError: It is none of these.
    """
    known = cards()
    if name in known or Path(name).is_dir() or is_hub_id(name):
        return
    near = get_close_matches(name, known, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    raise BaseModelError(
        f"no base '{name}'{hint}: it is neither a folder on this machine, nor a hub id "
        f"`owner/name`, nor one of {', '.join(known)}"
    )


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of a repository on the Hugging Face hub, `owner/name`."""
    looks_like_path = name.startswith((".", "/", "~")) or Path(name).suffix in (
        ".safetensors",
        ".ckpt",
        ".bin",
    )
    return not looks_like_path and name.count("/") == 1


def _download(repository: str, revision: str | None, fetch: bool) -> Path:
    """A hub repository's files that are read, from the local cache or the network; for an
    unsupported family only its index is fetched."""
    from huggingface_hub import snapshot_download

    from latentdrift.model.families.families import family_of  # loads torch

    try:
        fetched = partial(
            snapshot_download, repository, revision=revision, local_files_only=not fetch
        )
        family = family_of(Path(fetched(allow_patterns=["model_index.json"])))
        return Path(fetched(allow_patterns=_patterns(family)))
    except (
        OSError,
        ValueError,
    ) as error:  # no network, no such repository, no permission, not an id
        if not fetch:
            raise BaseModelError(
                f"base '{repository}' is not on this machine, and downloads are off by "
                f"default: give its folder with `base`, or `base={repository}` to fetch it "
                "from the Hugging Face hub"
            ) from error
        raise BaseModelError(
            f"base '{repository}' could not be fetched from the Hugging Face hub "
            f"({type(error).__name__}). Without a network: on another machine run `hf download "
            f"{repository}`, bring the folder here and pass its path, `base=./FOLDER`"
        ) from error


def _patterns(family: Family) -> list[str]:
    """Files of a repository that a base of this family needs."""
    patterns = ["model_index.json", "scheduler/*.json"]
    patterns += [f"{folder}/*" for folder in family.tokenizer_folders]
    for component, stem in family.weights.items():
        patterns += [f"{component}/config.json", f"{component}/{stem}.safetensors"]
    return patterns


def check(folder: Path, family: Family) -> dict[str, str | None]:
    """Check that the folder of a base is complete, before anything large is loaded.

    Args:
        folder: Diffusers folder.
        family: Family of the base.

    Returns:
        Component -> variant of its weights, None or "fp16".

    Raises:
        BaseModelError: A file is missing, of another class, or no weights.
    """
    files = {
        **dict.fromkeys(family.weights, "config.json"),
        "scheduler": "scheduler_config.json",
        **dict.fromkeys(family.tokenizer_folders, ""),
    }
    for part, file in files.items():
        if not (folder / part / file).exists():
            *others, last = sorted(files)
            raise BaseModelError(
                f"base folder {folder} has no {part}{'/' + file if file else ''}: a diffusers "
                f"{family.title} folder holds {', '.join(others)} and {last}"
            )
    _check_classes(folder, family)
    for name in family.tokenizer_folders:
        _check_vocabulary(folder / name)
    return {part: _variant(folder, part, stem) for part, stem in family.weights.items()}


def _variant(folder: Path, part: str, stem: str) -> str | None:
    """The variant of a component's weights.

    Raises:
        BaseModelError: There are no weights that can be read.
    """
    present = [
        variant for variant in (None, "fp16") if weights(folder, part, stem, variant).exists()
    ]
    if not present:
        pickled = sorted(path.name for path in (folder / part).glob("*.bin"))
        why = f"only {', '.join(pickled)}, which can carry code" if pickled else "no weights"
        raise BaseModelError(
            f"the {part} of base folder {folder} has {why}: latentdrift reads {stem}.safetensors; "
            "get the safetensors files of this model, or save it again with diffusers' "
            "save_pretrained"
        )
    path = weights(folder, part, stem, present[0])
    if instead := instead_of_weights(path):
        raise BaseModelError(f"{path} is {instead}")
    return present[0]


def index(folder: Path) -> dict[str, Any]:
    """Content of model_index.json, which names the pipeline and the class of each component.

    Args:
        folder: Diffusers folder.

    Returns:
        The content; empty where there is no such file.

    Raises:
        BaseModelError: The file is not JSON.
    """
    path = folder / "model_index.json"
    return config(path) if path.is_file() else {}


def _check_classes(folder: Path, family: Family) -> None:
    """Check that components are of the classes that are read.

    Raises:
        BaseModelError: One is of another class.
    """
    for part, (key, known) in family.classes.items():
        stated = config(folder / part / "config.json").get(key)
        classes = stated if isinstance(stated, list) else [stated]
        if stated and not set(classes) & set(known):
            raise BaseModelError(
                f"the {part} of base folder {folder} is a {' or '.join(map(str, classes))}; "
                f"latentdrift reads {known[0]}: choose a base of {family.title} shape"
            )


def _check_vocabulary(folder: Path) -> None:
    """Check that a tokenizer has its vocabulary; without one it loads, and no prompt has effect.

    Raises:
        BaseModelError: It has none, or a part of them.
    """
    ways = (("tokenizer.json",), ("vocab.json", "merges.txt"))
    if any(all((folder / name).is_file() for name in way) for way in ways):
        return
    there = (
        ", ".join(sorted(path.name for path in folder.iterdir() if path.is_file()))
        if folder.is_dir()
        else ""
    )
    raise BaseModelError(
        f"the tokenizer folder {folder} has no vocabulary: it holds {there or 'no file'}, and "
        "tokenizer.json, or vocab.json and merges.txt, are needed; fetch the tokenizer of this "
        "model again"
    )


def instead_of_weights(path: Path) -> str | None:
    """Describe a file that holds no weights, such as a Git LFS pointer, and the remedy.

    Returns:
        The description; None where the file may hold weights.
    """
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return (
            "a Git LFS pointer and not the weights: run `git lfs pull` where it was cloned, or "
            "download the file itself"
        )
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "a web page and not the weights: the download led to a page (a login, or the file's "
            "description); download the file itself"
        )
    return None


def config(path: Path) -> dict[str, Any]:
    """Read one of diffusers' JSON files.

    Raises:
        BaseModelError: It is not JSON, or no table of names and values.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BaseModelError(
            f"{path} is not JSON ({error}): it is damaged; fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise BaseModelError(
            f"{path} is no table of names and values: it is damaged; fetch it again"
        )
    return content


def weights(folder: Path, part: str, stem: str, variant: str | None) -> Path:
    """Path at which diffusers stores the weights of a component.

    Args:
        folder: Diffusers folder.
        part: Component, a sub-folder.
        stem: File name without its ending.
        variant: Variant of the weights, as "fp16"; None: the plain one.
    """
    return folder / part / ".".join([stem, *([variant] if variant else []), "safetensors"])


@lru_cache(maxsize=64)
def sha256(path: Path, mtime_ns: int, size: int) -> str:
    """SHA-256 of a file's content, cached by path, time and size.

    Args:
        path: The file.
        mtime_ns: Its time of modification in nanoseconds.
        size: Its size in bytes.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_complete(
    kind: Any, folder: Path, variant: str | None, dtype: torch.dtype, device: torch.device
) -> Any:
    """Load a model with every one of its weights; a file that lacks some would otherwise leave them
    random.

    Args:
        kind: A class of diffusers or transformers.
        folder: Folder of the component.
        variant: Variant of its weights, None or "fp16".
        dtype: Number format.
        device: Device; on `meta` the model has shapes alone, and no weights are read.

    Raises:
        BaseModelError: The weights are damaged, incomplete or of another model.
    """
    from safetensors import SafetensorError

    if device.type == "meta":
        return _without_weights(kind, folder, dtype)
    options = {
        "torch_dtype": dtype,
        "variant": variant,
        "use_safetensors": True,
        "local_files_only": True,
        "output_loading_info": True,
    }
    try:
        model, report = kind.from_pretrained(folder, **options)
    # cut short, or of other shapes than config.json says
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BaseModelError(
            f"{folder} cannot be loaded ({error}): it is damaged or of another model; fetch it "
            "again"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise BaseModelError(
            f"the weights in {folder} are incomplete: {len(missing)} tensors missing, the first "
            f"{missing[0]}"
        )
    return model.to(device)


def _without_weights(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """A model of a folder's configuration, on the device `meta`.

    Args:
        kind: A class of diffusers, or one of transformers, which names the class of its
            configuration.
        folder: Folder of the component.
        dtype: Number format.
    """
    import torch

    configuration = getattr(kind, "config_class", None)
    with torch.device("meta"):
        model = (
            kind(configuration.from_pretrained(folder))
            if configuration
            else kind.from_config(kind.load_config(folder))
        )
    return torch.nn.Module.to(model, dtype)

"""Where a base lies on this machine, and whether it is complete, before anything heavy is
loaded."""

from __future__ import annotations

import hashlib
import json
from difflib import get_close_matches
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from latentdrift.errors import BaseModelError

WEIGHTS = {
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "unet": "diffusion_pytorch_model",
}
"""Component -> name of its weight file, without the ending."""


PIPELINE = "StableDiffusion"
"""What the class of a pipeline of our parts begins with."""

# Beginning of a pipeline's class -> the name that its models are known by; of several that fit, the
# longest.
FOREIGN = {
    "StableDiffusionXL": "SDXL",
    "StableDiffusion3": "Stable Diffusion 3",
    "StableDiffusionUpscale": "an upscaler",
    "StableDiffusionLatentUpscale": "an upscaler",
    "StableDiffusionDepth2Img": "a depth-to-image model",
    "StableDiffusionImageVariation": "image variations",
    "StableCascade": "Stable Cascade",
    "StableUnCLIP": "unCLIP",
    "StableVideoDiffusion": "Stable Video Diffusion",
    "AltDiffusion": "AltDiffusion",
    "AuraFlow": "AuraFlow",
    "Chroma": "Chroma",
    "Flux": "FLUX.1",
    "Flux2": "FLUX.2",
    "HunyuanDiT": "Hunyuan-DiT",
    "IF": "DeepFloyd IF",
    "Kandinsky": "Kandinsky",
    "Kolors": "Kolors",
    "LatentConsistencyModel": "a latent consistency model",
    "Lumina": "Lumina",
    "PixArt": "PixArt",
    "QwenImage": "Qwen-Image",
    "Sana": "Sana",
    "Wuerstchen": "Wuerstchen",
}

# Component -> key of its config.json, and what it may say.
KINDS = {
    "unet": ("_class_name", ("UNet2DConditionModel",)),
    "text_encoder": (
        "architectures",
        ("CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel"),
    ),
}


def cards() -> dict[str, dict[str, Any]]:
    """The named bases: name -> row of cards.yaml."""
    import yaml

    return yaml.safe_load((files("latentdrift.model") / "cards.yaml").read_text(encoding="utf-8"))


def find(name: str, *, fetch: bool = True) -> Path:
    """The folder on this machine of a named base, a folder, or a hub id.

    Args:
        name: Of the base.
        fetch: Download it if need be; else only what was downloaded before is found.
    """
    known = cards()
    card = known.get(name, {})
    if "folder" in card:
        return Path(str(files("latentdrift.model"))) / card["folder"]
    if not card and Path(name).is_dir():
        return Path(name)
    check_name(name)
    return _download(card.get("repository", name), card.get("revision"), fetch)


def check_name(name: str) -> None:
    """See that a base is a named one, a folder, or can be a hub id.

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
    """Whether a name can be a repository's on the Hugging Face hub."""
    looks_like_path = name.startswith((".", "/", "~")) or Path(name).suffix in (
        ".safetensors",
        ".ckpt",
        ".bin",
    )
    return not looks_like_path and name.count("/") == 1


def _download(repository: str, revision: str | None, fetch: bool) -> Path:
    """A hub repository's parts that we read, from the local cache or the network; of another family
    only its index is fetched."""
    from huggingface_hub import snapshot_download

    wanted = ["model_index.json", "scheduler/*.json", "tokenizer/*"]
    wanted += [
        f"{part}/{name}"
        for part, stem in WEIGHTS.items()
        for name in ("config.json", f"{stem}.safetensors")
    ]
    try:
        fetched = partial(
            snapshot_download, repository, revision=revision, local_files_only=not fetch
        )
        _check_family(Path(fetched(allow_patterns=["model_index.json"])))
        return Path(fetched(allow_patterns=wanted))
    except (
        OSError,
        ValueError,
    ) as error:  # no network, no such repository, no permission, not an id
        if not fetch:
            raise BaseModelError(
                f"base '{repository}' is not on this machine, and nobody asked for the network: "
                f"give its folder with `base`, or `base={repository}` to fetch it from the Hugging "
                "Face hub"
            ) from error
        raise BaseModelError(
            f"base '{repository}' could not be fetched from the Hugging Face hub "
            f"({type(error).__name__}). Without a network: on another machine run `hf download "
            f"{repository}`, bring the folder here and pass its path, `base=./FOLDER`"
        ) from error


def check(folder: Path) -> dict[str, str | None]:
    """What is there before anything heavy is loaded: component -> variant of its weights (None or
    'fp16')."""
    _check_family(folder)
    for part, file in {
        **dict.fromkeys(WEIGHTS, "config.json"),
        "scheduler": "scheduler_config.json",
        "tokenizer": "",
    }.items():
        if not (folder / part / file).exists():
            raise BaseModelError(
                f"base folder {folder} has no {part}{'/' + file if file else ''}: a diffusers "
                "Stable Diffusion folder holds scheduler, text_encoder, tokenizer, unet and vae"
            )
    _check_kinds(folder)
    _check_vocabulary(folder / "tokenizer")
    variants: dict[str, str | None] = {}
    for part, stem in WEIGHTS.items():
        found = [variant for variant in (None, "fp16") if weights(folder, part, variant).exists()]
        if not found:
            foreign = sorted(path.name for path in (folder / part).glob("*.bin"))
            why = f"only {', '.join(foreign)}, which can carry code" if foreign else "no weights"
            raise BaseModelError(
                f"the {part} of base folder {folder} has {why}: latentdrift reads "
                f"{stem}.safetensors; get the safetensors files of this model, or save it again "
                "with diffusers' save_pretrained"
            )
        if instead := instead_of_weights(weights(folder, part, found[0])):
            raise BaseModelError(f"{weights(folder, part, found[0])} is {instead}")
        variants[part] = found[0]
    return variants


def index(folder: Path) -> dict[str, Any]:
    """model_index.json, which names the pipeline and the class of each component; empty where there
    is none."""
    path = folder / "model_index.json"
    return config(path) if path.is_file() else {}


def _check_family(folder: Path) -> None:
    """Refuse another family of models by its name: by the pipeline's class, and without one by its
    components.

    Raises:
        BaseModelError: it is not of SD 1.x or 2.x shape.
    """
    named = index(folder).get("_class_name") or ""
    kind = str(
        named[-1] if isinstance(named, list) else named
    )  # [module, class] of a pipeline with code of its own
    beginnings = [beginning for beginning in FOREIGN if kind.startswith(beginning)]
    ours = (
        "latentdrift works with SD 1.x and 2.x shapes, whose folders are of class "
        "StableDiffusionPipeline"
    )
    if beginnings:
        raise BaseModelError(
            f"base {folder} is {FOREIGN[max(beginnings, key=len)]} ({kind}); {ours}"
        )
    if kind and not kind.startswith(PIPELINE):
        raise BaseModelError(
            f"base {folder} is a {kind}; {ours}. If its parts are those of Stable Diffusion, write "
            "that class as _class_name into its model_index.json"
        )
    for part, families in {
        "text_encoder_2": "SDXL, SD3 or FLUX",
        "transformer": "SD3, FLUX or another transformer",
    }.items():
        if (folder / part).exists():
            raise BaseModelError(f"base {folder} has a {part} ({families}); {ours}")


def _check_kinds(folder: Path) -> None:
    """See that components are of the classes that we read.

    Raises:
        BaseModelError: one is of another class.
    """
    for part, (key, known) in KINDS.items():
        said = config(folder / part / "config.json").get(key)
        found = said if isinstance(said, list) else [said]
        if said and not set(found) & set(known):
            raise BaseModelError(
                f"the {part} of base folder {folder} is a {' or '.join(map(str, found))}; "
                f"latentdrift reads {known[0]}: choose a base of SD 1.x or 2.x shape"
            )


def _check_vocabulary(folder: Path) -> None:
    """See that a tokenizer has its words: without them it loads, and no prompt reaches the network.

    Raises:
        BaseModelError: it has none, or a part of them.
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
    """What stands in a file in place of weights, and what to do; None where it may be weights."""
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
    """The contents of one of diffusers' JSON files."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BaseModelError(
            f"{path} is not JSON ({error}): it is damaged; fetch it again"
        ) from error


def weights(folder: Path, part: str, variant: str | None) -> Path:
    """Where diffusers keeps the weights of a component."""
    return folder / part / ".".join([WEIGHTS[part], *([variant] if variant else []), "safetensors"])


@lru_cache(maxsize=64)
def sha256(path: Path, mtime_ns: int, size: int) -> str:
    """Hash of a file's contents, remembered as long as its time and size stay."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

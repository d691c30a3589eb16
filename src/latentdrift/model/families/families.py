"""FAMILIES: the families of bases that can be adapted; and the names of those that cannot."""

from __future__ import annotations

from pathlib import Path

from latentdrift.errors import BaseModelError
from latentdrift.model import model_files
from latentdrift.model.families.family import Family
from latentdrift.model.families.sd import STABLE_DIFFUSION

FAMILIES: dict[str, Family] = {
    STABLE_DIFFUSION.name: STABLE_DIFFUSION,
}

# Beginning of a pipeline's class -> name of its models, for families that are not supported; of
# several that match, the longest counts.
UNSUPPORTED = {
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

# Component of a folder without a pipeline's class -> the families that have it.
UNSUPPORTED_COMPONENTS = {
    "text_encoder_2": "SDXL, SD3 or FLUX",
    "transformer": "SD3, FLUX or another transformer",
}


def family_named(name: str) -> Family:
    """Look up a row of FAMILIES.

    Args:
        name: Name in adapter.json.

    Raises:
        BaseModelError: There is no such row.
    """
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise BaseModelError(
            f"the adapter is for a base of the family '{name}', and this latentdrift knows "
            f"{known}: update it"
        )
    return FAMILIES[name]


def family_of(folder: Path) -> Family:
    """The family of the base in a folder: by its pipeline's class, else by its components.

    Args:
        folder: A diffusers folder, or one that holds no more than model_index.json.

    Raises:
        BaseModelError: The family is not supported; the message names it.
    """
    pipeline = _pipeline_class(folder)
    unsupported = [prefix for prefix in UNSUPPORTED if pipeline.startswith(prefix)]
    known = [row for row in FAMILIES.values() if pipeline.startswith(row.pipeline_prefix)]
    longest = max(unsupported, key=len, default="")
    if longest and not any(len(row.pipeline_prefix) >= len(longest) for row in known):
        raise BaseModelError(
            f"base {folder} is {UNSUPPORTED[longest]} ({pipeline}); {_supported()}"
        )
    if pipeline and not known:
        raise BaseModelError(
            f"base {folder} is a {pipeline}; {_supported()}. If its parts are of such a shape, "
            "write that class as _class_name into its model_index.json"
        )
    candidates = known or list(FAMILIES.values())
    for component, families in UNSUPPORTED_COMPONENTS.items():
        candidates = [
            row
            for row in candidates
            if component in row.weights or not (folder / component).exists()
        ]
        if not candidates:
            raise BaseModelError(f"base {folder} has a {component} ({families}); {_supported()}")
    return max(candidates, key=lambda row: len(row.pipeline_prefix) if known else 0)


def _supported() -> str:
    """A clause that names the families, and the classes of their folders."""
    shapes = " and ".join(f"{row.title} shapes" for row in FAMILIES.values())
    classes = " or ".join(row.pipeline for row in FAMILIES.values())
    return f"latentdrift works with {shapes}, whose folders are of class {classes}"


def _pipeline_class(folder: Path) -> str:
    """Class of the pipeline by model_index.json; "" where it is not named."""
    name = model_files.index(folder).get("_class_name") or ""
    # [module, class] of a pipeline with code of its own
    return str(name[-1] if isinstance(name, list) else name)

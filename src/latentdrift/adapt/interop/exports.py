"""EXPORTS: our adapters as the files that other tools load, with the drift that those tools do not
know."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from latentdrift.adapt.adapters import adapter_files
from latentdrift.adapt.adapters.adapter import apply_adapter
from latentdrift.adapt.interop.lora_keys import kohya_name
from latentdrift.adapt.methods import (
    controlnet,
    custom_diffusion,
    full_finetuning,
    lora,
    textual_inversion,
)
from latentdrift.adapt.methods.tensors import save_tensors
from latentdrift.errors import AdapterError, OptionError, unknown
from latentdrift.model import model_files as folders
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.base import Base
from latentdrift.model.families.families import family_named
from latentdrift.storage import folder_written, write_text

DRIFT = "drift.json"
Writer = Callable[[Path, AdapterInfo, str | None, Path], dict[str, str]]
"""(adapter folder, adapter.json, base, folder to write into) -> file -> how to use it."""


def _diffusers_lora(source: Path, info: AdapterInfo, base: str | None, out: Path) -> dict[str, str]:
    shutil.copyfile(source / lora.FILE, out / lora.FILE)
    return {lora.FILE: f'`pipe.load_lora_weights("{out.name}")`'}


def _kohya_lora(source: Path, info: AdapterInfo, base: str | None, out: Path) -> dict[str, str]:
    changes = lora.read(source / lora.FILE)
    family = family_named(info.base.family)
    name = f"{_stem(info)}.safetensors"
    tensors: dict[str, Tensor] = {}
    for module, pair in changes.items():
        stem = kohya_name(module, family)
        tensors |= {f"{stem}.lora_down.weight": pair.a, f"{stem}.lora_up.weight": pair.b}
        tensors[f"{stem}.alpha"] = torch.tensor(pair.alpha)
    first = next(iter(changes.values()))
    about = {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(first.rank),
    }
    save_tensors(tensors, out / name, {**about, "ss_network_alpha": f"{first.alpha:g}"})
    use = (
        "`models/Lora` (AUTOMATIC1111) or `models/loras` (ComfyUI), then "
        f"`<lora:{Path(name).stem}:1>` in a prompt"
    )
    return {name: f"put it into {use}. For diffusers: `latentdrift export RUN --to diffusers`"}


def _diffusers_words(
    source: Path, info: AdapterInfo, base: str | None, out: Path
) -> dict[str, str]:
    """A file per word: stock diffusers reads one from each."""
    words = load_file(source / textual_inversion.FILE)
    files = {}
    for word, rows in words.items():
        name = textual_inversion.FILE if len(words) == 1 else f"{_plain(word)}.safetensors"
        save_file({word: rows}, out / name, metadata={"format": "pt"})
        files[name] = f'`pipe.load_textual_inversion("{out.name}/{name}")`; `{word}` in a prompt'
    return files


def _a1111_words(source: Path, info: AdapterInfo, base: str | None, out: Path) -> dict[str, str]:
    """Write learned words as safetensors, and in the older layout of AUTOMATIC1111."""
    files = {}
    for word, rows in load_file(source / textual_inversion.FILE).items():
        name = _plain(word)
        save_file({"emb_params": rows}, out / f"{name}.safetensors", metadata={"format": "pt"})
        about = {
            "name": name,
            "step": info.steps,
            "sd_checkpoint": None,
            "sd_checkpoint_name": _base(info),
        }
        with (out / f"{name}.pt").open(
            "wb"
        ) as file:  # to a path, torch does not say that a disk is full
            torch.save(
                {"string_to_token": {"*": 265}, "string_to_param": {"*": rows}, **about}, file
            )
        files[f"{name}.safetensors"] = (
            f"put it into `embeddings`; `{name}`, the file's name, in a prompt"
        )
        files[f"{name}.pt"] = (
            "the same vectors for tools that read the older layout only; take one of the two"
        )
    return files


def _diffusers_custom(
    source: Path, info: AdapterInfo, base: str | None, out: Path
) -> dict[str, str]:
    shutil.copyfile(source / custom_diffusion.FILE, out / custom_diffusion.FILE)
    network = family_named(info.base.family).network_folder
    load = (
        f'`pipe.{network}.load_attn_procs("{out.name}", weight_name="{custom_diffusion.FILE}", '
        "_pipeline=pipe)`"
    )
    return {
        custom_diffusion.FILE: (
            f"{load}: diffusers sets what it has read only if it is given the pipeline"
        )
    }


def _diffusers_model(
    source: Path, info: AdapterInfo, base: str | None, out: Path
) -> dict[str, str]:
    """All parts of the base with the adapter's network, and the schedule that it was trained for."""
    import diffusers
    from diffusers.utils import logging

    logging.disable_progress_bar()
    place = folders.find(base or info.base.name, fetch=base is not None)
    plain = Base.load(
        base or info.base.name, device="cpu", precision="fp32", fetch=base is not None
    )
    adapted = apply_adapter(plain, source, info)
    if adapted.base.reads_numbers:
        raise AdapterError(
            "this network reads the years and the age of an instruction as numbers, which no "
            "pipeline of diffusers passes on to it; edit with `latentdrift edit`, or load "
            f"{full_finetuning.network_file(source).parent} as a UNet2DConditionModel and give "
            "the numbers as its `class_labels` (latentdrift.model.number_features)"
        )
    changed = adapted.base.schedule is not adapted.base_schedule
    stored = folders.config(place / "scheduler" / "scheduler_config.json")
    # a schedule that ends in noise needs a scheduler that knows it; DDIM's is what `generate` draws
    # with
    kind = (
        "DDIMScheduler"
        if adapted.base.schedule.zero_snr
        else stored.get("_class_name", "DDIMScheduler")
    )
    settings = {**stored, **adapted.base.schedule.config} if changed else stored
    scheduler = getattr(diffusers, kind).from_config(settings)
    pipe = adapted.base.family.stock_pipeline(adapted.base, scheduler)
    pipeline = type(pipe).__name__
    pipe.save_pretrained(out)
    return {
        "model_index.json": (
            f'`{pipeline}.from_pretrained("{out.name}")`: this folder is a whole model'
        )
    }


def _diffusers_controlnet(
    source: Path, info: AdapterInfo, base: str | None, out: Path
) -> dict[str, str]:
    shutil.copytree(source / controlnet.FOLDER, out / controlnet.FOLDER)
    net = f'ControlNetModel.from_pretrained("{out.name}/{controlnet.FOLDER}")'
    hint = f"`image=` is the hint, here of kind `{info.options.hint}`, as large as the picture"
    pipeline = family_named(info.base.family).controlnet_pipeline
    return {controlnet.FILE: f"`{pipeline}.from_pretrained(BASE, controlnet={net})`; {hint}"}


NETWORK = "network"
"""Key of an adapter that holds the whole network: its file is named by the family."""

# Tool -> the file of an adapter, or NETWORK -> how it is written for that tool.
EXPORTS: dict[str, dict[str, Writer]] = {
    "diffusers": {
        lora.FILE: _diffusers_lora,
        textual_inversion.FILE: _diffusers_words,
        custom_diffusion.FILE: _diffusers_custom,
        NETWORK: _diffusers_model,
        controlnet.FILE: _diffusers_controlnet,
    },
    "a1111": {lora.FILE: _kohya_lora, textual_inversion.FILE: _a1111_words},
    "kohya": {lora.FILE: _kohya_lora, textual_inversion.FILE: _a1111_words},
}


def export(path: Path | str, to: str, out: Path, *, base: str | None = None) -> list[str]:
    """Write an adapter as another tool's files, whole or not at all; returns their names.

    Args:
        path: An adapter or run folder.
        to: A row of EXPORTS.
        out: The folder to make.
        base: Where the adapter's base lies, if not where it was trained; needed for whole models
            only.

    Raises:
        OptionError: An unknown tool, or a folder that is not free.
        AdapterError: No adapter, or one that the tool has no form for.
    """
    if to not in EXPORTS:
        raise unknown("format", to, EXPORTS)
    source = adapter_files.locate(path)
    info = adapter_files.read(source)
    here = {file for row in EXPORTS.values() for file in row if (source / file).is_file()}
    if full_finetuning.network_file(source).is_file():
        here.add(NETWORK)
    if not here or here - EXPORTS[to].keys():
        raise AdapterError(_no_form(info, to, here))
    if base is not None and NETWORK not in here:
        raise OptionError(
            f"`base` says where a whole model's base lies, and method '{info.method}' is written "
            "without it; leave it out"
        )
    files: dict[str, str] = {}
    with folder_written(out, replace=True) as aside:
        for file in sorted(here):
            files |= EXPORTS[to][file](source, info, base, aside)
        write_text(aside / DRIFT, json.dumps(info.drift.to_dict(), indent=2) + "\n")
        files = {name: usage.replace(aside.name, out.name) for name, usage in files.items()}
        write_text(aside / "README.md", _readme(info, files))
        _check_replaceable(aside, out)
    return [*files, DRIFT, "README.md"]


def _check_replaceable(folder: Path, out: Path) -> None:
    """Refuse to replace anything but an empty folder or an earlier export of the same content.

    Raises:
        OptionError: Something else is there.
    """
    is_free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not is_free and not (out.is_dir() and _same(folder, out)):
        raise OptionError(f"{out} is there and not empty; give a new folder as `out`")


def _same(folder: Path, other: Path) -> bool:
    """Whether two folders hold the same files; of safetensors the tensors, since their metadata
    have no order."""
    names, others = (
        {file.relative_to(place) for file in place.rglob("*") if file.is_file()}
        for place in (folder, other)
    )
    if names != others:
        return False
    for name in names:
        if (folder / name).read_bytes() == (other / name).read_bytes():
            continue
        if name.suffix != ".safetensors":
            return False
        ours = load_file(folder / name)
        theirs = load_file(other / name)
        if ours.keys() != theirs.keys() or not all(
            torch.equal(ours[key], theirs[key]) for key in ours
        ):
            return False
    return True


README = """# An adapter made with latentdrift

Method `{method}`, for base `{base}` (hash {hash}) and no other.

{files}

## Drift

{drift}

## Use

Research only; every picture that it draws is synthetic: say so wherever it is shown.
"""
DRIFTED = (
    "This adapter has drift (`drift.json`: train {train}, infer {infer}, start {start}), and "
    "**other tools ignore it**: "
    "they begin where the model was not made to. In diffusers, give the start and what is added "
    "after each step as in "
    "`docs/export.md` of latentdrift, whose snippet needs these numbers. Web interfaces have no "
    "place for it: draw with "
    "`latentdrift generate`, or fit with `drift=none`."
)


def _readme(info: AdapterInfo, usages: Mapping[str, str]) -> str:
    drift = info.drift
    note = "It has no drift: stock pipelines draw what latentdrift draws from the same noise."
    if not drift.is_none:
        note = DRIFTED.format(
            train=drift.train or "none", infer=drift.infer or "none", start=drift.start or "none"
        )
    if info.schedule.zero_snr:
        note += " Its schedule ends in pure noise: set `rescale_betas_zero_snr=True` and `timestep_spacing='trailing'`."
    files = "\n".join(f"- `{name}`: {usage}" for name, usage in usages.items())
    return README.format(
        method=info.method,
        base=_base(info),
        hash=info.base.hash[:12],
        files=files,
        drift=note,
    )


def _no_form(info: AdapterInfo, to: str, here: set[str]) -> str:
    method = info.method
    if NETWORK in here:
        script = family_named(info.base.family).single_file_script
        further = f", and {script} of diffusers' repository goes on from there" if script else ""
        return (
            f"{to} wants the whole model of method '{method}' in a single file, which diffusers "
            f"does not write: take `to=diffusers`{further}"
        )
    able = " or ".join(name for name, forms in EXPORTS.items() if here and here <= forms.keys())
    advice = (
        f"take `to={able}`" if able else "its files are gone: copy it again from where it was made"
    )
    return f"an adapter of method '{method}' has no form in {to}; {advice}"


def _base(info: AdapterInfo) -> str:
    """The base's name without the place where it lies."""
    return Path(info.base.name).name


def _stem(info: AdapterInfo) -> str:
    """Stem of an exported file whose name is the word that a user types."""
    return "-".join(["latentdrift", *info.describe.strip("<>").split()]).lower()


def _plain(word: str) -> str:
    """A word as a file's name: web interfaces read angle brackets otherwise."""
    return word.strip("<>").replace("/", "-")

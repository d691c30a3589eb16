"""Each method and one sample at Stable Diffusion 1.5's size, random weights: seconds, memory, what
the dry run said.

python benchmarks/real_size.py FOLDER [METHOD ...]      FOLDER: where the 4.3 GB of random weights go, or lie
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from latentdrift.adapt.methods.methods import METHODS

RESOLUTION = 256  # pixels

UNET = {  # runwayml/stable-diffusion-v1-5, unet/config.json
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
}
VAE = {  # vae/config.json
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def make(folder: Path) -> None:
    """A diffusers folder of SD 1.5's shape; the tokenizer is the pocket base's, in CLIP's
    layout."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    import latentdrift.model.pocket as pocket

    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(Path(pocket.__path__[0]) / "weights" / "tokenizer")
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            vocab_size=49408,
            **ids,
        )
    )
    schedule = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    parts = (
        AutoencoderKL(**VAE),
        text,
        tokenizer,
        UNet2DConditionModel(**UNET),
        schedule,
        None,
        None,
    )
    StableDiffusionPipeline(*parts, requires_safety_checker=False).save_pretrained(folder)


def fitting(base: Path, work: Path, method: str) -> Any:
    """Two steps of one image, on a phantom cohort."""
    from latentdrift import config, service
    from latentdrift.adapt.training.setup import drift_calibration, prior_preservation

    for drawing in (prior_preservation, drift_calibration):
        drawing.HOW["steps"] = (
            1  # pictures are drawn in one step: their time is not what is measured here
        )
    scans = work / "scans"
    service.run(
        "phantom",
        config.PhantomOptions(out=scans, patients=4, visits=2, size=RESOLUTION),
        quiet=True,
    )
    wanted = config.ImportOptions(
        source=scans, table=scans / "table.csv", map=scans / "map.yaml", out=work / "cohort"
    )
    service.run("import", wanted, quiet=True)
    options: dict[str, Any] = {
        "resolution": RESOLUTION,
        "batch_size": 1,
        "steps": 2,
        "preview_every": 0,
        "precision": "fp32",
    }
    if "prior_images" in METHODS[method].defaults:
        options["prior_images"] = 1
    return config.FitOptions(
        cohort=work / "cohort", base=str(base), method=method, out=work / "run", **options
    )


def sample(base: Path, work: Path) -> dict[str, Any]:
    from latentdrift import config, service

    began = time.perf_counter()
    asked = config.GenerateOptions(
        adapter=str(base),
        prompt=("a brain MRI",),
        n=1,
        steps=10,
        guidance=1,
        resolution=RESOLUTION,
        out=work / "s",
    )
    service.run("generate", asked, quiet=True)
    return {"seconds": round(time.perf_counter() - began, 1)}


def plan(base: Path, work: Path, method: str) -> dict[str, Any]:
    from latentdrift.cli import dry_run

    cost = dry_run.run("fit", fitting(base, work, method))
    parameters = cost["trainable_parameters"] / 1e6
    return {
        "seconds_per_step": cost["seconds_per_step"],
        "said_GB": cost["memory_bytes"] / 1e9,
        "trained_M": parameters,
    }


def fit(base: Path, work: Path, method: str) -> dict[str, Any]:
    from latentdrift import service

    service.run("fit", fitting(base, work, method), quiet=True)
    return {}


def alone(base: Path, what: str, *method: str) -> dict[str, Any]:
    """Run this file's function `what` in a process of its own, so that its peak memory is its
    own."""
    told = subprocess.run(
        [sys.executable, __file__, str(base), f"={what}", *method],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(told.stdout.splitlines()[-1])


def main() -> None:
    """A line per row."""
    base = Path(sys.argv[1])
    rows = sys.argv[2:]
    if rows and rows[0].startswith("="):
        work = Path(tempfile.mkdtemp(dir=base.parent))
        try:
            found = {"=sample": sample, "=plan": plan, "=fit": fit}[rows[0]](base, work, *rows[1:])
        finally:
            shutil.rmtree(work)
        peak = (
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        )  # KiB (getrusage(2)) -> GB
        sys.stdout.write(json.dumps({**found, "peak_GB": peak}) + "\n")
        return
    if not (base / "unet").is_dir():
        make(base)
    for row in rows or ["sample", *METHODS]:
        if row == "sample":
            sys.stdout.write(f"{row}: {alone(base, row)}\n")
            continue
        said = alone(base, "plan", row)
        done = alone(base, "fit", row)
        shown = [
            f"{said['trained_M']:.2f} M",
            f"{said['seconds_per_step']:.1f}",
            f"{said['said_GB']:.1f}",
            f"{done['peak_GB']:.1f}",
        ]
        sys.stdout.write(
            f"| `{row}` | {' | '.join(shown)} | {said['said_GB'] / done['peak_GB']:.2f} |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()

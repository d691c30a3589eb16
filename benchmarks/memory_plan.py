"""Memory that `fit --dry-run` plans for a fit, and the peak of a fit of two steps, each in a process
of its own.

python benchmarks/memory_plan.py pocket [--resolution 128] [--batch-size 8] [METHOD ...]
python benchmarks/memory_plan.py FOLDER --resolution 256 --batch-size 1 [METHOD ...]

FOLDER: where 4.3 GB of random weights in the shape of Stable Diffusion 1.5 go, or lie. Its fits take
5 to 16 GB, one after another.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from latentdrift.adapt.methods.methods import METHODS

VOCABULARY = 49408  # tokens of CLIP
STEPS = 2  # the second has the optimiser's state

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
    """A diffusers folder of SD 1.5's shape; the tokenizer is the pocket base's, in CLIP's layout,
    filled up to the size of CLIP's vocabulary."""
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
            vocab_size=VOCABULARY,
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
    path = folder / "tokenizer" / "tokenizer.json"
    stored = json.loads(path.read_text())
    known = stored["model"]["vocab"]
    stored["model"]["vocab"] |= {f"filler-{i}": i for i in range(len(known), VOCABULARY)}
    path.write_text(json.dumps(stored))


def options_of(given: argparse.Namespace, method: str, work: Path) -> Any:
    """Options of a fit of two steps on a phantom cohort, without images that it would draw for
    hours."""
    from latentdrift import config, service

    scans = work / "scans"
    size = given.resolution
    phantom = config.PhantomOptions(out=scans, patients=8, visits=2, size=size)
    service.run("phantom", phantom, quiet=True)
    wanted = config.ImportOptions(
        source=scans, table=scans / "table.csv", map=scans / "map.yaml", out=work / "cohort"
    )
    service.run("import", wanted, quiet=True)
    more: dict[str, Any] = {}
    if "prior_images" in METHODS[method].defaults:
        more["prior_images"] = 1
    return config.FitOptions(
        cohort=work / "cohort",
        base=given.base,
        method=method,
        out=work / "run",
        resolution=size,
        batch_size=given.batch_size,
        steps=STEPS,
        drift="0.1",
        preview_every=0,
        precision=given.precision,
        gradient_checkpointing=given.gradient_checkpointing,
        **more,
    )


def plan(options: Any) -> dict[str, Any]:
    """What the dry run says."""
    from latentdrift.cli import dry_run

    cost = dry_run.run("fit", options)
    return {name: cost[name] for name in ("memory_bytes", "memory_parts_bytes", "seconds_per_step")}


def fit(options: Any) -> dict[str, Any]:
    """Peak of a fit, in bytes."""
    from latentdrift import service
    from latentdrift.adapt.training.setup import prior_preservation

    few = {"steps": 1}  # class pictures are drawn in one step: their time is not what is measured
    prior_preservation.SAMPLING = dataclasses.replace(prior_preservation.SAMPLING, **few)
    service.run("fit", options, quiet=True)
    # KiB (getrusage(2))
    return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def alone(what: str, method: str) -> dict[str, Any]:
    """Run `plan` or `fit` in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--alone", what, "--only", method]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--alone", choices=("plan", "fit"), help=argparse.SUPPRESS)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """A line per method: planned and measured GB, their ratio, and the parts of the plan."""
    given = arguments()
    if given.alone:
        with tempfile.TemporaryDirectory() as work:
            options = options_of(given, given.only, Path(work))
            result = plan(options) if given.alone == "plan" else fit(options)
        sys.stdout.write(json.dumps(result) + "\n")
        return
    if given.base != "pocket" and not (Path(given.base) / "unet").is_dir():
        make(Path(given.base))
    for method in given.methods:
        planned = alone("plan", method)
        peak = alone("fit", method)["peak_bytes"]
        total = planned["memory_bytes"]
        parts = " ".join(f"{k} {v / 1e9:.2f}" for k, v in planned["memory_parts_bytes"].items())
        sys.stdout.write(
            f"| `{method}` | {total / 1e9:.2f} | {peak / 1e9:.2f} | {total / peak:.2f} | {parts} |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""One training step of each method and one sample at Stable Diffusion 1.5's size, with random weights: seconds and memory.

python benchmarks/real_size.py FOLDER [METHOD ...]      FOLDER: where the 4.3 GB of random weights go, or lie
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

RESOLUTION = 256  # pixels

UNET = {  # runwayml/stable-diffusion-v1-5, unet/config.json
    "sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8,
    "block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2,
}  # fmt: skip
VAE = {  # vae/config.json
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4, "sample_size": 512,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip


def make(folder: Path) -> None:
    """A diffusers folder of SD 1.5's shape; the tokenizer is the pocket base's, in CLIP's layout."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    import latentdrift.model.pocket as pocket

    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(Path(pocket.__path__[0]) / "weights" / "tokenizer")
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    text = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, vocab_size=49408, **ids
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
    parts = (AutoencoderKL(**VAE), text, tokenizer, UNet2DConditionModel(**UNET), schedule, None, None)
    StableDiffusionPipeline(*parts, requires_safety_checker=False).save_pretrained(folder)


def measure(base: Path, what: str) -> dict[str, float | str]:
    """In a process of its own, so that its peak memory is its own."""
    from latentdrift import config, plans, service

    work = Path(tempfile.mkdtemp(dir=base.parent))
    began = time.perf_counter()
    if what == "sample":
        asked = config.GenerateOptions(
            adapter=str(base), prompt=("a brain MRI",), n=1, steps=10, guidance=1, resolution=RESOLUTION, out=work / "s"
        )
        service.run("generate", asked, quiet=True)
        seconds = time.perf_counter() - began
    else:
        service.run("phantom", config.PhantomOptions(out=work / "scans", patients=4, visits=1, size=RESOLUTION), quiet=True)
        scans = work / "scans"
        wanted = config.ImportOptions(source=scans, table=scans / "table.csv", map=scans / "map.yaml", out=work / "cohort")
        service.run("import", wanted, quiet=True)
        asked = config.FitOptions(
            cohort=work / "cohort", base=str(base), method=what, out=work / "run", resolution=RESOLUTION, batch_size=1, steps=1
        )
        seconds = plans.run("fit", asked)["seconds_per_step"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kB -> GB
    return {
        "what": what,
        "seconds": round(seconds, 1),
        "peak_GB": round(peak, 1),
        "total_seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Every row in a process of its own."""
    base, rows = Path(sys.argv[1]), sys.argv[2:]
    if len(rows) == 1 and rows[0].startswith("="):
        sys.stdout.write(json.dumps(measure(base, rows[0][1:])) + "\n")
        return
    if not (base / "unet").is_dir():
        make(base)
    for what in rows or ["sample", "textual-inversion", "lora", "full"]:
        subprocess.run([sys.executable, __file__, str(base), f"={what}"], check=True)


if __name__ == "__main__":
    main()

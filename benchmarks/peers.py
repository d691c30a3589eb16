"""Time of training steps, start-up and sampling beside diffusers' example scripts and pipeline.

    python benchmarks/peers.py DIFFUSERS COHORT FOLDER [--runs 3] [--steps 5 25] [--rows lora ...]

DIFFUSERS is a checkout of huggingface/diffusers, whose examples/ are run as they are. Both sides
fit the pocket base to the training images of COHORT with the same prompts, at 128 px, batch 8,
float32, one thread. Every run is a process of its own; runs of both sides alternate. The time of a
step is the difference of a long and a short run, and start-up what the short run takes beside its
steps. Medians over runs, in processor seconds and in seconds of wall time. Above a ratio of 1
ours is faster.

The scripts import torchvision's transforms. Where it is not installed, `stand_ins` has those that
they use.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.prompts.prompt_style import Manner

BATCH = 8
RESOLUTION = 128  # pixels
VECTORS = 8
RANK = 8
SAMPLING_STEPS = 25
RUN_EXAMPLE = Path(__file__).parent / "stand_ins" / "run_example.py"

STOCK_PIPELINE = """
import sys
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
base, count, steps, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
pipe = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
pipe.set_progress_bar_config(disable=True)
for first in range(0, count, 8):
    prompts = ["a brain MRI"] * min(8, count - first)
    for i, image in enumerate(pipe(prompts, num_inference_steps=steps, guidance_scale=2.5).images):
        image.save(f"{out}/{first + i}.png")
"""


@dataclass(frozen=True)
class Setting:
    """What all rows are run on."""

    examples: Path
    """Folder `examples` of a checkout of diffusers."""
    cohort: Path
    base: Path
    """The pocket base's folder."""
    images: Path
    """Training images alone, as the script of textual inversion reads them."""
    captioned: Path
    """Training images with `metadata.csv`, as the other scripts read them."""
    runs: Path
    """Folder of the runs, emptied before each."""


@dataclass(frozen=True)
class Cost:
    """Seconds that a process took."""

    processor: float
    wall: float


Command = Callable[[Setting, int, Path], list[str]]
"""(setting, steps or images, folder to write) -> a command line."""


def fit_by_us(method: str, *more: str) -> Command:
    """A fit of so many steps."""

    def command(setting: Setting, steps: int, out: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "latentdrift", "fit", str(setting.cohort), "--out", str(out)),
            *("--method", method, "--steps", str(steps), "--batch-size", str(BATCH)),
            *("--drift", "none", "--tracker", "none", "--preview-every", "0"),
            *("--checkpoint-every", str(steps), "--precision", "fp32", "--device", "cpu", *more),
        ]

    return command


def fit_by_script(script: str, *more: str, data: str = "captioned") -> Command:
    """The same number of steps of an example script.

    Args:
        script: Its path below `examples`.
        more: Further arguments.
        data: Field of the setting with the folder that it reads.
    """

    def command(setting: Setting, steps: int, out: Path) -> list[str]:
        return [
            *(sys.executable, str(RUN_EXAMPLE), str(setting.examples / script)),
            *("--pretrained_model_name_or_path", str(setting.base)),
            *("--train_data_dir", str(getattr(setting, data)), "--output_dir", str(out)),
            *("--resolution", str(RESOLUTION), "--train_batch_size", str(BATCH)),
            *("--max_train_steps", str(steps), "--seed", "0", "--mixed_precision", "no"),
            *more,
        ]

    return command


def draw_by_us(setting: Setting, count: int, out: Path) -> list[str]:
    """So many images of the base alone."""
    return [
        *(sys.executable, "-m", "latentdrift", "generate", "pocket", "--out", str(out)),
        *("--prompt", "a brain MRI", "--n", str(count), "--steps", str(SAMPLING_STEPS)),
        *("--guidance", "2.5", "--sampler", "ddim", "--precision", "fp32", "--device", "cpu"),
    ]


def draw_by_pipeline(setting: Setting, count: int, out: Path) -> list[str]:
    """The same images by the stock pipeline."""
    out.mkdir(parents=True)
    arguments = [str(setting.base), str(count), str(SAMPLING_STEPS), str(out)]
    return [sys.executable, "-c", STOCK_PIPELINE, *arguments]


FITS: dict[str, tuple[Command, Command]] = {
    "lora": (
        fit_by_us("lora", "--rank", str(RANK), "--targets", "attention"),
        fit_by_script(
            "text_to_image/train_text_to_image_lora.py",
            *("--rank", str(RANK), "--caption_column", "text"),
        ),
    ),
    "textual-inversion": (
        fit_by_us("textual-inversion", "--vectors", str(VECTORS)),
        fit_by_script(
            "textual_inversion/textual_inversion.py",
            *("--placeholder_token", "<cohort>", "--initializer_token", "brain"),
            *("--num_vectors", str(VECTORS), "--learnable_property", "style"),
            data="images",
        ),
    ),
    "full": (
        fit_by_us("full"),
        fit_by_script("text_to_image/train_text_to_image.py", "--caption_column", "text"),
    ),
}
"""Row -> (our command, the script's)."""

DRAWINGS: dict[str, int] = {"generate 1 image": 1, "generate 16 images": 16}
"""Row -> number of images."""


def main() -> None:
    options = arguments()
    setting = prepare(options.diffusers, options.cohort, options.folder)
    write("| | ours, processor s | peer, processor s | ratio | ours, s | peer, s | ratio |")
    write("|---|---|---|---|---|---|---|")
    for row in options.rows:
        if row in DRAWINGS:
            ours, theirs = alternate(
                setting, draw_by_us, draw_by_pipeline, DRAWINGS[row], options.runs
            )
            write_row(row, ours, theirs)
            continue
        few, many = options.steps
        short = alternate(setting, *FITS[row], few, options.runs)
        long = alternate(setting, *FITS[row], many, options.runs)
        step = [per_step(a, b, many - few) for a, b in zip(short, long, strict=True)]
        write_row(f"{row}, a step", *step)
        begin = [
            Cost(a.processor - few * b.processor, a.wall - few * b.wall)
            for a, b in zip(short, step, strict=True)
        ]
        write_row(f"{row}, before and after the steps", *begin)


def prepare(diffusers: Path, cohort: Path, folder: Path) -> Setting:
    """Write the training images as the example scripts read them, and the stand-ins.

    Raises:
        SystemExit: `diffusers` is no checkout.
    """
    import latentdrift.model.pocket as pocket

    if not (diffusers / "examples" / "text_to_image").is_dir():
        raise SystemExit(f"{diffusers} has no examples/text_to_image; give a checkout of diffusers")
    images = folder / "images"
    captioned = folder / "captioned"
    shutil.rmtree(images, ignore_errors=True)
    shutil.rmtree(captioned, ignore_errors=True)
    images.mkdir(parents=True)
    captioned.mkdir()
    read = Cohort.load(cohort)
    rows = read.rows("train")
    pixels = read.batch(rows, RESOLUTION)
    style = Manner()
    with (captioned / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "text"])
        for i, (row, unit) in enumerate(zip(rows.to_dict("records"), pixels, strict=True)):
            grey = ((unit.transpose(1, 2, 0) + 1) * 127.5).round().clip(0, 255).astype("uint8")
            for place in (images, captioned):
                Image.fromarray(grey).save(place / f"{i:06d}.png")
            table.writerow([f"{i:06d}.png", style.words(read.describe, row, read.attributes, i)])
    base = Path(pocket.__path__[0]) / "weights"
    return Setting(diffusers / "examples", cohort, base, images, captioned, folder / "runs")


def alternate(
    setting: Setting, ours: Command, theirs: Command, count: int, runs: int
) -> tuple[Cost, Cost]:
    """Median costs of both commands, whose runs alternate."""
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for _ in range(runs):
        for command, taken in zip((ours, theirs), costs, strict=True):
            out = setting.runs / "run"
            shutil.rmtree(out, ignore_errors=True)
            taken.append(timed(command(setting, count, out)))
    medians = [
        Cost(
            statistics.median(cost.processor for cost in taken),
            statistics.median(cost.wall for cost in taken),
        )
        for taken in costs
    ]
    return medians[0], medians[1]


def timed(command: list[str]) -> Cost:
    """Run a command with one thread.

    Raises:
        SystemExit: It failed; what it said last is shown.
    """
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed:\n{done.stderr[-3000:]}")
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def per_step(short: Cost, long: Cost, steps: int) -> Cost:
    """Seconds of one step."""
    return Cost((long.processor - short.processor) / steps, (long.wall - short.wall) / steps)


def write_row(name: str, ours: Cost, theirs: Cost) -> None:
    """Print a row of the table."""
    write(
        f"| {name} | {ours.processor:.2f} | {theirs.processor:.2f} | "
        f"{theirs.processor / ours.processor:.2f} | {ours.wall:.2f} | {theirs.wall:.2f} | "
        f"{theirs.wall / ours.wall:.2f} |"
    )


def write(line: str) -> None:
    """Write one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("diffusers", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs=2, default=[5, 25])
    rows = [*FITS, *DRAWINGS]
    parser.add_argument("--rows", nargs="+", default=rows, choices=rows)
    return parser.parse_args()


if __name__ == "__main__":
    main()

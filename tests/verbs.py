"""Every verb at a small size, the world that they read, and what they leave on the disk."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import pkgutil
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from kills import CLOCKED, ended, forked
from tiny import tiny_cohort

import latentdrift

CPU = ["--device", "cpu", "--precision", "fp32"]
DRAWN = ["--steps", "2", "--bootstrap", "10", *CPU]

COMMANDS: dict[str, list[str]] = {
    "phantom": ["--patients", "4", "--visits", "2", "--size", "64"],
    "import": [
        "scans",
        "--table",
        "scans/table.csv",
        "--map",
        "scans/map.yaml",
        "--plane",
        "axial",
        "--salt",
        "s",
    ],
    "inspect": ["cohort"],
    "fit": [
        "cohort",
        "--base",
        "base",
        "--method",
        "lora",
        "--rank",
        "2",
        "--steps",
        "6",
        "--batch-size",
        "2",
        "--checkpoint-every",
        "2",
        "--preview-every",
        "0",
        "--drift",
        "none",
        *CPU,
    ],
    "generate": [
        "run",
        "--prompt",
        "a brain mri",
        "--n",
        "4",
        "--steps",
        "3",
        "--batch-size",
        "2",
        *CPU,
    ],
    "edit": [
        "run",
        "cohort",
        "--set",
        "age=80",
        "--split",
        "test",
        "--limit",
        "2",
        "--steps",
        "3",
        *CPU,
    ],
    "evaluate": [
        "--real",
        "cohort",
        "--synthetic",
        "made",
        "--split",
        "train",
        "--bootstrap",
        "10",
        "--device",
        "cpu",
    ],
    "audit": ["run", "--cohort", "cohort", "--draws", "4", "--bootstrap", "10", *CPU],
    "adopt": ["run/adapter/pytorch_lora_weights.safetensors", "--base", "base", "--device", "cpu"],
    "export": ["run", "--to", "diffusers"],
    "reader make": ["--real", "cohort", "--synthetic", "made", "--n", "4", "--split", "train"],
    "reader score": ["--answers", "answers.csv", "--key", "study-key.json", "--bootstrap", "10"],
    "drift estimate": ["cohort", "--adapter", "base", "--n", "4", *DRAWN],
    "drift search": [
        "cohort",
        "--base",
        "base",
        "--stage",
        "train",
        "--grid",
        "0.1",
        "--fit-steps",
        "2",
        "--n",
        "4",
        *DRAWN,
    ],
    "bench table1": [
        "cohort",
        "--base",
        "base",
        "--methods",
        "lora",
        "--variants",
        "none",
        "real",
        "--seeds",
        "1",
        "--fit-steps",
        "2",
        "--classifier-steps",
        "2",
        "--n",
        "4",
        *DRAWN,
    ],
    "bench editors": [
        "run",
        "--cohort",
        "cohort",
        "--editors",
        "ddim",
        "sdedit",
        "--n",
        "2",
        "--round-trip",
        "2",
        *DRAWN,
    ],
    "replay": ["run"],
    "demo": [],
}


DEMO: dict[str, dict[str, Any]] = {
    "phantom": {"patients": 16, "size": 64},
    "fit": {"steps": 4, "batch_size": 2},
    "generate": {"n": 4, "steps": 2},
    "edit": {"limit": 4, "steps": 2},
    "evaluate": {"bootstrap": 10, "classifier_steps": 2},
}
"""What each stage of a demo is given instead: it has no options that make it smaller."""
CRITICS = {"LEARNED": 60, "TRIED": 80}
VIEWS = {"SIDE": 32, "SEEN": 32}


@contextlib.contextmanager
def light() -> Iterator[None]:
    """Small demos, which have no options for that, and reports whose critics see few and small
    images."""
    from latentdrift import service
    from latentdrift.evaluate.critics import anatomy_critics, structure_views
    from latentdrift.evaluate.evaluations import evaluation

    def smaller(stage: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
        return lambda given, *more: stage(given.model_copy(update=options), *more)

    with pytest.MonkeyPatch.context() as patch:
        for name, options in DEMO.items():
            patch.setattr(service, name, smaller(getattr(service, name), options))
        for name, value in CRITICS.items():
            patch.setattr(anatomy_critics, name, value)
        for name, value in VIEWS.items():
            patch.setattr(structure_views, name, value)
        patch.setattr(evaluation, "MAX_SEARCHED", 4)
        yield


LAZY = (
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.schedulers",
    "transformers.models.clip.modeling_clip",
    "transformers.models.clip.tokenization_clip",
    "peft",
    "accelerate",
    "matplotlib.pyplot",
    "sklearn.linear_model",
    "sklearn.metrics",
    "scipy.ndimage",
    "scipy.stats",
    "scipy.optimize",
    "skimage.metrics",
    "torch.utils.tensorboard",
    "torch.optim",
)
"""What latentdrift imports where it needs it."""


def import_all() -> None:
    """Import each module of latentdrift, so that processes that are copied from this one need
    not."""
    for module in pkgutil.walk_packages(latentdrift.__path__, "latentdrift."):
        if not module.name.endswith("__main__") and ".recipe" not in module.name:
            importlib.import_module(module.name)
    for name in LAZY:
        importlib.import_module(name)


def make_world(folder: Path, base: Path) -> Path:
    """Scans, a cohort, a run, its pictures and a reader's answers, made by whole commands."""
    import_all()
    shutil.copytree(base, folder / "base")
    tiny_cohort(folder / "cohort", 24)
    whole(folder, "phantom", ["--out", "scans", "--patients", "6", "--visits", "2", "--size", "64"])
    whole(folder, "fit", [*COMMANDS["fit"], "--out", "run"])
    whole(folder, "generate", [*COMMANDS["generate"], "--out", "made"])
    whole(folder, "reader make", [*COMMANDS["reader make"], "--out", "study"])
    key = json.loads((folder / "study-key.json").read_text())
    lines = [f"{key['study']},{item['item']},real" for item in key["items"]]
    (folder / "answers.csv").write_text("\n".join(["study,item,answer", *lines]) + "\n")
    return folder


def whole(folder: Path, verb: str, arguments: list[str]) -> float:
    """Run a command to its end; the seconds it took."""
    os.chdir(folder)
    code, seconds = ended(
        forked([*verb.split(), *arguments], folder / "log.txt"), 600, signal.SIGKILL
    )
    assert code == 0, (folder / "log.txt").read_text()
    return seconds


def state(place: Path) -> dict[str, str]:
    """Hashes of all files below a folder; those of logs, which hold times, by their names alone."""
    files = [
        path
        for path in sorted(place.rglob("*"))
        if path.is_file() and "tensorboard" not in path.parts
    ]
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(content(path)).hexdigest()
        for path in files
    }


def content(path: Path) -> bytes:
    """What a file says beside the time of day and how long things took."""
    if path.name == "log.jsonl":
        return b""
    said = path.read_bytes()
    if path.suffix != ".json":
        return said
    try:
        return json.dumps(unclocked(json.loads(said))).encode()
    except ValueError:  # half-written, which is for the test to judge
        return said


def unclocked(value: Any) -> Any:
    """A document without its times."""
    if isinstance(value, dict):
        return {
            key: unclocked(part)
            for key, part in value.items()
            if key not in (*CLOCKED, *source_times(value))
        }
    return [unclocked(part) for part in value] if isinstance(value, list) else value


def source_times(document: dict[str, Any]) -> Sequence[str]:
    """Fields that hold when a demo wrote the scans that it then imports."""
    if document.get("verb") != "import":
        return ()
    return ("inputs",) if Path(document["options"]["source"]).parts[-2:] == ("out", "scans") else ()


def empty(place: Path) -> None:
    """Delete all that is in a folder."""
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()

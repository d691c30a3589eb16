"""Checkpoints of a run: written aside and renamed, so the last good one always survives; a half-written one is never read."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

KEEP = 2  # the newest, and the one before it in case the newest turns out to be damaged
WEIGHTS = "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # AdamW's state per parameter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on exactly: randomness is derived from the step, so no generator's state is kept."""

    step: int
    file: Path

    def restore(self, parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        """Put the weights and AdamW's moments back, bit for bit."""
        state = optimizer.state_dict()
        with safe_open(self.file, framework="pt") as stored, torch.no_grad():
            for index, (name, parameter) in enumerate(parameters.items()):
                parameter.copy_(stored.get_tensor(f"weight/{name}"))
                state["state"][index] = {moment: stored.get_tensor(f"{moment}/{name}").clone() for moment in MOMENTS}
        optimizer.load_state_dict(state)


def write(root: Path, step: int, parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> Path:
    """Write `root/step-000100` and drop all but the newest KEEP.

    Args:
        root: The run's checkpoints folder.
        step: Steps done.
        parameters: What is trained, by name, in the optimiser's order.
        optimizer: AdamW after at least one step.
    """
    tensors = {f"weight/{name}": parameter.detach().contiguous() for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        tensors |= {f"{moment}/{name}": optimizer.state[parameter][moment].detach().contiguous() for moment in MOMENTS}
    folder, aside = root / f"step-{step:06d}", root / f".step-{step:06d}.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file(tensors, aside / WEIGHTS)
    (aside / "state.json").write_text(json.dumps({"step": step}))
    for path in aside.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    for old in _complete(root)[:-KEEP]:
        shutil.rmtree(old)
    return folder


def newest(root: Path) -> Checkpoint | None:
    """The newest checkpoint that can be read; damaged and half-written ones are passed over with a message."""
    for aside in root.glob(".step-*.partial"):
        log.warning("checkpoint %s was only half written; it is removed", aside.name)
        shutil.rmtree(aside)
    for folder in reversed(_complete(root)):
        try:
            step = json.loads((folder / "state.json").read_text())["step"]
            with safe_open(folder / WEIGHTS, framework="pt"):  # sees that the file is whole
                return Checkpoint(step, folder / WEIGHTS)
        except (OSError, SafetensorError, ValueError, KeyError) as problem:
            log.warning("checkpoint %s cannot be read (%s); the one before it is used", folder, problem)
    return None


def _complete(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("step-*") if path.is_dir())

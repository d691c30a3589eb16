"""Checkpoints of a run: written aside and renamed, so the last good one always survives; a
half-written one is never read."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from latentdrift.adapt.training.optimization.early_stopping import Patience
from latentdrift.storage import ASIDE, folder_written

KEEP = 2  # the newest, and the one before it in case the newest turns out to be damaged
WEIGHTS = "state.safetensors"
WEIGHT = "weight"
# tensors are called kind/parameter, as `weight/a`; all other kinds are the optimiser's
AVERAGE = "average"

log = logging.getLogger(__name__)


class State(BaseModel):
    """Content of state.json; names that are not known here pass."""

    model_config = ConfigDict(strict=True, frozen=True)

    step: int
    """Steps done."""
    watched: int = Field(default_factory=lambda values: values.get("step", 0))
    """Step at which the held-out loss was last measured. Earlier versions measured it at each
    checkpoint and did not record the step."""
    patience: Patience | None = None
    """State of early stopping; None without it."""
    best: int | None = None
    """Step of the best checkpoint under early stopping; None without it."""

    @classmethod
    def read(cls, folder: Path) -> State:
        """Read the state of a checkpoint.

        Args:
            folder: Folder of the checkpoint.

        Raises:
            OSError, ValueError: It cannot be read, or a value has a wrong type.
        """
        return cls.model_validate_json((folder / "state.json").read_bytes())


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on exactly: randomness is derived from the step, so no generator's
    state is kept."""

    step: int
    file: Path
    watched: int = 0
    """Step at which the held-out loss was last measured."""
    patience: Patience | None = None
    """State of early stopping; None without it."""

    def restore(
        self,
        parameters: Mapping[str, torch.nn.Parameter],
        optimizer: torch.optim.Optimizer,
        average: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Restore weights, optimiser state and averaged weights in place, bit for bit.

        Args:
            parameters: Trained parameters by name, in the order of `write`.
            optimizer: New optimiser over these parameters.
            average: Averaged weights by name; None: none are restored.
        """
        state = optimizer.state_dict()
        places = {name: index for index, name in enumerate(parameters)}
        with safe_open(self.file, framework="pt") as stored, torch.no_grad():
            self._load(stored, WEIGHT, parameters)
            if average is not None:
                self._load(stored, AVERAGE, average)
            for label in stored.keys():  # noqa: SIM118
                kind, _, name = label.partition("/")
                if kind not in (WEIGHT, AVERAGE):
                    value = stored.get_tensor(label).clone()
                    state["state"].setdefault(places[name], {})[kind] = (
                        value.item() if value.dtype == torch.int64 else value
                    )
        optimizer.load_state_dict(state)

    def load(self, parameters: Mapping[str, Tensor], *, average: bool) -> None:
        """Copy the stored weights into tensors, in place.

        Args:
            parameters: Tensors by name, with the shapes of the stored ones.
            average: Whether to load the averaged weights instead of the last ones.
        """
        with safe_open(self.file, framework="pt") as stored, torch.no_grad():
            self._load(stored, AVERAGE if average else WEIGHT, parameters)

    @staticmethod
    def _load(stored: Any, kind: str, into: Mapping[str, Tensor]) -> None:
        for name, tensor in into.items():
            tensor.copy_(stored.get_tensor(f"{kind}/{name}"))


def write(
    root: Path,
    step: int,
    parameters: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor] | None = None,
    *,
    watched: int = 0,
    patience: Patience | None = None,
) -> Path:
    """Write `root/step-000100`, and delete older checkpoints.

    The newest KEEP checkpoints stay, and the best ones under early stopping.

    Args:
        root: The run's checkpoints folder.
        step: Steps done.
        parameters: Trained parameters by name, in the optimiser's order.
        optimizer: Optimiser after at least one step.
        average: Averaged weights by name; None: none are written.
        watched: Step at which the held-out loss was last measured.
        patience: State of early stopping; None without it.

    Returns:
        Folder of the new checkpoint.
    """
    tensors = {
        f"{WEIGHT}/{name}": parameter.detach().contiguous()
        for name, parameter in parameters.items()
    }
    tensors |= {
        f"{AVERAGE}/{name}": weight.contiguous() for name, weight in (average or {}).items()
    }
    tensors |= _state(parameters, optimizer)
    folder = root / f"step-{step:06d}"
    with folder_written(folder, replace=True, durable=True) as aside:
        save_file(tensors, aside / WEIGHTS)
        state = {
            "step": step,
            "watched": watched,
            "patience": patience and patience.to_dict(),
            "best": patience and patience.step,
        }
        (aside / "state.json").write_text(json.dumps(state))
    there = _complete(root)
    best = {_best(stored) for stored in there[-KEEP:]}
    for old in there[:-KEEP]:
        if int(old.name.removeprefix("step-")) not in best:
            shutil.rmtree(old)
    return folder


def newest(root: Path) -> Checkpoint | None:
    """Find the newest readable checkpoint, and delete half-written ones.

    Damaged and half-written checkpoints are skipped with a warning.

    Args:
        root: The run's checkpoints folder; it need not exist.

    Returns:
        The checkpoint; None if there is none.
    """
    for aside in (*root.glob(f"{ASIDE}step-*"), *root.glob(".step-*.partial")):
        log.warning("checkpoint %s was only half written; it is removed", aside.name)
        shutil.rmtree(aside)
    for folder in reversed(_complete(root)):
        try:
            state = State.read(folder)
            with safe_open(folder / WEIGHTS, framework="pt"):  # sees that the file is whole
                return Checkpoint(state.step, folder / WEIGHTS, state.watched, state.patience)
        except (OSError, SafetensorError, ValueError) as problem:
            log.warning(
                "checkpoint %s cannot be read (%s); the one before it is used", folder, problem
            )
    return None


def at(root: Path, step: int) -> Checkpoint:
    """Checkpoint of one step, for its weights alone; the file is not read.

    Args:
        root: The run's checkpoints folder.
        step: Step of a checkpoint that exists.
    """
    return Checkpoint(step, root / f"step-{step:06d}" / WEIGHTS)


def _state(
    parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """The optimiser's state per parameter; its whole numbers as int64."""
    tensors: dict[str, Tensor] = {}
    stored: set[int] = set()
    for name, parameter in parameters.items():
        for kind, value in optimizer.state.get(parameter, {}).items():
            tensor = (
                value.detach().contiguous() if isinstance(value, Tensor) else torch.tensor(value)
            )
            shared = (
                tensor.data_ptr() in stored
            )  # as the tables of 8-bit moments are, which safetensors does not take
            tensors[f"{kind}/{name}"] = tensor.clone() if shared else tensor
            stored.add(tensor.data_ptr())
    return tensors


def _best(folder: Path) -> int | None:
    """Step of the best checkpoint under early stopping; None where state.json names none."""
    try:
        return State.read(folder).best
    except (OSError, ValueError):
        return None


def _complete(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("step-*") if path.is_dir())

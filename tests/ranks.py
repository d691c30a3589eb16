"""Fits by several processes that know of each other, as a launcher starts them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import entries, weights
from safetensors.torch import load_file

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.train import FitResult

SHARED: dict[str, Any] = {
    "method": "lora",
    "steps": 6,
    "batch_size": 4,
    "accumulate": 2,
    "checkpoint_every": 3,
    "rank": 2,
    "drift": "auto",
    "ema": 0.9,
    "min_snr": 5,
    "patience": 5,
    "preview_every": 0,
    "device": "cpu",
    "precision": "fp32",
}
"""Options of a fit that several processes share."""

FORKED = """
import os, sys
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer
import accelerate
from latentdrift import service
from latentdrift.adapt.training import train
from latentdrift.cli import main
from latentdrift.study import fit_critics

folder, port, count, times, prelude, *arguments = sys.argv[1:]
ranks = {}
for rank in range(int(count)):
    ranks[os.fork()] = rank
    if 0 in ranks:
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=count,
            MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
        )
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{folder}/{rank}.{name}", os.O_WRONLY | os.O_CREAT), number)
        exec(prelude)
        for _ in range(int(times)):
            code = main.main(arguments) if arguments else 0
        sys.stdout.flush()
        os._exit(code)
for _ in range(int(count)):
    pid, status = os.wait()
    print(ranks[pid], os.waitstatus_to_exitcode(status))
"""
"""Runs a command as several ranks, which share the imports of one process."""

SIGNALLED = """
from latentdrift.adapt.training.loop.trainer import Trainer

def update(self, batch, update=Trainer.update):
    outcome = update(self, batch)
    if rank == {rank} and self.done == {step}:
        os.kill(os.getpid(), {number})
    return outcome

Trainer.update = update
"""
"""Lets one rank receive a signal right after a step."""


@dataclass(frozen=True)
class Rank:
    """A process that has ended."""

    code: int
    out: str
    err: str


def environment(**more: object) -> dict[str, str]:
    """The environment of a process with one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **{name: str(more[name]) for name in more}}


def forked(
    arguments: list[str], count: int, folder: Path, prelude: str = "", times: int = 1
) -> list[Rank]:
    """Run a command as several ranks.

    Args:
        arguments: Those of `latentdrift`.
        count: Number of ranks.
        folder: Folder of their output.
        prelude: Python code that each rank runs first.
        times: How often the command is run; the exit code is that of the last run.
    """
    folder.mkdir()
    numbers = [str(free_port()), str(count), str(times)]
    line = [sys.executable, "-c", FORKED, str(folder), *numbers, prelude]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ends = subprocess.run(
        [*line, *arguments],
        env=environment(PYTHONPATH=path),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ends.returncode == 0, ends.stderr
    codes = dict(map(int, end.split()) for end in ends.stdout.splitlines())
    texts = [
        [(folder / f"{rank}.{name}").read_text() for name in ("out", "err")]
        for rank in range(count)
    ]
    return [Rank(codes[rank], *texts[rank]) for rank in range(count)]


def together(arguments: list[str], count: int, port: int) -> list[subprocess.Popen]:
    """Start the same command in several processes."""
    place = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        started([sys.executable, *arguments], **place, RANK=rank, LOCAL_RANK=rank)
        for rank in range(count)
    ]


def started(line: list[str], **more: object) -> subprocess.Popen:
    """Start a command in a process of its own, and group of processes."""
    return subprocess.Popen(
        line,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def signalled(rank: int, step: int, number: signal.Signals) -> str:
    """Code by which one rank receives a signal right after a step."""
    return SIGNALLED.format(rank=rank, step=step, number=int(number))


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def command(base: Path, cohort: Path, out: Path, **more: Any) -> list[str]:
    """Arguments of Python for the fit of SHARED."""
    options = {**SHARED, "base": base, "out": out, **more}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return ["-m", "latentdrift", "fit", str(cohort), *flags, "--json"]


def check_shared(one: FitResult, folder: Path) -> None:
    """A run by several processes is the run of one, but for rounding."""
    alone = entries(one.adapter.parent)
    shared = entries(folder)
    assert [entry.keys() for entry in alone] == [entry.keys() for entry in shared]
    for mine, theirs in zip(alone, shared, strict=True):
        assert theirs == pytest.approx(mine, rel=1e-4)
    theirs = load_file(METHODS["lora"].file_in(folder / "adapter"))
    for name, value in weights(one).items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-2, atol=1e-5)

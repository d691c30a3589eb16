"""Several processes make the run of one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import entries, weights
from safetensors.torch import load_file

from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.loop.distributed import Processes
from latentdrift.adapt.training.train import FitResult
from latentdrift.errors import OptionError


def test_shares_are_equal_and_cover_the_batch() -> None:
    assert [Processes(rank, 4).share(8) for rank in range(4)] == [
        slice(0, 2),
        slice(2, 4),
        slice(4, 6),
        slice(6, 8),
    ]
    Processes(1, 4).check(8)
    with pytest.raises(
        OptionError, match="`batch_size=6` cannot be shared by 4 processes; take a multiple of 4: 8"
    ):
        Processes(0, 4).check(6)


def test_a_process_alone_starts_nothing(run: Any) -> None:
    run(steps=1)
    assert not torch.distributed.is_initialized()
    script = (
        "import sys\nfrom latentdrift.adapt.training.loop.distributed import Processes\nassert "
        "Processes.join('cpu') == Processes()\n"
        "assert 'accelerate' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_launch_that_fell_short_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert Processes.join("cpu") == Processes()
    assert "has started one process" in caplog.text
    assert "accelerate launch --multi_gpu --num_processes N -m latentdrift fit" in caplog.text


def together(arguments: list[str], count: int, port: int) -> list[subprocess.Popen]:
    """The same command in several processes that know of each other, as a launcher starts them."""
    started = []
    for rank in range(count):
        about = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": count,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        known = {
            **os.environ,
            **{name: str(value) for name, value in about.items()},
            "OMP_NUM_THREADS": "1",
        }
        started.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                env=known,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


FORKED = """
import os, sys
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer
from latentdrift import service
from latentdrift.adapt.training import train
from latentdrift.cli import main

folder, port, count, *arguments = sys.argv[1:]
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
        code = main.main(arguments)
        sys.stdout.flush()
        os._exit(code)
for _ in range(int(count)):
    pid, status = os.wait()
    print(ranks[pid], os.waitstatus_to_exitcode(status))
"""
"""Runs a command as several ranks, which share the imports of one process."""


def forked(arguments: list[str], count: int, folder: Path) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each rank of a command."""
    folder.mkdir()
    line = [sys.executable, "-c", FORKED, str(folder), str(free_port()), str(count), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ends = subprocess.run(
        line, env=environment, capture_output=True, text=True, timeout=900, check=True
    )
    codes = dict(map(int, end.split()) for end in ends.stdout.splitlines())
    texts = [
        [(folder / f"{rank}.{name}").read_text() for name in ("out", "err")]
        for rank in range(count)
    ]
    return [(codes[rank], *texts[rank]) for rank in range(count)]


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


SHARED = {
    "method": "lora",
    "steps": 6,
    "batch_size": 4,
    "accumulate": 2,
    "checkpoint_every": 3,
    "rank": 2,
    "ema": 0.9,
    "min_snr": 5,
    "patience": 5,
    "preview_every": 0,
    "device": "cpu",
    "precision": "fp32",
}


def command(base: Path, cohort: Path, out: Path) -> list[str]:
    flags = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in {**SHARED, "base": base, "out": out}.items()
    ]
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


@pytest.mark.usefixtures("held_out_as_users")
def test_two_processes_make_the_curve_of_one(
    run: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    one = run("one", **SHARED)
    fit = command(tiny_base_folder, tiny_cohort_folder, tmp_path / "two")
    first, second = forked(fit[2:], 2, tmp_path / "ranks")
    assert [first[0], second[0]] == [0, 0], second[2]
    assert json.loads(first[1])["adapter"] == str(tmp_path / "two" / "adapter")
    assert second[1] == ""
    check_shared(one, tmp_path / "two")
    assert json.loads((tmp_path / "two" / "record.json").read_text())["verb"] == "fit"


@pytest.mark.slow
@pytest.mark.usefixtures("held_out_as_users")
def test_accelerate_launches_several(
    run: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    one = run("one", **SHARED)
    launcher = [
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes=2",
        f"--main_process_port={free_port()}",
    ]
    line = [
        sys.executable,
        *launcher,
        *command(tiny_base_folder, tiny_cohort_folder, tmp_path / "two"),
    ]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    check_shared(one, tmp_path / "two")


@pytest.mark.slow
@pytest.mark.usefixtures("held_out_as_users")
def test_two_killed_processes_go_on(
    run: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    one = run("one", **SHARED)
    arguments = command(tiny_base_folder, tiny_cohort_folder, tmp_path / "two")
    started = together(arguments, 2, free_port())
    while (
        not (tmp_path / "two" / "checkpoints" / "step-000003").exists()
        and started[0].poll() is None
    ):
        time.sleep(0.01)
    started[0].send_signal(signal.SIGKILL)
    started[1].communicate(timeout=600)  # nobody hangs when the one that writes is gone
    started = together(arguments, 2, free_port())
    for process in started:
        process.communicate(timeout=900)
        assert process.returncode == 0
    check_shared(one, tmp_path / "two")

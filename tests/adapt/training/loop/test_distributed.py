"""Several processes make the run of one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import accelerate.utils
import pytest
import torch
from ranks import (
    SHARED,
    check_shared,
    command,
    environment,
    forked,
    free_port,
    signalled,
    started,
    together,
)

from latentdrift.adapt.training.loop.distributed import Processes
from latentdrift.errors import OptionError, ResourceError


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


def test_several_processes_do_not_take_one_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="`device=cuda:1` is a single device, and each of 2"):
        Processes.join("cuda:1")


def test_a_process_without_a_card_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(OptionError, match="process 1 of this machine finds 1 cards, and takes one"):
        Processes.join("auto")


def test_nodes_with_other_files_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [{"`cohort`": "a", "the checkpoint of step": 3}, {"`cohort`": "a"}]
    seen[1]["the checkpoint of step"] = None
    monkeypatch.setattr(accelerate.utils, "gather_object", lambda mine: seen)
    with pytest.raises(
        ResourceError,
        match="the checkpoint of step: 3 for process 0, None for process 1; all nodes need the",
    ):
        Processes(0, 2).check_equal(seen[0])
    seen[1] = seen[0]
    Processes(0, 2).check_equal(seen[0])
    Processes().check_equal(seen[0])


def test_the_end_of_another_process_is_a_sentence() -> None:
    lost = RuntimeError("[gloo/transport/tcp/pair.cc:537] Connection reset by peer")
    own = RuntimeError("shapes do not fit")
    sentence = "another process of this fit has ended"
    with pytest.raises(ResourceError, match=sentence), Processes(1, 2).connected():
        raise lost
    for processes, error in ((Processes(1, 2), own), (Processes(), lost)):
        with pytest.raises(RuntimeError) as caught, processes.connected():
            raise error
        assert caught.value is error


@pytest.mark.usefixtures("held_out_as_users")
def test_two_processes_make_the_curve_of_one_over_a_signal_in_one_of_them(
    run: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    one = run("one", **SHARED)
    fit = command(tiny_base_folder, tiny_cohort_folder, tmp_path / "two")
    signal_after_two_steps = signalled(rank=1, step=2, number=signal.SIGUSR1)
    first, second = forked(fit[2:], 2, tmp_path / "ranks", signal_after_two_steps, times=2)
    assert "latentdrift fit: stopped by SIGUSR1" in first.err
    assert "latentdrift fit, process 1: stopped by SIGUSR1" in second.err
    assert "stopped after step 2, of which there is a checkpoint" in first.err
    assert [first.code, second.code] == [0, 0], second.err
    assert json.loads(first.out)["adapter"] == str(tmp_path / "two" / "adapter")
    assert second.out == ""
    check_shared(one, tmp_path / "two")
    assert json.loads((tmp_path / "two" / "record.json").read_text())["verb"] == "fit"


TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
LAUNCHERS = {
    "torchrun": [
        *TORCHRUN,
        "--nproc_per_node=2",
        "--master_addr=127.0.0.1",
        "--master_port={port}",
    ],
    "accelerate": [*ACCELERATE, "--num_processes=2", "--main_process_port={port}"],
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.usefixtures("held_out_as_users")
def test_launchers_start_several(
    launcher: str, run: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    one = run("one", **SHARED)
    launch = [part.format(port=free_port()) for part in LAUNCHERS[launcher]]
    fit = command(tiny_base_folder, tiny_cohort_folder, tmp_path / "two", drift="calibrated")
    line = [*launch, *fit]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "find_unused_parameters" not in done.stderr
    check_shared(one, tmp_path / "two")


@pytest.mark.slow
@pytest.mark.usefixtures("held_out_as_users")
def test_two_nodes_meet(
    run: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    one = run("one", **SHARED)
    launch = [
        *TORCHRUN,
        "--nnodes=2",
        "--nproc_per_node=2",
        "--rdzv_backend=c10d",
        f"--rdzv_endpoint=127.0.0.1:{free_port()}",
        "--rdzv_id=test",
        "--local_addr=127.0.0.1",
    ]
    line = [*launch, *command(tiny_base_folder, tiny_cohort_folder, tmp_path / "two")]
    nodes = [started(line), started(line)]
    texts = [node.communicate(timeout=600) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], texts
    assert sum(text.count('"adapter"') for text, _ in texts) == 1
    check_shared(one, tmp_path / "two")


@pytest.mark.slow
def test_two_nodes_without_common_files_are_refused(
    tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    port = free_port()
    place = {"WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_RANK": 0}
    ends = []
    for rank, name in enumerate(("here", "there")):
        fit = command(tiny_base_folder, tiny_cohort_folder, tmp_path / name)
        ends.append(started([sys.executable, *fit], **place, RANK=rank))
    texts = [process.communicate(timeout=600)[1] for process in ends]
    assert [process.returncode for process in ends] == [1, 1]
    assert "a run in --out: True for process 0, False for process 1" in texts[0]


@pytest.mark.slow
@pytest.mark.usefixtures("held_out_as_users")
def test_two_killed_processes_go_on(
    run: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    one = run("one", **SHARED)
    arguments = command(tiny_base_folder, tiny_cohort_folder, tmp_path / "two")
    pair = together(arguments, 2, free_port())
    while (
        not (tmp_path / "two" / "checkpoints" / "step-000003").exists() and pair[0].poll() is None
    ):
        time.sleep(0.01)
    pair[0].send_signal(signal.SIGKILL)
    _, text = pair[1].communicate(timeout=600)  # nobody hangs when the one that writes is gone
    assert pair[1].returncode == 1
    assert "process 1: another process of this fit has ended" in text
    pair = together(arguments, 2, free_port())
    for process in pair:
        process.communicate(timeout=900)
        assert process.returncode == 0
    check_shared(one, tmp_path / "two")

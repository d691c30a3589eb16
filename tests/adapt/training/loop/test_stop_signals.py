"""Signals wait for the end of a step, and several processes leave together."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ranks import SHARED, Rank, check_shared, command, forked, signalled

from latentdrift.adapt.training.loop.distributed import Processes
from latentdrift.adapt.training.loop.stop_signals import STOPS, agreed, held_back
from latentdrift.cli import stopping


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_waits_for_the_end_of_the_block(number: signal.Signals) -> None:
    ended = False
    with stopping.raised(), pytest.raises(stopping.STOPS[number]) as error, held_back() as pending:
        os.kill(os.getpid(), number)
        assert pending == [number]
        ended = True
    assert ended
    assert type(error.value) is stopping.STOPS[number]


def test_a_signal_is_raised_also_after_an_error() -> None:
    with stopping.raised(), pytest.raises(stopping.Terminated), held_back():
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("the connection is closed")


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with held_back() as pending:
            os.kill(os.getpid(), signal.SIGUSR1)
        assert pending == []
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_one_process_is_interrupted_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), agreed(Processes()) as check_stop:
        check_stop()
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()


def stopped(
    folder: Path, base: Path, cohort: Path, number: signal.Signals, rank: int
) -> list[Rank]:
    """Two processes, of which one receives a signal after the second step."""
    fit = command(base, cohort, folder / "two")
    return forked(fit[2:], 2, folder / "ranks", signalled(rank, 2, number))


def check_left(processes: list[Rank], folder: Path, number: signal.Signals) -> None:
    """All processes left after that step, with a checkpoint and a sentence."""
    assert [process.code for process in processes] == [128 + number] * 2
    what = f"stopped by {number.name}; the same command again continues where it can"
    assert f"latentdrift fit: {what}" in processes[0].err
    assert f"latentdrift fit, process 1: {what}" in processes[1].err
    assert [path.name for path in (folder / "two" / "checkpoints").iterdir()] == ["step-000002"]


@pytest.mark.slow
@pytest.mark.usefixtures("held_out_as_users")
def test_one_process_goes_on_with_what_two_left(
    run: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    one = run("one", **SHARED)
    ends = stopped(tmp_path, tiny_base_folder, tiny_cohort_folder, signal.SIGUSR1, rank=1)
    check_left(ends, tmp_path, signal.SIGUSR1)
    assert run("two", **SHARED, vectors=1).resumed == 2
    check_shared(one, tmp_path / "two")


@pytest.mark.slow
@pytest.mark.usefixtures("held_out_as_users")
def test_four_processes_go_on_with_what_two_left(
    run: Any, tmp_path: Path, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> None:
    one = run("one", **SHARED)
    ends = stopped(tmp_path, tiny_base_folder, tiny_cohort_folder, signal.SIGTERM, rank=0)
    check_left(ends, tmp_path, signal.SIGTERM)
    fit = command(tiny_base_folder, tiny_cohort_folder, tmp_path / "two")
    assert {end.code for end in forked(fit[2:], 4, tmp_path / "four")} == {0}
    check_shared(one, tmp_path / "two")

"""Ctrl-C and SIGTERM: raised as exceptions while work lasts, and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from latentdrift.cli import stopping


@pytest.mark.parametrize(
    ("number", "kind"),
    [*stopping.STOPS.items()],
)
def test_a_signal_is_an_exception_of_its_kind(
    number: signal.Signals, kind: type[KeyboardInterrupt]
) -> None:
    before = signal.getsignal(number)
    with stopping.raised():
        assert stopping.received() is None
        with pytest.raises(kind) as error:
            os.kill(os.getpid(), number)
            signal.pause()
        assert type(error.value) is kind and stopping.received() is kind
    assert signal.getsignal(number) is before


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stopping.raised():
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopping.received() is None
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_change_no_handler() -> None:
    seen = []

    def work() -> None:
        with stopping.raised():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize(
    ("number", "code"),
    [(number, code) for code, number in stopping.CODES.items()],
)
def test_before_and_after_work_a_signal_ends_the_process(number: signal.Signals, code: int) -> None:
    program = (
        "import os, signal\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):\n"
        "    signal.signal(number, signal.SIG_DFL)\n"
        "from latentdrift.cli import stopping\n"
        "stopping.leave_at_once()\n"
        f"os.kill(os.getpid(), {int(number)})\n"
        "signal.pause()\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (code, b"", b"")

"""Time of repeated work, on a clock that the test turns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from latentdrift import timing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    state = SimpleNamespace(now=3.0)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: state.now)
    return state


def timed(clock: SimpleNamespace, durations: list[float], enough: float) -> timing.Timing:
    """Timing of calls that take these seconds, in their order."""
    waiting = iter(durations)

    def work() -> None:
        clock.now += next(waiting)

    return timing.repeated(work, enough)


def test_the_first_call_and_a_slow_one_do_not_count(clock: SimpleNamespace) -> None:
    result = timed(clock, [30.0, 2.0, 2.0, 9.0], 43.0)
    assert result.each == (2.0, 2.0, 9.0)
    assert (result.seconds, result.scatter) == (2.0, 4.5)


def test_slow_work_is_done_twice_and_no_more(clock: SimpleNamespace) -> None:
    assert timed(clock, [100.0, 50.0], 1.0).each == (50.0,)

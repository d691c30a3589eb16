"""Every verb stopped at random instants by SIGKILL, SIGTERM and SIGINT: the same command finishes
it, as if never stopped.

Run by hand (`-m slow -s`), it prints the figures of docs/robustness.md; LATENTDRIFT_KILLS says how
often each verb is stopped.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kills import ended, forked, leftovers
from verbs import COMMANDS, empty, light, make_world, state, whole

KILLS = int(os.environ.get("LATENTDRIFT_KILLS", "10"))
SIGNALS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Iterator[Path]:
    with light():
        yield make_world(tmp_path_factory.mktemp("world"), tiny_base_folder)


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_is_finished_after_random_stops(
    verb: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = random.Random(f"{verb} {os.environ.get('LATENTDRIFT_SEED', '0')}")
    place = world / verb.replace(" ", "-")
    log = world / "log.txt"
    place.mkdir()
    arguments = [*COMMANDS[verb], "--out", str(place / "out")]
    seconds = whole(world, verb, arguments)
    reference = state(place)
    stopped = dict.fromkeys(SIGNALS, 0)
    empty(place)
    while sum(stopped.values()) < KILLS:
        for _ in range(source.randint(1, 4)):
            number = source.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
            process = forked([*verb.split(), *arguments], log)
            code, _ = ended(process, source.uniform(0, 1.1 * seconds), number)
            assert code in (0, SIGNALS[number]), log.read_text()
            assert "Traceback" not in log.read_text() and "Exception ignored" not in log.read_text()
            stopped[number] += code != 0
        whole(world, verb, arguments)
        assert leftovers(place) == []
        assert state(place) == reference
        empty(place)
    with capsys.disabled():
        told = ", ".join(f"{number} {signal.Signals(key).name}" for key, number in stopped.items())
        print(  # noqa: T201
            f"\n{verb}: {seconds:.1f} s whole; stopped by {told}; each finished as if never stopped"
        )

"""Actors of Ray as workers: on a cluster of this machine, of which nothing can be reached from
outside."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import worker_tasks
from kills import contents

from latentdrift import config, service
from latentdrift.engines.schedule import Workers, run_items
from latentdrift.engines.work import Work
from latentdrift.errors import InputError, ResourceError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed"),
]

ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # nodes listen on 127.0.0.1
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
"""Read when ray is imported, so no test imports it before the cluster is there."""
LOCAL = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes with a processor each."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="ray-") as folder:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # of nodes, and so of actors
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        for _ in range(2):
            cluster.add_node(**node)
        yield cluster
        cluster.shutdown()


def actors(cluster: Any, count: int) -> Workers:
    return Workers(count, ray=cluster.address)


def test_actors_do_each_item_in_order(cluster: Any, tmp_path: Path) -> None:
    work = Work(partial(worker_tasks.open_pid, tmp_path), worker_tasks.square)
    results = list(run_items(work, range(60), actors(cluster, 3), in_order=True))
    assert [square for square, _ in results] == [number * number for number in range(60)]
    pids = {pid for _, pid in results}
    assert os.getpid() not in pids
    assert len(list(tmp_path.glob("opened-*"))) <= 3


def test_the_connection_is_closed_and_nobody_outside_reaches_the_cluster(
    cluster: Any, tmp_path: Path
) -> None:
    import psutil
    import ray

    results = run_items(Work.on(tmp_path, worker_tasks.place), range(3), actors(cluster, 1))
    assert list(results) == [str(Path.cwd())] * 3
    assert not ray.is_initialized()
    sockets = [
        socket
        for process in psutil.Process().children(recursive=True)
        for socket in process.net_connections(kind="inet")
        if socket.status == psutil.CONN_LISTEN
    ]
    assert sockets and {socket.laddr.ip for socket in sockets} <= LOCAL


def test_actors_lose_nothing_when_one_is_killed(cluster: Any, tmp_path: Path) -> None:
    work = Work.on(tmp_path, worker_tasks.die_once)
    results = list(run_items(work, range(30), actors(cluster, 2), in_order=True))
    assert [square for square, _ in results] == [number * number for number in range(30)]
    assert (tmp_path / "died").is_file()


def test_actors_that_die_at_one_item_end_in_a_sentence(cluster: Any, tmp_path: Path) -> None:
    work = Work.on(tmp_path, worker_tasks.die_always)
    with pytest.raises(ResourceError, match=r"one actor after another ended at the same item"):
        list(run_items(work, [0], actors(cluster, 1)))


def test_an_error_of_a_task_is_raised_here(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="item 0 cannot be used"):
        list(run_items(Work.on(tmp_path, worker_tasks.refuse), [0], actors(cluster, 1)))


def test_an_actor_has_one_thread(cluster: Any, tmp_path: Path) -> None:
    work = Work.on(tmp_path, worker_tasks.threads)
    assert list(run_items(work, [0], actors(cluster, 1))) == ["1"]


def test_more_actors_than_processors_do_all_items(cluster: Any, tmp_path: Path) -> None:
    work = Work.on(tmp_path, worker_tasks.square)
    results = list(run_items(work, range(20), actors(cluster, 9), in_order=True))
    assert [square for square, _ in results] == [number * number for number in range(20)]


def test_no_cluster_is_a_sentence(cluster: Any, tmp_path: Path) -> None:
    work = Work.on(tmp_path, worker_tasks.square)
    with pytest.raises(ResourceError, match=r"no Ray cluster .* at `ray=127\.0\.0\.1:1`"):
        list(run_items(work, [0], Workers(1, ray="127.0.0.1:1")))


def test_a_lost_node_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    """Its raylet and its actors are killed in the middle of their items."""
    lost = cluster.add_node(num_cpus=1, object_store_memory=100 << 20, include_dashboard=False)

    def lose() -> None:
        while len(list(tmp_path.glob("opened-*"))) < 4:
            time.sleep(0.05)
        cluster.remove_node(lost, allow_graceful=False)

    thread = threading.Thread(target=lose)
    thread.start()
    work = Work(partial(worker_tasks.open_pid, tmp_path), worker_tasks.square_slowly)
    results = list(run_items(work, range(60), actors(cluster, 4), in_order=True))
    thread.join()
    assert [square for square, _ in results] == [number * number for number in range(60)]
    assert len(list(tmp_path.glob("opened-*"))) >= 4
    assert len({pid for _, pid in results[-8:]}) <= 3


def test_generate_draws_the_images_of_one_process(
    cluster: Any, tiny_base_folder: Path, tmp_path: Path
) -> None:
    values: Any = {"prompt": ("a brain", "a chest"), "n": 22, "steps": 2, "precision": "fp32"}
    for name, workers in (("one", {}), ("two", {"workers": 2, "ray": cluster.address})):
        options = config.GenerateOptions(
            adapter=str(tiny_base_folder), out=tmp_path / name, **values, **workers
        )
        service.run("generate", options, quiet=True)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_ctrl_c_and_sigterm_are_still_this_process_s_own(cluster: Any, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    results = run_items(Work.on(tmp_path, worker_tasks.square), range(3), actors(cluster, 1))
    next(results)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    results.close()  # type: ignore[attr-defined]

"""Images of `generate` by several workers: those of one process, to the bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fits import short_fit
from kills import contents
from local_workers import local_workers
from PIL import Image

from latentdrift import config, record, service
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import ResourceError

PROMPTS = ("a brain", "a chest", "a hand")


def generate(base: Path, out: Path, **more: Any) -> dict[str, Any]:
    values = {"prompt": PROMPTS, "n": 11, "steps": 2, "precision": "fp32", **more}
    options = config.GenerateOptions(adapter=str(base), out=out, **values)
    return service.run("generate", options, quiet=True)


@pytest.fixture(scope="module")
def alone(tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that one process drew."""
    out = tmp_path_factory.mktemp("alone") / "out"
    generate(tiny_base_folder, out)
    return out


@pytest.mark.parametrize("more", [{}, {"batch_size": 8}, {"workers": 7}])
def test_workers_draw_the_images_of_one_process(
    more: dict[str, int], alone: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    with local_workers():
        generate(tiny_base_folder, tmp_path / "out", **{"workers": 2, **more})
    assert contents(tmp_path / "out") == contents(alone)


def test_an_item_is_whole_groups_of_slots(tiny_base_folder: Path, tmp_path: Path) -> None:
    with local_workers() as engines:
        generate(tiny_base_folder, tmp_path / "out", workers=2, slots=2, n=7)
    assert sorted(map(list, engines[0].items)) == [[0, 1, 2, 3], [4, 5, 6]]


def test_a_dead_worker_loses_nothing(alone: Path, tiny_base_folder: Path, tmp_path: Path) -> None:
    with local_workers(deaths=2) as engines:
        generate(tiny_base_folder, tmp_path / "out", workers=2)
    assert len(engines[0].items) == 3 + 2
    assert contents(tmp_path / "out") == contents(alone)


def test_other_workers_go_on_where_one_process_was_stopped(
    alone: Path, tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latentdrift.sample.synthetic_cohort import ImageStore

    keep = ImageStore.keep

    def full(store: ImageStore, index: int, picture: Any, **more: Any) -> None:
        if index == 5:
            raise OSError("full")
        keep(store, index, picture, **more)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(ImageStore, "keep", full)
        generate(tiny_base_folder, tmp_path / "out")
    with local_workers() as engines:
        generate(tiny_base_folder, tmp_path / "out", workers=2)
    assert sorted(map(list, engines[0].items)) == [[5, 6, 7], [8, 9, 10]]
    assert contents(tmp_path / "out") == contents(alone)


def test_the_same_command_with_other_workers_finds_its_images(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    generate(tiny_base_folder, tmp_path / "out", n=2)
    assert generate(tiny_base_folder, tmp_path / "out", n=2, workers=3)["already finished"]


def test_a_replay_takes_no_workers_of_the_record(tiny_base_folder: Path, tmp_path: Path) -> None:
    with local_workers():
        generate(tiny_base_folder, tmp_path / "out", n=2, workers=2, ray="elsewhere:6379")
    replayed = config.ReplayOptions(record=tmp_path / "out", out=tmp_path / "again")
    assert service.run("replay", replayed, quiet=True)["same"]
    assert record.read(tmp_path / "again")["options"]["ray"] is None


def test_a_worker_that_loads_another_model_refuses(
    tiny_base_folder: Path, tiny_v_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latentdrift.jobs import image_job
    from latentdrift.model.model import Model

    class Elsewhere:
        """The path leads to another base."""

        @staticmethod
        def load(place: str, **more: Any) -> Model:
            return Model.load(tiny_v_folder, device="cpu", precision="fp32")

    monkeypatch.setattr(image_job, "Model", Elsewhere)
    with local_workers(), pytest.raises(ResourceError, match="another model"):
        generate(tiny_base_folder, tmp_path / "out", workers=2)


def test_workers_see_the_hints_of_their_images(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    cohort = Cohort.load(tiny_cohort_folder)
    run = tmp_path / "run"
    short_fit(tiny_base_folder, cohort, run, method="controlnet", hint="edges", steps=2)
    more = {"prompt": (), "like": tiny_cohort_folder, "split": "train", "n": 6, "gate": False}
    generate(run, tmp_path / "one", **more)
    with local_workers():
        generate(run, tmp_path / "two", workers=2, **more)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
def test_processes_draw_the_images_of_one_also_where_one_is_killed(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    import psutil

    many = {"n": 40, "steps": 60, "slots": 1, "batch_size": 1}
    generate(tiny_base_folder, tmp_path / "one", **many)
    out = tmp_path / "two"
    command = ["generate", str(tiny_base_folder), "--prompt", *PROMPTS, "--n", "40"]
    command += ["--steps", "60", "--slots", "1", "--batch-size", "1", "--precision", "fp32"]
    command += ["--workers", "2", "--out", str(out)]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    main = subprocess.Popen([sys.executable, "-m", "latentdrift", *command], env=os.environ | path)
    store = out.with_name(f".{out.name}.partial")
    while len(list(store.glob("*.png"))) < 3:
        assert main.poll() is None
        time.sleep(0.01)
    workers = psutil.Process(main.pid).children()
    drawing = [one for one in workers if "spawn_main" in " ".join(one.cmdline())]
    drawing[0].send_signal(signal.SIGKILL)
    assert main.wait(timeout=300) == 0
    assert len(drawing) == 2 and contents(out) == contents(tmp_path / "one")
    assert len(list((out / "images").iterdir())) == 40
    assert Image.open(out / "images" / "000039.png").size == (32, 32)

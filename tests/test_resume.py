"""The same command finishes work that was stopped at any instant; two processes never share an
output; a signal is a sentence."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kills import KilledError, contents, leftovers, stopped
from PIL import Image as Pillow

from latentdrift import config, record, service, storage
from latentdrift.cli import main
from latentdrift.data.importing import isolation
from latentdrift.errors import CohortError, InputError, ResourceError


def run(verb: str, options: config.Options) -> Any:
    return service.run(verb, options, quiet=True)


# --- stopped at any change of the disk ------------------------------------------------------------


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    lines = ["file,patient,age"]
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (16, 16), dtype=np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{index}.png")
        lines.append(f"{index}.png,MUSTER-{index // 2},{50 + index}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    return folder


def importing(scans: Path, out: Path, **more: Any) -> config.ImportOptions:
    return config.ImportOptions(
        source=scans, table=scans.with_name("table.csv"), out=out, salt="s", **more
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in this process, so that all changes of the disk are counted."""
    monkeypatch.setattr(
        isolation, "each", lambda read, files, workers: ((name, read(name)) for name, _ in files)
    )


@pytest.mark.parametrize(
    "error",
    [KilledError(), OSError(errno.ENOSPC, "No space left on device")],
    ids=["killed", "disk full"],
)
def test_an_import_is_finished_from_any_instant(
    scans: Path, tmp_path: Path, here: None, error: BaseException
) -> None:
    with stopped(tmp_path, 10**6, error) as state:
        run("import", importing(scans, tmp_path / "whole"))
        changes = state["seen"]
    whole = contents(tmp_path / "whole"), contents(tmp_path / "whole-private")
    assert changes > 25
    for allowed in sorted({*range(0, changes, 5), *range(changes - 8, changes)}):
        out = tmp_path / f"c{allowed}" / "cohort"
        out.parent.mkdir()
        with (
            stopped(tmp_path, allowed, error),
            pytest.raises((KilledError, OSError, ResourceError)),
        ):
            run("import", importing(scans, out))
        run("import", importing(scans, out))
        assert (contents(out), contents(out.with_name("cohort-private"))) == whole, allowed
        assert record.read(out.with_name("cohort-private"))["verb"] == "import"
        assert leftovers(out.parent) == [], allowed
        shutil.rmtree(out.parent)


def test_a_finished_import_is_the_same_command_again_and_nothing_else(
    scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cohort"
    run("import", importing(scans, out))
    before = (out / "cohort.json").stat().st_mtime_ns
    assert run("import", importing(scans, out))["images"] == 4
    assert (out / "cohort.json").stat().st_mtime_ns == before
    with pytest.raises(CohortError, match="exists and is not empty"):
        run("import", importing(scans, out, seed=1))
    Pillow.fromarray(np.zeros((16, 16), np.uint8)).save(scans / "new.png")
    with pytest.raises(CohortError, match="exists and is not empty"):
        run("import", importing(scans, out))


def test_only_its_owner_reads_the_private_record(scans: Path, tmp_path: Path) -> None:
    run("import", importing(scans, tmp_path / "cohort"))
    assert stat.S_IMODE((tmp_path / "cohort-private" / "record.json").stat().st_mode) == 0o600


@pytest.fixture(scope="module")
def fitted(
    tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path, tiny_cohort_folder: Path
) -> Path:
    out = tmp_path_factory.mktemp("fitted") / "run"
    run("fit", fitting(tiny_base_folder, tiny_cohort_folder, out))
    return out


def fitting(base: Path, cohort: Path, out: Path) -> config.FitOptions:
    how: dict[str, Any] = {
        "method": "lora",
        "rank": 2,
        "steps": 3,
        "batch_size": 1,
        "preview_every": 0,
        "drift": "none",
    }
    return config.FitOptions(
        cohort=cohort,
        base=str(base),
        out=out,
        **how,
        checkpoint_every=1,
        device="cpu",
        precision="fp32",
    )


def everywhere(changes: int) -> list[int]:
    """A few instants, most of them among the last; `test_kills.py` takes random ones."""
    return sorted({changes // 3, 2 * changes // 3, *range(max(0, changes - 4), changes)})


def check(verb: str, options: Any, folder: Path, **kept: Any) -> None:
    """Stop a verb at many changes of the disk, and compare what the same command makes of it with
    what was never stopped."""
    with stopped(folder, 10**6, KilledError()) as state:
        run(verb, options(folder / "whole" / "out"))
        changes = state["seen"]
    whole = contents(folder / "whole", **kept)
    for allowed in everywhere(changes):
        place = folder / str(allowed)
        with stopped(folder, allowed, KilledError()), pytest.raises(KilledError):
            run(verb, options(place / "out"))
        run(verb, options(place / "out"))
        assert contents(place, **kept) == whole, allowed
        assert leftovers(place) == [], allowed
        assert (place / "out" / "record.json").is_file() == (
            folder / "whole" / "out" / "record.json"
        ).is_file()
        shutil.rmtree(place)


def test_images_are_finished_from_any_instant(fitted: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {
        "prompt": ("a brain mri",),
        "n": 2,
        "steps": 2,
        "device": "cpu",
        "precision": "fp32",
    }
    check(
        "generate",
        lambda out: config.GenerateOptions(adapter=str(fitted), out=out, **how),
        tmp_path,
    )


def test_finished_images_are_the_same_command_again_and_nothing_else(
    fitted: Path, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"prompt": ("a brain mri",), "n": 2, "device": "cpu", "precision": "fp32"}
    options = config.GenerateOptions(adapter=str(fitted), out=tmp_path / "out", steps=2, **how)
    run("generate", options)
    assert run("generate", options)["already finished"]
    with pytest.raises(CohortError, match="exists and is not empty"):
        run("generate", options.model_copy(update={"steps": 3}))


@pytest.mark.slow
def test_edits_are_finished_from_any_instant(
    fitted: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    how: dict[str, Any] = {
        "set": ("age=80",),
        "limit": 1,
        "split": "test",
        "steps": 2,
        "device": "cpu",
        "precision": "fp32",
    }
    edit = lambda out: config.EditOptions(  # noqa: E731
        adapter=str(fitted), source=tiny_cohort_folder, out=out, **how
    )
    check("edit", edit, tmp_path, leave=("cache",))


@pytest.mark.slow
def test_a_fit_is_finished_from_any_instant(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    check(
        "fit",
        lambda out: fitting(tiny_base_folder, tiny_cohort_folder, out),
        tmp_path,
        leave=("cache", "adapter.json"),
    )


@pytest.mark.slow
def test_an_adopted_adapter_is_finished_from_any_instant(
    fitted: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.safetensors"
    shutil.copy(fitted / "adapter" / "pytorch_lora_weights.safetensors", file)
    adopt = lambda out: config.AdoptOptions(  # noqa: E731
        file=file, base=str(tiny_base_folder), out=out, device="cpu"
    )
    check("adopt", adopt, tmp_path)


def test_an_export_is_finished_from_any_instant(fitted: Path, tmp_path: Path) -> None:
    export = lambda out: config.ExportOptions(adapter=str(fitted), to="diffusers", out=out)  # noqa: E731
    check("export", export, tmp_path, leave=(".safetensors",))


def test_a_demo_folder_that_is_half_deleted_is_still_a_demos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"
    for name in ("a", "cohort", "zz"):
        (out / name).mkdir(parents=True)
    (out / service.DEMO).touch()
    begun = iter(range(9))
    monkeypatch.setattr(service, "phantom", lambda *_: next(begun) and None)
    monkeypatch.setattr(service, "import_", lambda *_: (_ for _ in ()).throw(KilledError))
    for allowed in (0, 1, 2, 10**6):
        with stopped(tmp_path, allowed, KilledError()), pytest.raises(KilledError):
            service.demo(config.DemoOptions(out=out))
        assert (out / service.DEMO).is_file()


# --- two processes --------------------------------------------------------------------------------


def test_a_second_process_is_told_that_there_is_a_first(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from latentdrift.storage import held
with held(Path({str(tmp_path / "out")!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert first.stdout and first.stdout.readline() == b"held\n"
    phantom = config.PhantomOptions(out=tmp_path / "out", patients=1, visits=1, size=64)
    with pytest.raises(
        ResourceError,
        match=(
            r"another process is writing to .*out; wait until it has finished, or give "
            r"another `out`"
        ),
    ):
        run("phantom", phantom)
    first.kill()
    first.wait()
    run("phantom", phantom)  # the lock fell with its process
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_place_that_cannot_be_written_to_is_said_before_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match=r"nothing can be written beside .*file/out"):
        run("phantom", config.PhantomOptions(out=tmp_path / "file" / "out"))


# --- signals


@pytest.mark.parametrize(
    ("number", "code", "sentence"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped by SIGTERM")],
)
def test_a_signal_ends_in_a_checkpoint_and_a_sentence(
    number: int,
    code: int,
    sentence: str,
    tiny_base_folder: Path,
    tiny_cohort_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from latentdrift.adapt.training.records.training_log import TrainingLog

    real = TrainingLog.step
    monkeypatch.setattr(
        TrainingLog,
        "step",
        lambda self, done, outcome: (
            real(self, done, outcome),
            done == 2 and os.kill(os.getpid(), number),
        ),
    )
    options = fitting(tiny_base_folder, tiny_cohort_folder, tmp_path / "run").model_dump(
        mode="json"
    )
    asked = {
        name: options[name]
        for name in (
            "method",
            "rank",
            "batch_size",
            "drift",
            "base",
            "device",
            "precision",
            "steps",
        )
    }
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    assert (
        main.main(
            ["fit", str(tiny_cohort_folder), "--out", str(tmp_path / "run"), "--json", *arguments]
        )
        == code
    )
    assert (
        f"latentdrift fit: {sentence}; the same command again continues" in capsys.readouterr().err
    )
    assert (tmp_path / "run" / "checkpoints" / "step-000002").is_dir()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # as it was


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3, 0.6])
def test_ctrl_c_in_the_first_moments_has_no_traceback(delay: float, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "latentdrift",
        "phantom",
        "--out",
        str(tmp_path / "out"),
        "--patients",
        "400",
    ]
    with open(tmp_path / "err", "w") as err:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=err)
        while (
            "latentdrift.cli.stopping" not in (tmp_path / "err").read_text()
        ):  # before it, Python itself is not ready
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert "Traceback" not in (tmp_path / "err").read_text()


# --- streams, environment, files
# ---------------------------------------------------------------------------------------------


def shell(line: str, **environment: str) -> tuple[int, str]:
    """Exit code and stderr of a line in which `ld` is latentdrift."""
    done = subprocess.run(
        ["bash", "-c", line.replace("ld ", f"{sys.executable} -m latentdrift ")],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stderr


def test_a_stdout_that_takes_nothing_is_said(tmp_path: Path) -> None:
    phantom = f"ld phantom --patients 1 --visits 1 --size 64 --out {tmp_path}/out"
    code, err = shell(f"{phantom} > /dev/full")
    assert (
        code == 1
        and err.count("\n") == 1
        and "cannot be written to stdout: No space left on device" in err
    )
    assert shell(f"{phantom} >&-") == (0, "")
    assert shell("ld --help > /dev/full")[1] == ""


def test_signs_that_an_encoding_lacks_are_escaped(tmp_path: Path) -> None:
    code, err = shell(
        f"ld phantom --patients 1 --visits 1 --size 64 --out {tmp_path}/α", PYTHONIOENCODING="ascii"
    )
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (
            OSError(errno.EROFS, "Read-only file system", "/x/y"),
            "/x/y cannot be used: Read-only file system",
        ),
        (
            RuntimeError(
                "Error while serializing: I/O error: No space left on device (os error 28)"
            ),
            "the disk is full",
        ),
        (MemoryError(), "there is not enough memory"),
    ],
)
def test_errors_of_the_machine_are_sentences(
    error: Exception,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(service, "phantom", fail)
    assert main.main(["phantom", "--out", str(tmp_path / "out")]) == 1
    assert sentence in capsys.readouterr().err


def test_a_reader_study_is_finished_after_a_stop_and_never_replaced(tmp_path: Path) -> None:
    from latentdrift.evaluate.reader_study import reader_study

    items = [
        reader_study.Item("real", np.full((8, 8, 3), shade, np.uint8), f"{shade}.png", None)
        for shade in (10, 20)
    ]
    key = tmp_path / "key.json"
    reader_study.write_study(tmp_path / "whole", items, tmp_path / "whole.json", by=None, seed=0)
    for allowed in range(6):
        with stopped(tmp_path, allowed, KilledError()), contextlib.suppress(KilledError):
            reader_study.write_study(tmp_path / "out", items, key, by=None, seed=0)
    reader_study.write_study(tmp_path / "out", items, key, by=None, seed=0)
    assert (tmp_path / "out" / "study.html").read_bytes() == (
        tmp_path / "whole" / "study.html"
    ).read_bytes()
    with pytest.raises(InputError, match="is there already"):
        reader_study.write_study(tmp_path / "out", items[::-1], key, by=None, seed=0)


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to"
)
def test_an_output_that_cannot_be_made_is_not_called_busy() -> None:
    with (
        pytest.raises(ResourceError, match="nothing can be written beside"),
        storage.held(Path("/proc/x")),
    ):
        pass


def test_an_interruption_that_a_library_renames_is_still_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    monkeypatch.setattr("latentdrift.service.run", interrupted)
    assert main.main(["phantom", "--out", str(tmp_path / "out")]) == 130
    assert "phantom: interrupted" in capsys.readouterr().err

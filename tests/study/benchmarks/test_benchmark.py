"""The bench of drift and its rivals: every row runs, is kept, and is told apart from the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_cohort

from latentdrift import config, service
from latentdrift.errors import OptionError
from latentdrift.evaluate.images.brightness import background, levels
from latentdrift.study.benchmarks.aggregation import over_seeds
from latentdrift.study.benchmarks.benchmark import Bench
from latentdrift.study.benchmarks.drift_variants import FITS, VARIANTS, possible


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough images for every start."""
    return tiny_cohort(tmp_path_factory.mktemp("bench") / "cohort", 30)


def options(cohort: Path, base: Path, out: Path, **more: object) -> config.BenchDriftOptions:
    small = {
        "methods": ("full",),
        "seeds": 1,
        "fit_steps": 2,
        "fit_batch_size": 2,
        "n": 4,
        "steps": 2,
        "bootstrap": 10,
    }
    return config.BenchDriftOptions(cohort=cohort, base=str(base), out=out, **{**small, **more})  # type: ignore[arg-type]


def test_the_default_is_every_variant() -> None:
    assert config.BenchDriftOptions.model_fields["variants"].default == tuple(VARIANTS)
    assert {row.fit for row in VARIANTS.values()} == set(FITS)


def test_a_frozen_network_is_not_retrained() -> None:
    assert not possible("textual-inversion", "zero-snr")
    assert possible("lora", "zero-snr")


@pytest.mark.parametrize(
    ("variants", "has_part"),
    [(("none", "offset"), False), (("none", "infer"), True), (("train",), True)],
)
def test_a_delta_without_a_variant_is_refused(
    cohort: Path, tmp_path: Path, variants: tuple[str, ...], has_part: bool
) -> None:
    asked = options(cohort, tmp_path, tmp_path / "bench", variants=variants, delta="0.2")
    if has_part:
        Bench(asked)
    else:
        with pytest.raises(
            OptionError, match="`delta` has no part in these `variants`, but in infer, "
        ):
            Bench(asked)


def test_every_variant_runs_and_is_its_own(
    cohort: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    asked = options(cohort, tiny_base_folder, tmp_path / "bench")
    service.run("bench drift", asked, quiet=True)
    told = json.loads((asked.out / "bench.json").read_text())
    assert [row["variant"] for row in told["rows"]] == sorted(
        VARIANTS,
        key=lambda name: (
            name == "search",
            list(FITS).index(VARIANTS[name].fit),
            list(VARIANTS).index(name),
        ),
    )
    results = {
        name: json.loads((asked.out / "results" / f"full-{name}-s0.json").read_text())
        for name in VARIANTS
    }
    assert results["train"]["drift"]["mode"] == "train"
    assert results["both"]["drift"]["mode"] == "both"
    assert results["offset+pin"]["drift"]["mode"] == "pin"
    assert results["leak-low"]["drift"]["mode"] == "leak-low"
    assert results["none"]["drift"]["mode"] == "off"
    assert results["pin-zero"]["drift"]["infer"] == []
    assert results["closed-form"]["drift"]["infer"] == results["pin"]["drift"]["infer"] != []
    levels = {
        name: result["metrics"]["latent_dc"] for name, result in results.items() if name != "search"
    }
    assert len({str(found) for found in levels.values()}) == len(
        levels
    )  # no two rows draw the same pictures
    page = (asked.out / "bench.html").read_text()
    assert "After Yeganeh et al. 2025, fig. 3" in page


def test_what_is_there_is_not_made_again(
    cohort: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    asked = options(cohort, tiny_base_folder, tmp_path / "bench", variants=("none", "pin"))
    service.run("bench drift", asked, quiet=True)
    kept = {path: path.stat().st_mtime_ns for path in (asked.out / "results").glob("*.json")}
    more = asked.model_copy(update={"variants": ("none", "pin", "infer")})
    assert [cell.variants for cell in Bench(more).missing(Bench(more).cells(searched=False))] == [
        ("none", "pin", "infer")
    ]
    service.run("bench drift", more, quiet=True)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert len(list((asked.out / "results").glob("*.json"))) == 3
    assert (
        Bench(asked.model_copy(update={"n": 5})).result(
            Bench(asked).cells(searched=False)[0], "none"
        )
        is None
    )


def test_results_belong_to_the_contents_of_what_is_named(
    cohort: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    """A result is found beside the same weights wherever they lie, and not beside others under the
    same name."""
    base = shutil.copytree(tiny_base_folder, tmp_path / "base")
    weights = tmp_path / "w.h5"
    delta = tmp_path / "delta.json"
    weights.write_bytes(b"one")
    delta.write_text('{"delta": [0.1]}')

    def named(folder: Path = base) -> str:
        more = {"features": (f"squeezenet={weights}",), "delta": str(delta)}
        return Bench(options(cohort, folder, tmp_path / "out", **more)).key

    first = named()
    assert named(shutil.copytree(base, tmp_path / "moved")) == first
    weights.write_bytes(b"two")
    second = named()
    delta.write_text('{"delta": [0.2]}')
    third = named()
    file = base / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    assert len({first, second, third, named()}) == 4


def test_where_results_lie(cohort: Path, tiny_base_folder: Path, tmp_path: Path) -> None:
    asked = Bench(options(cohort, tiny_base_folder, tmp_path, device="cpu"))
    first = asked.all_cells[0]
    assert asked.path(first, "none") == tmp_path / "results" / "full-none-s0.json"
    assert asked.fitting(first).out == tmp_path / "fits" / "full-plain-s0"


def test_unknown_names_are_said_before_any_work(
    cohort: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="unknown variant 'pinn'; known: both"):
        Bench(options(cohort, tiny_base_folder, tmp_path, variants=("pinn",)))
    with pytest.raises(OptionError, match="unknown method 'fulll'"):
        Bench(options(cohort, tiny_base_folder, tmp_path, methods=("fulll",)))


def test_levels_of_known_pictures() -> None:
    """Real pictures: a black border around 0.5. Synthetic: the border at 0.1 and 0.3, the inside as
    it should be."""
    real = np.zeros((3, 10, 10, 3))
    real[:, 2:8, 2:8] = 0.5
    synthetic = np.stack([np.where(real[0] == 0, level, 0.5) for level in (0.1, 0.3)])
    mask = background(real)
    assert mask is not None
    assert mask.sum() == 64
    found = levels(synthetic, real)
    assert found["background"] == pytest.approx(255 * 0.2)
    assert found["background_sd"] == pytest.approx(255 * 0.2 / 2**0.5)
    assert found["mean_error"] == pytest.approx(255 * 0.2 * 0.64)
    assert found["spread"] == pytest.approx(255 * 0.2 * 0.64 / 2**0.5)
    assert found["real_spread"] == 0
    assert found["real_background"] == 0
    framed = np.random.default_rng(0).uniform(size=(3, 10, 10, 3))  # pictures that fill the frame
    assert background(framed) is None
    assert levels(synthetic, framed)["background"] is None


def test_a_background_need_not_be_black() -> None:
    """One picture's nothing is at 17 of 255, another's at 40: each is measured against its own."""
    real = np.zeros((2, 10, 10, 3)) + np.array([17, 40])[:, None, None, None] / 255
    real[:, 3:7, 3:7] = 0.8
    mask = background(real)
    assert mask is not None and mask.sum() == 100 - 16
    assert levels(real, real)["real_background"] == pytest.approx((17 + 40) / 2)


def test_intervals_over_seeds_are_students() -> None:
    found = over_seeds([1.0, 2.0, 3.0])
    assert found is not None
    assert found["mean"] == 2.0
    assert found["half"] == pytest.approx(4.303 / 3**0.5, rel=1e-3)  # t(0.975, 2) = 4.303, sd 1
    assert over_seeds([None]) is None
    assert (over_seeds([1.5]) or {})["half"] is None

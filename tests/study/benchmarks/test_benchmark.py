"""The bench of drift and its rivals: every row runs, is kept, and is told apart from the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny import tiny_cohort

from latentdrift import config, service
from latentdrift.errors import OptionError
from latentdrift.study.benchmarks.aggregation import paper
from latentdrift.study.benchmarks.benchmark import TABLES, Bench
from latentdrift.study.benchmarks.drift_variants import FITS, VARIANTS
from latentdrift.study.benchmarks.table1 import TABLE1
from latentdrift.study.benchmarks.table2 import TABLE2
from latentdrift.study.benchmarks.table3 import TABLE3
from latentdrift.study.benchmarks.table4 import TABLE4


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


@pytest.mark.parametrize("options", TABLES)
def test_the_default_is_every_row(options: type[config.BenchOptions]) -> None:
    table = TABLES[options]
    assert options.model_fields["variants"].default == tuple(table.variants)
    assert {row.fit for row in table.variants.values()} - {None} == set(table.fits)
    assert {variant for _, variant in table.paper} <= set(table.variants)
    assert all(len(numbers) == len(table.paper_columns) for numbers in table.paper.values())


def test_the_papers_numbers() -> None:
    """Some of each column and row, as the tables of the paper print them."""
    columns = [
        f"paper: {what} {score}"
        for what in ("brain", "CheXpert")
        for score in ("FID", "KID", "AUC")
    ]
    assert paper(TABLE1, "full", "drift") == dict(
        zip(columns, ("49.68", "0.035", "0.724", "84", "0.077", "0.746"), strict=True)
    )
    assert paper(TABLE1, "custom-diffusion", "none")["paper: brain FID"] == "129.21"
    assert paper(TABLE1, None, "base")["paper: CheXpert AUC"] == "0.426"
    assert paper(TABLE1, "dreambooth", "real+synthetic")["paper: brain AUC"] == "0.883"
    assert set(paper(TABLE1, "lora", "drift").values()) == {"–"}  # the paper has no LoRA
    assert paper(TABLE3, "full", "diverse+info") == {
        "paper: brain FID": "51.35",
        "paper: brain KID": "0.0351",
    }
    assert paper(TABLE3, "lora", "simple") == {"paper: brain FID": "–", "paper: brain KID": "–"}
    columns = [f"paper: {score}" for score in ("FID", "SSIM", "LPIPS", "PSNR")]
    cells = ("27.41", "0.27", "0.19", "30.49")
    assert paper(TABLE2, "instruct-pix2pix", "word+custom-diffusion") == dict(
        zip(columns, cells, strict=True)
    )
    assert paper(TABLE2, "instruct-pix2pix", "numerical+full")["paper: PSNR"] == "32.83"
    assert paper(TABLE2, None, "no-change")["paper: SSIM"] == "–"  # the paper has no such row
    assert paper(TABLE4, "full", "diverse+info") == {
        "paper: brain FID": "36.1",
        "paper: brain KID": "0.0151",
    }
    assert paper(TABLE4, "full", "simple+info")["paper: brain FID"] == "–"

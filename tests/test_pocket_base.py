"""The embedded base: complete, small, loadable by stock diffusers, and good enough on pictures that
it never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import places
import pytest
import torch

from latentdrift import Base, config
from latentdrift.data.importing.importer import import_cohort
from recipes.pocket import pictures

WEIGHTS = places.REPOSITORY / "src/latentdrift/model/pocket/weights"
SHARED = places.SHARED / "data"


@pytest.fixture(scope="module")
def pocket() -> Base:
    return Base.load("pocket", precision="fp32")


def test_it_is_at_most_25_mb_in_all() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= 25e6


def test_it_is_a_stable_diffusion_in_genuine_layout(pocket: Base) -> None:
    assert (pocket.resolution, pocket.latent_channels, pocket.latent_size()) == (128, 4, 32)
    assert pocket.schedule.prediction_type == "epsilon"
    assert float(pocket.schedule.alpha_bar[-1]) == pytest.approx(
        0.00466, abs=1e-5
    )  # Stable Diffusion's schedule


def test_stock_diffusers_loads_and_runs_it() -> None:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(WEIGHTS)
    pipe.set_progress_bar_config(disable=True)
    image = pipe("a brain MRI", num_inference_steps=2, output_type="np").images[0]
    assert image.shape == (128, 128, 3) and np.isfinite(image).all()


def test_latents_have_unit_power(pocket: Base) -> None:
    shown = np.stack([pictures.picture(900_000_000 + i)[0] for i in range(24)])
    mean, std = pocket.moments(torch.from_numpy(shown).permute(0, 3, 1, 2) * 2 - 1)
    assert 0.6 < mean.pow(2).mean().sqrt().item() < 1.5
    assert std.mean().item() < 0.3


def test_words_that_users_type_are_not_broken_to_pieces(pocket: Base) -> None:
    for text in (
        "a chest x-ray with pneumothorax",
        "a brain mri of a 75 year old female with dementia",
        "alzheimer disease",
    ):
        pieces = pocket.tokenizers["tokenizer"].tokenize(text)
        assert len(pieces) <= len(text.replace("-", " - ").replace("75", "7 5").split()) + 1, pieces
    tokenizer = pocket.tokenizers["tokenizer"]
    assert tokenizer.unk_token not in tokenizer.tokenize("<x> 3.5% (a/b) é!")


def test_pictures_are_the_same_for_the_same_index() -> None:
    for kind in pictures.KINDS:
        first = pictures.picture(3, kind=kind)
        again = pictures.picture(3, kind=kind)
        assert (first[0] == again[0]).all() and first[1] == again[1]
        assert first[0].shape == (128, 128, 3) and first[0].min() >= 0 and first[0].max() <= 1


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data, which is not here")
@pytest.mark.parametrize(
    ("folder", "preset", "least"),
    [("oasis2", "oasis2", 28.0), ("nih1000", "nih-chestxray14", 30.0)],
)
def test_the_autoencoder_holds_real_scans(
    pocket: Base, tmp_path: Path, folder: str, preset: str, least: float
) -> None:
    cohort = import_cohort(
        config.ImportOptions(source=SHARED / folder, preset=preset, out=tmp_path / "cohort")
    )
    x = torch.from_numpy(cohort.batch(cohort.rows("test").head(24), pocket.resolution))
    mean, _ = pocket.moments(x)
    error = (pocket.decode(mean) - x).pow(2).mean((1, 2, 3))
    assert (10 * torch.log10(4 / error)).mean().item() >= least


def test_errors_of_x0_count_the_capped_snr_and_a_floor() -> None:
    """An error of eps is one of x0 times the SNR, so the weight times the SNR is min(SNR, 5) + 1,
    to a factor."""
    from recipes.pocket.train import time_weights

    alpha_bar = torch.tensor([0.99, 0.9, 0.5, 0.0047], dtype=torch.float64)
    snr = alpha_bar / (1 - alpha_bar)
    weights = time_weights(alpha_bar)
    counted = weights * snr
    assert weights.mean().item() == pytest.approx(1.0)
    assert (counted / counted[0]).tolist() == pytest.approx(
        [1.0, 1.0, 2 / 6, (1 + snr[3].item()) / 6]
    )


def test_what_ships_can_be_trained_on_and_is_itself_again(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from recipes.pocket import train

    train.unpack(tmp_path / "work", WEIGHTS, 5)
    modules: dict[str, torch.nn.Module] = dict(
        zip(("text", "unet"), train.build_denoiser(tmp_path / "work")[1:], strict=True)
    )
    assert (
        train.load_state(
            tmp_path / "work" / "denoiser.pt", modules, train.denoiser_optimizer(modules)
        )
        == 5
    )
    train.export(tmp_path / "work", tmp_path / "out")
    for part in (
        "unet/diffusion_pytorch_model",
        "vae/diffusion_pytorch_model",
        "text_encoder/model",
    ):
        shipped, again = (
            load_file(folder / f"{part}.safetensors") for folder in (WEIGHTS, tmp_path / "out")
        )
        assert shipped.keys() == again.keys() and all(
            torch.equal(shipped[name], again[name]) for name in shipped
        )
    assert (
        train.scaling(tmp_path / "work")
        == Base.load(tmp_path / "out", precision="fp32").vae.config.scaling_factor
    )


def test_a_longer_run_begins_as_a_shorter_one_and_warms_up_where_it_begins() -> None:
    from recipes.pocket.train import plateau

    assert [plateau(step, 1000, 1.0, 100) for step in (49, 400, 799)] == [
        plateau(step, 2000, 1.0, 100) for step in (49, 400, 799)
    ]
    assert (
        plateau(500, 1000, 1.0, 100, begun=500) == pytest.approx(0.01)
        and plateau(599, 1000, 1.0, 100, begun=500) == 1.0
    )
    assert plateau(900, 1000, 1.0, 100) == pytest.approx(0.5) and plateau(
        999, 1000, 1.0, 100
    ) == pytest.approx(0.02)

"""Features of numbers beside their closed form, and what a network makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latentdrift.model.base import Base
from latentdrift.model.number_features import PERIODS, WIDTH, number_features
from latentdrift.prompts.prompt_numbers import PromptNumbers


def test_features_are_the_number_and_its_waves() -> None:
    (found,) = number_features([PromptNumbers(years=2.0, age=60.0)]).numpy()
    years = [1, 0.4, *np.sin([np.pi / 2, np.pi / 4, np.pi / 8, np.pi / 16])]
    years += [*np.cos([np.pi / 2, np.pi / 4, np.pi / 8, np.pi / 16])]
    age = [1, 0.75, *np.sin([3 * np.pi, 1.5 * np.pi, 0.75 * np.pi])]
    age += [*np.cos([3 * np.pi, 1.5 * np.pi, 0.75 * np.pi])]
    np.testing.assert_allclose(found[:18], [*years, *age], atol=1e-6)
    assert not found[18:].any()


def test_volumes_stand_behind_years_and_age() -> None:
    """A network that was made before them reads the others as it did."""
    numbers = [PromptNumbers(2.0, 60.0, ventricles=2.0, fluid=-8.0)]
    (found,) = number_features(numbers).numpy()
    volumes = [1, 2, *np.sin([np.pi / 2, np.pi / 4, np.pi / 8])]
    volumes += [*np.cos([np.pi / 2, np.pi / 4, np.pi / 8])]
    fluid = [1, -4, *np.sin([-np.pi, -np.pi / 2, -np.pi / 4])]
    fluid += [*np.cos([-np.pi, -np.pi / 2, -np.pi / 4])]
    np.testing.assert_allclose(found[18:], [*volumes, *fluid], atol=1e-6)
    assert torch.equal(number_features(numbers, 18), number_features([PromptNumbers(2, 60)], 18))


def test_a_number_that_is_not_said_is_no_number() -> None:
    nothing, zero, no_age = number_features(
        [PromptNumbers(), PromptNumbers(0, 0), PromptNumbers(years=3)]
    )
    assert not nothing.any() and zero.any()
    assert not no_age[2 + 2 * len(PERIODS["years"]) :].any()
    assert number_features([]).shape == (0, WIDTH)


@pytest.fixture
def base(tiny_base_folder: Path) -> Base:
    loaded = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    loaded.family.widen(loaded)
    return loaded


def prediction(base: Base, prompt: str) -> torch.Tensor:
    source = generator_noise(base)
    read = base.with_images(base.embed([prompt]), [source])
    with torch.no_grad():
        return base.denoiser()(source + 0.5, 400, read)


def generator_noise(base: Base) -> torch.Tensor:
    size = base.latent_size(base.resolution)
    shape = (1, base.latent_channels, size, size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_numbers_change_nothing_at_first_and_then_what_is_predicted(
    base: Base, tmp_path: Path
) -> None:
    words = "Age this brain MRI into a brain MRI"
    before = prediction(base, words)
    assert base.embed([words]).numbers is None and not base.reads_numbers
    base.family.add_numbers(base, WIDTH)
    assert base.reads_numbers
    texts = {years: f"Age this brain MRI by {years} years into a brain MRI" for years in (1, 5)}
    for text in (words, *texts.values()):
        assert torch.equal(prediction(base, text), before)
    torch.nn.init.normal_(base.network.class_embedding.linear_2.weight, std=0.1)
    assert not torch.allclose(prediction(base, texts[1]), prediction(base, texts[5]))
    base.network.save_pretrained(tmp_path)
    again = replace(base, network=type(base.network).from_pretrained(tmp_path).eval())
    assert again.reads_numbers
    assert torch.equal(prediction(again, texts[5]), prediction(base, texts[5]))


def test_the_text_encoder_reads_words_alone(base: Base) -> None:
    base.family.add_numbers(base, WIDTH)
    one, other = (
        base.embed(
            [
                "Age this 70 years old brain MRI by 1 years into a brain MRI",
                "Age this 50 years old brain MRI by 9 years into a brain MRI",
            ]
        )[[0]],
        base.embed(["Age this 50 years old brain MRI by 9 years into a brain MRI"]),
    )
    torch.testing.assert_close(one.embeddings, other.embeddings)
    assert not one.equals(other) and one.equals(one)


def test_a_network_of_fewer_numbers_reads_those(base: Base) -> None:
    """As one that was trained before volumes were numbers."""
    base.family.add_numbers(base, 18)
    text = "Age this brain MRI by 5 years (ventricles +1 %, fluid +2 % of the head)"
    numbers = base.embed([text]).numbers
    assert numbers is not None and numbers.shape == (1, 18)
    prediction(base, text)

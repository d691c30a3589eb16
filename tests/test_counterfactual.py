"""An edit of a picture on a random network: what comes out, and that every option reaches it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latentdrift.edit.counterfactual import Counterfactual, edit
from latentdrift.edit.editors import EDITORS
from latentdrift.errors import InputError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift

OPTIONS = {"editor": "ddim", "strength": 0.6, "steps": 10, "guidance": 2.5, "seed": 0}
BY_PROMPTS = [name for name, row in EDITORS.items() if not row.instructed]
X = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def base(request: pytest.FixtureRequest, tiny_base_folder: Path, tiny_v_folder: Path) -> Base:
    return Base.load(tiny_base_folder if request.param == "epsilon" else tiny_v_folder, device="cpu", precision="fp32")


def edited(
    base: Base, target: str = "a brain MRI with dementia", drift: Drift | None = None, **options: object
) -> Counterfactual:
    return edit(base, drift or Drift(), X, "a brain MRI", target, **{**OPTIONS, **options})


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_three_pictures(base: Base, editor: str) -> None:
    result = edited(base, editor=editor)
    assert torch.equal(result.original, X)
    for picture in (result.reconstruction, result.counterfactual):
        assert picture.shape == X.shape and picture.dtype == torch.float32 and picture.abs().max() <= 1
    assert not torch.equal(result.reconstruction, result.counterfactual)


@pytest.mark.parametrize("editor", BY_PROMPTS)
def test_the_same_seed_is_the_same_edit(base: Base, editor: str) -> None:
    assert torch.equal(edited(base, editor=editor).counterfactual, edited(base, editor=editor).counterfactual)


def test_inversion_comes_back_to_what_the_autoencoder_keeps(base: Base) -> None:
    kept = base.decode(base.moments(X)[0])
    few, many = ((edited(base, steps=steps).reconstruction - kept).abs().max() for steps in (25, 100))
    assert many < few / 3 and many < 0.02  # the error is of second order in the step


def test_an_edit_to_the_same_prompt_is_the_reconstruction(base: Base) -> None:
    result = edited(base, target="a brain MRI")
    assert torch.allclose(result.reconstruction, result.counterfactual, atol=1e-4)


@pytest.mark.parametrize("change", [{"strength": 0.2}, {"guidance": 1.0}, {"steps": 20}, {"editor": "sdedit"}])
def test_every_option_reaches_the_picture(base: Base, change: dict[str, object]) -> None:
    assert not torch.equal(edited(base).counterfactual, edited(base, **change).counterfactual)


def test_the_seed_reaches_the_editor_that_draws_noise(base: Base) -> None:
    first, second = (edited(base, editor="sdedit", seed=seed).counterfactual for seed in (0, 1))
    assert not torch.equal(first, second)


def test_drift_in_training_reaches_the_picture_and_drift_of_the_start_does_not(base: Base) -> None:
    plain, trained, start = (
        edited(base, drift=drift).counterfactual
        for drift in (Drift(), Drift.of((0.5,) * 4, "train"), Drift.of((0.5,) * 4, "infer"))
    )
    assert not torch.equal(plain, trained)
    assert torch.equal(plain, start)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"editor": "ddmi"}, "unknown editor 'ddmi'; known: ddim, instruct-pix2pix, sdedit"),
        ({"strength": 0.0}, "strength 0.0 of an edit; it must be above 0 and at most 1"),
        ({"strength": 1.5}, "strength 1.5"),
        ({"steps": 5000}, "5000 sampling steps"),
        ({"target": "brain " * 90}, "reads 75"),
    ],
)
def test_what_cannot_work_is_a_sentence(base: Base, options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        edited(base, **options)


def test_a_picture_out_of_range_is_refused(base: Base) -> None:
    with pytest.raises(InputError, match=r"\[-1, 1\]"):
        edit(base, Drift(), X * 3, "a", "b", **OPTIONS)

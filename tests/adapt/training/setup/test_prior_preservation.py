"""Prior preservation: as many pictures of the class as of the cohort, each with its part in the
loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import asked, same, short_fit, weights

from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.training.batches.batches import Batch, Batches
from latentdrift.adapt.training.batches.latent_cache import Moments
from latentdrift.adapt.training.setup import prior_preservation
from latentdrift.adapt.training.setup.prior_preservation import Preserving
from latentdrift.adapt.training.setup.training_setup import learned
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.sample.generate import SamplingOptions, latents

AS_USERS_DRAW = prior_preservation.SAMPLING
"""As it is before tests/conftest.py lets fits draw in fewer steps."""


def constant(value: float, n: int) -> Moments:
    return Moments(np.full((n, 1, 2, 2), value, np.float32), np.zeros((n, 1, 2, 2), np.float32))


def streams(weight: float) -> tuple[Batches, Preserving]:
    own = Batches(constant(1.0, 5), [Example(i, f"sks {i}") for i in range(5)], 4, 0.5, 1000, 3)
    prior = Batches(constant(-1.0, 3), [Example(i, "class") for i in range(3)], 4, 0.0, 1000, 4)
    return own, Preserving(own, prior, weight)


def test_images_and_class_pictures_alternate_and_the_images_are_those_of_a_run_without() -> None:
    own, both = streams(1.0)
    alone = own(7)
    joined = both(7)
    assert len(joined) == 8
    assert torch.equal(joined.x0[0::2], alone.x0) and torch.equal(joined.eps[0::2], alone.eps)
    assert torch.equal(joined.t[0::2], alone.t) and joined.prompts[0::2] == alone.prompts
    assert (joined.x0[1::2] == -1).all() and set(joined.prompts[1::2]) == {"class"}
    assert not torch.equal(joined.eps[1::2], joined.eps[0::2])


@pytest.mark.parametrize("weight", [1.0, 0.25, 3.0])
def test_the_loss_is_that_of_the_images_plus_the_weight_times_that_of_the_class(
    weight: float,
) -> None:
    _, both = streams(weight)
    batch: Batch = both(0)
    losses = torch.where(batch.x0[:, 0, 0, 0] > 0, torch.tensor(5.0), torch.tensor(7.0))
    assert batch.counts is not None
    assert (losses * batch.counts).mean().item() == pytest.approx(5.0 + weight * 7.0)
    half = batch.part(slice(0, 4))  # of accumulated passes each has its share of both
    assert half.counts is not None and half.counts.sum() == batch.counts.sum() / 2


def test_class_pictures_are_drawn_as_generate_draws_by_default() -> None:
    assert SamplingOptions(seed=0, steps=50, guidance=2.5, sampler="ddim") == AS_USERS_DRAW


@pytest.mark.parametrize(
    ("method", "altered"),
    [
        ("dreambooth-lora", {}),
        ("dreambooth-lora", {"prediction": "v_prediction"}),
        ("dreambooth", {"prediction": "v_prediction", "zero_snr": True}),
        ("custom-diffusion", {"prediction": "v_prediction"}),
    ],
)
def test_class_pictures_are_what_the_base_draws_of_the_class(
    method: str, altered: dict[str, Any], tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    """The base predicts eps until it is trained, whatever it is trained to predict."""
    how: Any = {
        "drift": "none" if "zero_snr" in altered else "0.3",
        "prior_images": 5,
        "steps": 1,
        **altered,
    }
    made = short_fit(tiny_base_folder, cohort, tmp_path / "run", method=method, **how)
    (folder,) = (tmp_path / "run" / "cache").glob("class-*")
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    how = {"seed": 0, "steps": 4, "guidance": 2.5, "sampler": "ddim"}
    drawn = {
        i: x0
        for i, _, x0 in latents(
            base, Drift(), dict.fromkeys(range(5), "a brain MRI"), SamplingOptions(**how)
        )
    }
    np.testing.assert_array_equal(
        np.load(folder / "mean.npy"), torch.stack([drawn[i] for i in range(5)]).numpy()
    )
    assert made.info.to_dict()["options"] | {"prior_images": 5} == made.info.to_dict()["options"]


def test_fits_that_alter_the_schedule_share_the_class_pictures_of_those_that_do_not(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    for name, altered in {"plain": {}, "v": {"prediction": "v_prediction"}}.items():
        how: Any = {
            "method": "dreambooth-lora",
            "prior_images": 4,
            "steps": 1,
            "class_pictures": tmp_path / "class",
            **altered,
        }
        short_fit(tiny_base_folder, cohort, tmp_path / name, **how)
    assert len(list((tmp_path / "class").glob("class-*/mean.npy"))) == 1


def test_a_fit_that_starts_from_an_adapter_draws_with_the_schedule_that_it_was_trained_for(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    first = short_fit(
        tiny_base_folder, cohort, tmp_path / "v", method="lora", steps=1, prediction="v_prediction"
    )
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
    start = (str(first.adapter),)
    assert (
        learned(
            base, asked(tiny_base_folder, cohort, tmp_path / "run", start=start)
        ).prediction_type
        == "v_prediction"
    )
    assert learned(base, asked(tiny_base_folder, cohort, tmp_path / "run")) is base.schedule


def test_class_pictures_that_fits_share_give_the_same_adapter(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    how: Any = {"method": "dreambooth-lora", "prior_images": 5}
    own = short_fit(tiny_base_folder, cohort, tmp_path / "own", **how)
    first = short_fit(
        tiny_base_folder, cohort, tmp_path / "first", class_pictures=tmp_path / "class", **how
    )
    drawn = {path: path.stat().st_mtime_ns for path in (tmp_path / "class").rglob("*.npy")}
    second = short_fit(
        tiny_base_folder, cohort, tmp_path / "second", class_pictures=tmp_path / "class", **how
    )
    assert same(own, first) and same(own, second)
    assert drawn == {path: path.stat().st_mtime_ns for path in (tmp_path / "class").rglob("*.npy")}
    assert not list((tmp_path / "first" / "cache").glob("class-*"))


def test_weight_prompt_and_number_reach_the_result(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    def fitted(name: str, **more: Any) -> torch.Tensor:
        made = short_fit(
            tiny_base_folder, cohort, tmp_path / name, method="dreambooth-lora", steps=3, **more
        )
        return torch.cat([value.flatten() for value in weights(made).values()])

    plain = fitted("plain")
    assert torch.equal(fitted("again"), plain)
    for name, more in {
        "weight": {"prior_weight": 0.5},
        "prompt": {"class_prompt": "a chest"},
        "none": {"prior_images": 0},
    }.items():
        assert not torch.equal(fitted(name, **more), plain), name


def test_a_network_that_stays_as_it_is_has_nothing_to_preserve(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(
        OptionError, match="`method=textual-inversion` leaves it as it is: leave it out"
    ):
        short_fit(
            tiny_base_folder, cohort, tmp_path / "run", method="textual-inversion", prior_images=3
        )

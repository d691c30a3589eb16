"""Model: a base alone, a cohort's words, and what `Model.load` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fits import short_fit
from specs import rows_of

from latentdrift.adapt.loading import load_adapter
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.record import sha256


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)


def load(place: Path | str, *also: str) -> Model:
    return Model.load(place, also=also, device="cpu", precision="fp32")


@torch.no_grad()
def predict(base: Base) -> torch.Tensor:
    xt = torch.linspace(-1, 1, base.latent_channels * 64).reshape(1, -1, 8, 8)
    return base.denoiser()(xt, 500, base.embed(["a brain MRI"]))


def test_a_base_alone_is_a_model_that_takes_a_cohorts_words(
    tiny_base_folder: Path, cohort: Cohort
) -> None:
    model = load(tiny_base_folder)
    assert model.is_base and model.adapters == () and model.trained_on == ()
    assert model.info.describe == "image" and model.info.colour
    about = model.about(cohort)
    assert about.info.describe == cohort.describe
    assert rows_of(about.info.attributes) == rows_of(cohort.attributes)
    assert about.info.colour is False
    assert model.info.describe == "image"
    assert Model.of_base(model.base, 16).info.side == 16


def test_a_run_its_adapter_and_a_stack_are_models(
    tiny_base_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    options = {"steps": 2, "learning_rate": 1e-2, "drift": "none"}
    first = short_fit(tiny_base_folder, cohort, tmp_path / "first", **options)
    second = short_fit(tiny_base_folder, cohort, tmp_path / "second", seed=1, **options)
    model = load(first.adapter.parent)
    (adapter,) = model.adapters
    weights = first.adapter / "pytorch_lora_weights.safetensors"
    assert (adapter.method, adapter.sha256) == ("lora", sha256(weights))
    assert adapter.place == first.adapter and adapter.cohort_fingerprint == cohort.fingerprint
    assert model.about(cohort) is model
    assert torch.equal(predict(model.base), predict(load(first.adapter).base))

    stack = load(first.adapter, f"{second.adapter}=0.5")
    assert [part.weight for part in stack.adapters] == [1.0, 0.5]
    assert stack.trained_on == (cohort.fingerprint,) * 2
    assert stack.adapter_records[1] == {
        "method": "lora",
        "weight": 0.5,
        "sha256": sha256(second.adapter / weights.name),
    }
    alone = stack.without()
    assert alone.is_base
    assert torch.equal(predict(alone.base), predict(load(tiny_base_folder).base))


@pytest.mark.parametrize("also", ["run=0.5", Path("run=0.5"), ["run=0.5"]])
def test_one_further_adapter_is_not_read_by_letters(
    also: str | Path | list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    references: list[str] = []
    monkeypatch.setattr(
        "latentdrift.adapt.loading.load_model",
        lambda place, *, also, **others: references.extend(also),
    )
    Model.load("run", also=also)
    assert references == ["run=0.5"]


@pytest.mark.parametrize("value", [None, 3, ""])
def test_what_is_no_path_is_refused(value: str) -> None:
    with pytest.raises(OptionError, match=r"`place` is .*; give a path"):
        Model.load(value)
    with pytest.raises(OptionError, match=r"`folder` is .*; give a path"):
        Cohort.load(value)
    with pytest.raises(OptionError, match=r"`path` is .*; give a path"):
        load_adapter(value)


def test_a_device_or_precision_of_another_type_is_unknown(tiny_base_folder: Path) -> None:
    wrong: Any = 3
    with pytest.raises(OptionError, match="unknown device '3'"):
        Base.load(tiny_base_folder, device=wrong)
    with pytest.raises(OptionError, match="unknown precision '3'"):
        Base.load(tiny_base_folder, precision=wrong)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"is not an adapter: it has no adapter\.json"):
        load(tmp_path)

"""A worker that would make other results than the main process refuses to work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latentdrift.config import GenerateOptions
from latentdrift.engines.schedule import Workers
from latentdrift.errors import ResourceError
from latentdrift.jobs import agreement
from latentdrift.model.base import Base


@pytest.fixture
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="bf16")


def options(base: Base, **more: object) -> GenerateOptions:
    return GenerateOptions(adapter=base.name, out=Path("out"), prompt=("x",), **more)


def test_equal_facts_agree() -> None:
    agreement.check(agreement.facts("one"), agreement.facts("one"))


def test_another_model_is_refused() -> None:
    with pytest.raises(ResourceError, match="another model or other images"):
        agreement.check(agreement.facts("one"), agreement.facts("other"))


def test_another_version_is_named() -> None:
    here = {**agreement.facts("one"), "torch": "1.0"}
    with pytest.raises(ResourceError, match=rf"torch 1\.0 in place of {torch.__version__[:3]}"):
        agreement.check(agreement.facts("one"), here)


def test_workers_take_the_device_and_number_format_that_were_chosen(base: Base) -> None:
    taken = agreement.pinned(options(base, device="auto", precision="auto"), base)
    assert (taken.device, taken.precision) == ("cpu", "bf16")
    again = Base.load(base.name, device=taken.device, precision=taken.precision)
    assert again.dtype == torch.bfloat16


def test_workers_of_options(base: Base) -> None:
    assert agreement.workers_of(options(base), base).is_this_process
    wanted = options(base, workers=3, ray="auto")
    assert agreement.workers_of(wanted, base) == Workers(3, "auto", uses_gpu=False)

"""Full fine-tuning: every weight of the network, and of the text encoder where it is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from infos import info_of
from method_fits import load, options

from latentdrift.adapt.methods import full_finetuning


@pytest.mark.parametrize("train_text_encoder", [False, True])
def test_what_was_trained_comes_back_to_the_bit(
    train_text_encoder: bool, tiny_base_folder: Path, tmp_path: Path
) -> None:
    asked = options("full", train_text_encoder=train_text_encoder)
    base, parameters = full_finetuning.prepare(load(tiny_base_folder), asked, {})
    encoder = base.text_encoders["text_encoder"]
    count = len(list(base.network.parameters()))
    count += len(list(encoder.parameters())) if train_text_encoder else 0
    assert len(parameters) == count
    assert all(parameter.requires_grad for parameter in parameters.values())
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(0.01)
    full_finetuning.save(base, tmp_path)
    assert (tmp_path / "text_encoder").is_dir() == train_text_encoder
    back = full_finetuning.apply(load(tiny_base_folder), tmp_path, info_of())
    for name, tensor in base.network.state_dict().items():
        assert torch.equal(tensor, back.network.state_dict()[name]), name
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, back.text_encoders["text_encoder"].state_dict()[name]), name
    removed = full_finetuning.remove(back)
    for name, tensor in load(tiny_base_folder).network.state_dict().items():
        assert torch.equal(tensor, removed.network.state_dict()[name]), name

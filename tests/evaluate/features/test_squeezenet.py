"""SqueezeNet: a Keras file, the published shapes, and the perceptual distance by its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_files import walked_by_hand, write_keras

from latentdrift.errors import InputError
from latentdrift.evaluate.features.squeezenet import FIRES, SqueezeNet, load_squeezenet, unlikeness


def test_squeezenet_reads_every_array_of_a_keras_file(tmp_path):
    ours = SqueezeNet().requires_grad_(False)
    write_keras(tmp_path / "w.h5", ours)
    theirs = load_squeezenet(tmp_path / "w.h5")
    assert all(
        torch.equal(a, b)
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    )


def test_squeezenet_has_the_published_size_and_shapes():
    network = SqueezeNet()
    assert sum(p.numel() for p in network.parameters()) == 722_496
    assert len(network.layers) == 1 + 3 * len(FIRES)
    assert network(torch.rand(2, 3, 227, 227)).shape == (2, 512)


def test_perceptual_distance_is_that_of_the_file_walked_by_hand(tmp_path):
    torch.manual_seed(1)
    write_keras(tmp_path / "w.h5", SqueezeNet().requires_grad_(False))
    a, b = np.random.default_rng(2).random((2, 64, 48, 3)).astype(np.float32)
    expected = 0.0
    for x, y in zip(
        walked_by_hand(tmp_path / "w.h5", a), walked_by_hand(tmp_path / "w.h5", b), strict=True
    ):
        cosine = torch.nn.functional.cosine_similarity(x, y, dim=1)
        expected += float((2 - 2 * cosine).mean())  # of two vectors of unit length
    pair = [torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in (a, b)]
    assert float(unlikeness(load_squeezenet(tmp_path / "w.h5"), *pair)) == pytest.approx(
        expected, rel=1e-3
    )


def test_perceptual_distance_looks_where_lpips_looks():
    """Channels and places of the seven layers of LPIPS' SqueezeNet, at 64 pixels."""
    stages = SqueezeNet().stages(torch.rand(1, 3, 64, 64))
    assert [stage.shape[1] for stage in stages] == [64, 128, 256, 384, 384, 512, 512]
    assert [stage.shape[2] for stage in stages] == [31, 15, 7, 3, 3, 3, 3]


def test_perceptual_distance_is_its_formula():
    """Against torchmetrics' own normalisation and averages, on the same layers; 0 for a picture and
    itself."""
    from torchmetrics.functional.image.lpips import _normalize_tensor, _spatial_average

    torch.manual_seed(0)
    network, (a, b) = SqueezeNet().requires_grad_(False), torch.rand(2, 3, 3, 64, 64)
    layers = [[_normalize_tensor(stage) for stage in network.stages(x)] for x in (a, b)]
    expected = sum(
        _spatial_average(((x - y) ** 2).sum(1, keepdim=True))[:, 0, 0, 0]
        for x, y in zip(*layers, strict=True)
    )
    assert unlikeness(network, a, b).numpy() == pytest.approx(expected.numpy(), rel=1e-4)
    assert unlikeness(network, a, a).abs().max() == 0


def test_an_incomplete_keras_file_gets_a_sentence(tmp_path):
    write_keras(tmp_path / "w.h5", SqueezeNet().requires_grad_(False), leave_out="fire5/expand3x3")
    with pytest.raises(InputError, match=r"missing \['layers\.fire5/expand3x3\.bias'"):
        load_squeezenet(tmp_path / "w.h5")


def test_a_file_that_is_not_h5_gets_a_sentence(tmp_path):
    (tmp_path / "w.h5").write_text("no")
    with pytest.raises(InputError, match="cannot be read as a Keras h5 file"):
        load_squeezenet(tmp_path / "w.h5")

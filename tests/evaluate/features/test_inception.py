"""Inception: the published names, widths and pooling, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latentdrift.errors import InputError
from latentdrift.evaluate.features.inception import BLOCKS, Inception, Mixed, load_inception


@pytest.fixture(scope="module")
def inception():
    torch.manual_seed(0)
    return Inception().eval().requires_grad_(False)


def test_inception_has_the_names_and_size_of_the_published_file(inception):
    state = inception.state_dict()
    for name, shape in {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Mixed_5b.branch_pool.bn.running_var": (32,),
        "Mixed_5c.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_6a.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
        "Mixed_6c.branch7x7dbl_4.conv.weight": (160, 160, 7, 1),
        "Mixed_6e.branch7x7_2.conv.weight": (192, 192, 1, 7),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch1x1.conv.weight": (320, 2048, 1, 1),
        "fc.weight": (1008, 2048),
    }.items():
        assert tuple(state[name].shape) == shape, name
    convolutions = [name for name in state if name.endswith(".conv.weight")]
    assert len(convolutions) == 94  # Inception-v3 without its auxiliary head
    classifier = 2048 * 1008 + 1008
    assert (
        sum(p.numel() for p in inception.parameters()) - classifier == 21_785_568
    )  # the published count without the top


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("Mixed_5b", 256),
        ("Mixed_5d", 288),
        ("Mixed_6a", 768),
        ("Mixed_7a", 1280),
        ("Mixed_7c", 2048),
    ],
)
def test_inception_blocks_have_the_published_widths(inception, name, channels):
    assert inception.get_submodule(name).outputs == channels


def test_inception_gives_2048_features(inception):
    assert inception(torch.rand(1, 3, 299, 299)).shape == (1, 2048)


def test_the_average_leaves_padding_out_and_the_last_block_takes_the_maximum():
    ones = torch.ones(1, 4, 5, 5)
    corner = Mixed(4, BLOCKS["Mixed_5b"][0], "average")._pooled(ones)[0, 0, 0, 0]
    assert corner == 1.0  # with the padding it would be 4 / 9
    peak = torch.zeros(1, 4, 5, 5)
    peak[..., 2, 2] = 1.0
    assert BLOCKS["Mixed_7c"][1] == "maximum" and BLOCKS["Mixed_7b"][1] == "average"
    assert Mixed(4, BLOCKS["Mixed_7c"][0], "maximum")._pooled(peak)[0, 0, 1, 1] == 1.0


def test_a_file_with_other_keys_gets_a_sentence(tmp_path):
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="is not the Inception file"):
        load_inception(tmp_path / "w.pth")


def test_code_in_a_weights_file_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "was-run",)

    torch.save(Payload(), tmp_path / "w.pth")
    with pytest.raises(InputError, match="is not the Inception file"):
        load_inception(tmp_path / "w.pth")
    assert not (tmp_path / "was-run").exists()

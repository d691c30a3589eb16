"""Preprocessing of published models: size, mean and deviation of their own processor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from latentdrift.evaluate.features.preprocessing import Entrance


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"size": {"height": 48, "width": 48}, "do_center_crop": False}, 48),
        ({"size": {"shortest_edge": 64}, "do_center_crop": False}, 64),
        (
            {
                "size": {"shortest_edge": 64},
                "do_center_crop": True,
                "crop_size": {"height": 56, "width": 56},
            },
            56,
        ),
    ],
)
def test_the_processor_says_the_size(changes: dict, size: int, tmp_path: Path) -> None:
    settings = {
        "image_processor_type": "CLIPImageProcessor",
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.4],
        **changes,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    entrance = Entrance.of(str(tmp_path))
    assert entrance.size == size
    assert list(entrance.mean) == [0.5, 0.4, 0.3] and list(entrance.sd) == [0.2, 0.3, 0.4]


def test_images_are_scaled_channel_by_channel() -> None:
    entrance = Entrance(2, (0.5, 0.4, 0.0), (0.5, 0.2, 1.0))
    scaled = entrance.scale(torch.full((1, 3, 2, 2), 0.8))
    expected = torch.tensor([0.6, 2.0, 0.8]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.allclose(scaled, expected)

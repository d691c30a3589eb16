"""Feature spaces: names, resize, and that every weight of a file lands where it belongs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import places
import pytest
import torch
from PIL import Image

from latentdrift.errors import InputError, OptionError
from latentdrift.evaluate.features.features import FEATURES, load_features, parse
from latentdrift.evaluate.features.inception import Inception

DATA = places.SHARED / "data"
SQUEEZENET = (
    DATA
    / "weights"
    / "squeezenet1.1-imagenet"
    / "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
needs_squeezenet = pytest.mark.skipif(
    not SQUEEZENET.is_file(), reason=f"{SQUEEZENET.name} is not on this machine"
)


@pytest.fixture
def pictures():
    return np.random.default_rng(0).random((3, 40, 40, 3)).astype(np.float32)


# names


def test_parse_reads_rows_paths_folders_and_ids(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert parse("pocket") == ("pocket", "pocket", "")
    assert parse("inception=w/a.pth") == ("inception", "inception", "w/a.pth")
    assert parse(str(tmp_path)) == (tmp_path.name, "huggingface", str(tmp_path))
    assert parse(f"mine={tmp_path}") == ("mine", "huggingface", str(tmp_path))
    assert parse("microsoft/rad-dino") == ("rad-dino", "huggingface", "microsoft/rad-dino")
    assert parse("huggingface=facebook/dinov2-base") == (
        "dinov2-base",
        "huggingface",
        "facebook/dinov2-base",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("inceptoin", r"unknown features 'inceptoin'; known: .*pocket.*did you mean 'inception'"),
        ("inception", r"inception=PATH"),
        ("squeezenet", r"Keras 'notop' h5"),
        ("pocket=somewhere", r"take no path"),
    ],
)
def test_a_wrong_name_gets_a_sentence(text, says):
    with pytest.raises(OptionError, match=says):
        parse(text)


def test_a_folder_that_is_no_model_gets_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        parse(str(tmp_path))


def test_absent_weights_are_noticed_before_anything_is_loaded(tmp_path):
    with pytest.raises(InputError, match=r"not at .*nothing\.pth"):
        load_features(
            ["pocket", f"inception={tmp_path / 'nothing.pth'}"],
            pocket=lambda x: pytest.fail("was loaded"),
        )


def test_pocket_needs_an_encoder():
    with pytest.raises(OptionError, match="no encoder was handed in"):
        load_features(["pocket"])


# resize and the space around a network


def test_the_pocket_row_hands_over_the_right_range_and_size(pictures):
    seen = []

    def encoder(x):
        seen.append((tuple(x.shape), float(x.min()), float(x.max())))
        return x.mean(dim=(2, 3))

    space = load_features(["pocket"], pocket=encoder, resolution=40)["pocket"]
    out = space(pictures)
    assert (
        seen[0][0] == (3, 3, 40, 40) and seen[0][1] >= -1 and seen[0][2] <= 1 and seen[0][1] < -0.9
    )
    assert out.dtype == np.float64 and out == pytest.approx(2 * pictures.mean((1, 2)) - 1, abs=1e-5)
    assert "40 px" in space.protocol and "clean-fid" in space.protocol


def test_batches_do_not_change_features():
    many = np.random.default_rng(1).random((37, 16, 16, 3)).astype(np.float32)
    space = load_features(["pocket"], pocket=lambda x: x.flatten(1), resolution=16)["pocket"]
    assert np.array_equal(space(many)[20:], space(many[20:]))


def test_features_that_are_not_finite_name_the_picture(pictures):
    space = load_features(["pocket"], pocket=lambda x: x.flatten(1) / 0 * 0, resolution=40)[
        "pocket"
    ]
    with pytest.raises(InputError, match="picture 0 are not finite"):
        space(pictures)


# SqueezeNet


@needs_squeezenet
def test_the_perceptual_distance_orders_the_pictures_of_the_paper():
    """LPIPS' own example: the second distortion is nearer to the reference than the first, which
    pixels deny."""
    folder = SQUEEZENET.parents[1] / "lpips-heads"
    files = [next(folder.rglob(f"*ex_{name}.png"), None) for name in ("ref", "p0", "p1")]
    if None in files:
        pytest.skip("LPIPS' example pictures are not on this machine")
    reference, first, second = (
        np.asarray(Image.open(file).convert("RGB"), np.float32)[None] / 255 for file in files
    )
    space = load_features([f"squeezenet={SQUEEZENET}"])["squeezenet"]
    assert space.perceptual(reference, second)[0] < space.perceptual(reference, first)[0]


@needs_squeezenet
def test_the_published_squeezenet_tells_textures_apart():
    """Nearest class mean on blurred noise, stripes and blobs: its features see more than
    brightness."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] / 64

    def texture(kind: int) -> np.ndarray:
        phase = generator.uniform(0, 6, 2)
        scale = generator.uniform(0.8, 1.2)
        pattern = (
            np.sin(40 * scale * x + phase[0]),
            np.sin(40 * scale * y + phase[0]),
            np.sin(30 * x) * np.sin(30 * scale * y + phase[1]),
        )
        return np.repeat((pattern[kind] * 0.4 + 0.5)[..., None], 3, -1).astype(np.float32)

    labels = np.repeat([0, 1, 2], 8)
    vectors = load_features([f"squeezenet={SQUEEZENET}"])["squeezenet"](
        np.stack([texture(k) for k in labels])
    )
    assert vectors.shape == (24, 512)
    means = np.stack([vectors[labels == k][:4].mean(0) for k in range(3)])
    guess = np.linalg.norm(vectors[:, None] - means[None], axis=-1).argmin(1)
    assert (guess == labels).mean() > 0.95


# Inception


@pytest.fixture(scope="module")
def inception():
    torch.manual_seed(0)
    return Inception().eval().requires_grad_(False)


def test_inception_loads_a_file_that_lacks_the_batch_counters_too(inception, tmp_path):
    """The published file was written before batch norm counted its batches."""
    torch.save(
        {k: v for k, v in inception.state_dict().items() if not k.endswith("num_batches_tracked")},
        tmp_path / "w.pth",
    )
    space = load_features([f"inception={tmp_path / 'w.pth'}"])["inception"]
    x = np.random.default_rng(0).random((1, 299, 299, 3)).astype(np.float32)
    assert space(x)[0] == pytest.approx(
        inception(torch.from_numpy(x).permute(0, 3, 1, 2))[0].double().numpy(), rel=1e-4, abs=1e-6
    )
    assert "299 px" in space.protocol


# Hugging Face


def save_model(folder: Path, kind: str) -> torch.nn.Module:
    import transformers

    small = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    torch.manual_seed(0)
    if kind == "dinov2":
        model = transformers.Dinov2Model(transformers.Dinov2Config(**small))
        processor = transformers.BitImageProcessorPil(
            size={"shortest_edge": 32},
            crop_size={"height": 32, "width": 32},
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        )
    else:
        config = transformers.ViTConfig(**small, intermediate_size=32)
        model = (
            transformers.ViTModel(config, add_pooling_layer=False)
            if kind == "vit without pooler"
            else transformers.ViTModel(config)
        )
        processor = transformers.ViTImageProcessorPil(
            size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3
        )
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", ["dinov2", "vit", "vit without pooler"])
def test_any_hugging_face_vision_model_from_a_folder(tmp_path, kind):
    model = save_model(tmp_path / "tiny", kind)
    pictures = np.random.default_rng(0).random((3, 32, 32, 3)).astype(np.float32)
    spaces = load_features([str(tmp_path / "tiny"), f"again={tmp_path / 'tiny'}"])
    assert list(spaces) == ["tiny", "again"]
    output = model(pixel_values=torch.from_numpy(pictures * 2 - 1).permute(0, 3, 1, 2))
    expected = (
        output.last_hidden_state[:, 0] if kind == "vit without pooler" else output.pooler_output
    )
    assert spaces["tiny"](pictures) == pytest.approx(expected.detach().double().numpy(), abs=1e-5)


def test_a_model_that_lacks_weights_gets_a_sentence(tmp_path):
    from safetensors.torch import load_file, save_file

    save_model(tmp_path, "dinov2")
    weights = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in weights if "encoder" in name)
    save_file(
        {k: v for k, v in weights.items() if k != lost},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(InputError, match="lacks weights"):
        load_features([str(tmp_path)])


def test_an_id_that_is_out_of_reach_gets_a_sentence():
    with pytest.raises(
        InputError, match="no Hugging Face vision model could be read from 'nobody/nothing'"
    ):
        load_features(["nobody/nothing"])


def test_every_row_says_what_it_needs():
    assert [name for name, row in FEATURES.items() if row.needs is None] == ["pocket", "ssl"]

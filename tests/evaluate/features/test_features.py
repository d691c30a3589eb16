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
from latentdrift.evaluate.features.inception import BLOCKS, Inception, Mixed, load_inception
from latentdrift.evaluate.features.resizing import resize
from latentdrift.evaluate.features.squeezenet import FIRES, SqueezeNet, load_squeezenet, unlikeness

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


def test_resize_is_pillows_bicubic_in_floating_point(pictures):
    expected = np.asarray(
        Image.fromarray(pictures[1, :, :, 2]).resize((17, 17), Image.Resampling.BICUBIC)
    ).clip(0, 1)
    assert resize(pictures, 17)[1, 2].numpy() == pytest.approx(expected, abs=1e-6)


def test_grey_pictures_resize_as_colour_ones_do(pictures):
    grey = pictures[..., :1].repeat(3, -1)
    nearly = grey.copy()
    nearly[0, 0, 0, 0] += 1e-6  # not grey any more, so it takes the other way
    assert torch.allclose(resize(grey, 23), resize(nearly, 23), atol=1e-5)


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


def write_keras(path: Path, network: SqueezeNet, leave_out: str = "") -> None:
    """A file in the layout of keras-squeezenet, from a network of ours."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.create_group("input_4")
        for name, layer in network.layers.items():
            inner = (
                f"{name}_3" if name == "conv1" else f"{name.split('/')[0]}/{name.split('/')[1]}_3"
            )
            if name != leave_out:
                file[f"{name}/{inner}/kernel:0"] = layer.weight.permute(2, 3, 1, 0).numpy()
                file[f"{name}/{inner}/bias:0"] = layer.bias.numpy()


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


def walked_by_hand(path: Path, picture: np.ndarray) -> list[torch.Tensor]:
    """The seven layers of LPIPS' SqueezeNet, from the arrays of a Keras file and without our
    network."""
    h5py = pytest.importorskip("h5py")
    conv = torch.nn.functional.conv2d
    pool = torch.nn.functional.max_pool2d
    arrays: dict[str, torch.Tensor] = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, node: arrays.update(
                {name: torch.from_numpy(node[()])} if hasattr(node, "shape") else {}
            )
        )

    def layer(x: torch.Tensor, name: str, **how: int) -> torch.Tensor:
        kernel, bias = (
            next(a for n, a in arrays.items() if n.startswith(f"{name}/") and n.endswith(end))
            for end in ("l:0", "s:0")
        )
        return conv(x, kernel.permute(3, 2, 0, 1), bias, **how).clamp(min=0)

    blue_green_red = 255 * picture[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    x = layer(
        torch.from_numpy(blue_green_red.astype(np.float32)).permute(2, 0, 1)[None],
        "conv1",
        stride=2,
    )
    seen = [x]
    x = pool(x, 3, 2)
    for number in range(2, 10):
        squeezed = layer(x, f"fire{number}/squeeze1x1")
        wide = [
            layer(squeezed, f"fire{number}/expand1x1"),
            layer(squeezed, f"fire{number}/expand3x3", padding=1),
        ]
        x = torch.cat(wide, 1)
        seen += [x] if number in (3, 5, 6, 7, 8, 9) else []
        x = pool(x, 3, 2) if number in (3, 5) else x
    return seen


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


def test_an_incomplete_keras_file_gets_a_sentence(tmp_path):
    write_keras(tmp_path / "w.h5", SqueezeNet().requires_grad_(False), leave_out="fire5/expand3x3")
    with pytest.raises(InputError, match=r"missing \['layers\.fire5/expand3x3\.bias'"):
        load_squeezenet(tmp_path / "w.h5")


def test_a_file_that_is_not_h5_gets_a_sentence(tmp_path):
    (tmp_path / "w.h5").write_text("no")
    with pytest.raises(InputError, match="cannot be read as a Keras h5 file"):
        load_squeezenet(tmp_path / "w.h5")


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

"""Pictures -> vectors, in a named feature space.

Two distances compare only if space and resize are the same, so each row of FEATURES names its
resize protocol, and the report repeats it. No row needs a network unless the user names a model
that is not on this machine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentdrift.errors import InputError, OptionError, unknown
from latentdrift.evaluate.features.resizing import resize
from latentdrift.evaluate.images.lazy_images import Pictures

if TYPE_CHECKING:
    from torch import Tensor

    from latentdrift.evaluate.images.image_sets import EvaluationImages

Encoder = Callable[["Tensor"], "Tensor"]
Maps = Callable[["Tensor"], Sequence["Tensor"]]
"""Pictures [B, 3, R, R] -> a network's layers, [B, C, h, w] each."""
BATCH = 16
# cells on a side of the grid of a spatial space: a heart, a lung, a ventricle fill a cell or two
# (ours)
CELLS = 4


@dataclass(frozen=True)
class Space:
    """A loaded feature space: call it with float pictures [N, H, W, 3] in [0, 1] for float64 [N,
    D]."""

    name: str
    protocol: str
    encode: Callable[[np.ndarray], Tensor]
    """A batch of pictures -> features [B, D]."""

    perceptual: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """Pairs of pictures [N, H, W, 3] in [0, 1] -> how unlike they look [N], where the network
    serves for that."""

    spatial: Space | None = None
    """Spatial features of the same network, cell by cell of a grid (see `by_cell`)."""

    def __call__(self, images: np.ndarray | Pictures) -> np.ndarray:
        return np.concatenate([*self.batches(images)]).astype(np.float64)

    def batches(self, images: np.ndarray | Pictures) -> Iterator[np.ndarray]:
        """Compute features, BATCH images at a time.

        Args:
            images: [N, H, W, 3] in [0, 1].

        Returns:
            float32 [B, D] of each batch.

        Raises:
            InputError: Images of another shape, or features that are not finite.
        """
        if images.ndim != 4 or images.shape[-1] != 3:
            raise InputError(
                "features are computed from pictures [N, H, W, 3]; these have the shape "
                f"{list(images.shape)}"
            )
        for start in range(0, len(images), BATCH):
            yield self.of_batch(images[start : start + BATCH], start)

    def of_batch(self, images: np.ndarray, first: int) -> np.ndarray:
        """Compute the features of one batch.

        Args:
            images: [B, H, W, 3] in [0, 1].
            first: Position of the batch's first image in its set, for errors.

        Returns:
            float32 [B, D].

        Raises:
            InputError: Features that are not finite.
        """
        import torch

        with torch.inference_mode():
            part: np.ndarray = (
                self.encode(np.asarray(images, dtype=np.float32)).float().cpu().numpy()
            )
        if not np.isfinite(part).all():
            bad = first + int(np.flatnonzero(~np.isfinite(part).all(1))[0])
            raise InputError(
                f"the {self.name} features of picture {bad} are not finite numbers; look at "
                "that picture"
            )
        return part

    @cached_property
    def test_features(self) -> np.ndarray:
        """Features of two test images, float64 [2, D]."""
        tests = np.random.default_rng(0).random((2, 96, 96, 3), dtype=np.float32)
        tests[1] = np.linspace(0, 1, 96, dtype=np.float32)[:, None, None]
        return self(tests)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the protocol and of the features of two test images, which identifies the
        space."""
        return hashlib.sha256(self.protocol.encode() + self.test_features.tobytes()).hexdigest()


@dataclass(frozen=True)
class Request:
    """Arguments by which a row opens its space."""

    label: str
    path: str
    device: str
    pocket: Encoder | None
    """The base model's encoder, handed in: pictures [B, 3, R, R] in [-1, 1] -> features [B, D]."""
    pocket_maps: Maps | None
    """Layers of the same encoder."""
    resolution: int
    """R."""
    learned: Learned | None = None
    """Images from which a space of the cohort's own is learned."""


@dataclass(frozen=True)
class Learned:
    """Training images for a space of the cohort's own, and the folder where it is kept."""

    images: EvaluationImages
    folder: Path
    seed: int


@dataclass(frozen=True)
class Row:
    """A row of FEATURES: how a space is opened, and what `name=PATH` has to point at (None: no
    path)."""

    open: Callable[[Request], Space]
    needs: str | None


def checked(features: np.ndarray) -> np.ndarray:
    """Convert features to float64 [N, D], and check them.

    Args:
        features: [N, D], N of at least 2.

    Raises:
        InputError: Another shape, fewer images, or values that are not finite.
    """
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise InputError(
            "a distance needs features of the shape [N, D] with N of at least 2; these have "
            f"{list(x.shape)}"
        )
    if not np.isfinite(x).all():
        raise InputError(
            f"the features of {int((~np.isfinite(x)).any(1).sum())} of {len(x)} images are not "
            "finite numbers"
        )
    return x


def _protocol(size: int) -> str:
    return f"{size} px, clean-fid (antialiased bicubic in floating point)"


def by_cell(maps: Sequence[Tensor]) -> Tensor:
    """Mean and spread of every channel in each cell of a CELLS × CELLS grid.

    Args:
        maps: Layers [B, C, h, w] each.

    Returns:
        [B, 2 CELLS² ΣC].
    """
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    parts = []
    for layer in maps:
        mean = adaptive_avg_pool2d(layer, CELLS)
        square = adaptive_avg_pool2d(layer.square(), CELLS)
        parts += [mean.flatten(1), (square - mean.square()).clamp_min(0).sqrt().flatten(1)]
    return torch.cat(parts, dim=1)


def _spatial(label: str, protocol: str, maps: Callable[[np.ndarray], Sequence[Tensor]]) -> Space:
    """The space of a network's layers by cell, from a function of pictures [B, H, W, 3] in [0,
    1]."""
    where = f"{protocol}; mean and spread in each of {CELLS} × {CELLS} cells"
    return Space(f"{label} by cell", where, lambda images: by_cell(maps(images)))


def _pocket(request: Request) -> Space:
    encoder = request.pocket
    size = request.resolution
    device = request.device
    if encoder is None:
        raise OptionError(
            "the features 'pocket' are the base model's own, and no encoder was handed in; name "
            "other features"
        )

    def scaled(images: np.ndarray, side: int) -> Tensor:
        return 2.0 * resize(images, side).to(device) - 1.0

    maps = request.pocket_maps
    spatial = None
    if maps is not None:  # half the side: a cell holds many pixels still, and the time is a quarter
        spatial = _spatial(
            request.label, _protocol(size // 2), lambda images: maps(scaled(images, size // 2))
        )
    return Space(
        request.label,
        _protocol(size),
        lambda images: encoder(scaled(images, size)),
        spatial=spatial,
    )


def _squeezenet(request: Request) -> Space:
    import torch

    from latentdrift.evaluate.features.squeezenet import SIZE, load_squeezenet, unlikeness

    network = load_squeezenet(Path(request.path)).to(request.device)

    def whole(images: np.ndarray) -> Tensor:
        return torch.from_numpy(
            np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        ).to(request.device)

    def unlike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        places = [slice(start, start + BATCH) for start in range(0, len(a), BATCH)]
        return np.concatenate(
            [unlikeness(network, whole(a[p]), whole(b[p])).double().cpu().numpy() for p in places]
        )

    def entered(images: np.ndarray) -> Tensor:
        return resize(images, SIZE).to(request.device)

    spatial = _spatial(
        request.label, _protocol(SIZE), lambda images: network.stages(entered(images))[-1:]
    )
    return Space(
        request.label, _protocol(SIZE), lambda images: network(entered(images)), unlike, spatial
    )


def _inception(request: Request) -> Space:
    from latentdrift.evaluate.features.inception import SIZE, load_inception

    network = load_inception(Path(request.path)).to(request.device)

    def entered(images: np.ndarray) -> Tensor:
        return resize(images, SIZE).to(request.device)

    spatial = _spatial(
        request.label, _protocol(SIZE), lambda images: [network.last_map(entered(images))]
    )
    return Space(
        request.label, _protocol(SIZE), lambda images: network(entered(images)), spatial=spatial
    )


def _huggingface(request: Request) -> Space:
    """Any vision model of transformers, with the size, mean and standard deviation of its own
    processor.

    The vector is the pooled output, or the class token where the checkpoint brings no weights for
    the pooler, or the mean over positions where there is neither.
    """
    import torch
    from transformers import AutoModel

    from latentdrift.evaluate.features.preprocessing import Entrance

    path = request.path
    try:
        entrance = Entrance.of(path)
        model, info = AutoModel.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(
            f"no Hugging Face vision model could be read from '{path}' "
            f"({str(error).splitlines()[0][:200]}); give a folder with config.json, "
            "preprocessor_config.json and weights, or the id of a model that this machine has or "
            "can reach"
        ) from error
    absent = sorted(info["missing_keys"])
    pooler_is_random = any("pooler" in key for key in absent)
    if [key for key in absent if "pooler" not in key]:
        raise InputError(
            f"'{path}' lacks weights, e.g. {absent[0]}; features of random weights would mean "
            "nothing"
        )
    model = getattr(model, "vision_model", model).eval().requires_grad_(False).to(request.device)

    def output(images: np.ndarray) -> Any:
        return model(pixel_values=entrance.scale(resize(images, entrance.size).to(request.device)))

    def encode(images: np.ndarray) -> Tensor:
        encoded = output(images)
        pooled = getattr(encoded, "pooler_output", None)
        last = encoded.last_hidden_state
        if pooled is not None and not pooler_is_random:
            flat: Tensor = pooled.flatten(1)
            return flat
        result: Tensor = last[:, 0] if last.ndim == 3 else last.mean(dim=(2, 3))
        return result

    protocol = _protocol(entrance.size)
    spatial = _spatial(
        request.label, protocol, lambda images: [as_map(output(images).last_hidden_state)]
    )
    return Space(request.label, protocol, encode, spatial=spatial)


def as_map(hidden: Tensor) -> Tensor:
    """Last hidden states of a vision model as a map [B, C, h, w].

    Args:
        hidden: Tokens [B, L, C] of a vision transformer, or a map, which is returned unchanged. The
            patches are the largest square number of tokens at the end; class and register tokens
            stand before them.
    """
    if hidden.ndim == 4:
        return hidden
    side = math.isqrt(hidden.shape[1])
    result: Tensor = hidden[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
    return result


def _ssl(request: Request) -> Space:
    from latentdrift.evaluate.features.vicreg import SIZE, encode, load_encoder

    if request.learned is None:
        raise OptionError(
            "the features 'ssl' are learned from a cohort's training images, and there are none; "
            "name others"
        )
    learned = request.learned
    network = load_encoder(learned.images, learned.folder, learned.seed, request.device)
    protocol = (
        f"{_protocol(SIZE)}; learned from {len(learned.images)} training images of this cohort, by "
        "themselves"
    )
    spatial = _spatial(
        request.label,
        protocol,
        lambda images: [network.last_map(resize(images, SIZE).to(request.device))],
    )
    return Space(
        request.label,
        protocol,
        lambda images: encode(network, images, request.device),
        spatial=spatial,
    )


FEATURES: dict[str, Row] = {
    "pocket": Row(_pocket, None),
    "ssl": Row(_ssl, None),
    "squeezenet": Row(_squeezenet, "the Keras 'notop' h5 file of SqueezeNet 1.1"),
    "inception": Row(
        _inception, "pt_inception-2015-12-05-6726825d.pth, the weights of the Fréchet distance"
    ),
    "huggingface": Row(_huggingface, "the folder or id of a Hugging Face vision model"),
}


def parse(text: str) -> tuple[str, str, str]:
    """Parse one value of the option `features`.

    Args:
        text: `row`, `row=PATH`, `label=FOLDER`, or a folder or id of a Hugging Face model.

    Returns:
        Label of the space, row of FEATURES, and path.

    Raises:
        OptionError: No such row, or a path that is missing or not needed.
        InputError: The folder or id is no Hugging Face vision model.
    """
    name, equals, path = text.partition("=")
    if name in FEATURES:
        row = FEATURES[name]
        if row.needs and not path:
            raise OptionError(f"features '{name}' need {row.needs}; give its place as {name}=PATH")
        if path and not row.needs:
            raise OptionError(
                f"features '{name}' take no path, and '{path}' was given; write just '{name}'"
            )
        label = Path(path).name if name == "huggingface" else name
        return label, name, path
    place = path if equals else name
    if (Path(place) / "config.json").is_file() or (
        place.count("/") == 1 and not Path(place).exists() and not place.startswith(".")
    ):
        return (name if equals else Path(place).name), "huggingface", place
    if Path(place).exists():
        raise InputError(
            f"'{place}' is no Hugging Face vision model, it has no config.json; known features: "
            f"{', '.join(FEATURES)}"
        )
    raise unknown("features", name, FEATURES)


def parse_all(texts: Sequence[str]) -> list[tuple[str, str, str]]:
    """Parse the values of the option `features`; a mistake shows before anything is loaded.

    Raises:
        OptionError, InputError: As `parse`, or the file of a network's weights is not there.
    """
    parsed = [parse(text) for text in texts]
    for _, row, path in parsed:
        if row in ("squeezenet", "inception") and not Path(path).is_file():
            raise InputError(
                f"the weights of the features '{row}' are not at {path}; it has to be "
                f"{FEATURES[row].needs}"
            )
    return parsed


def load_features(
    texts: Sequence[str],
    *,
    pocket: Encoder | None = None,
    pocket_maps: Maps | None = None,
    resolution: int = 128,
    device: str = "cpu",
    learned: Learned | None = None,
) -> dict[str, Space]:
    """Open feature spaces by name.

    Args:
        texts: Values of the option `features`, see `parse`.
        pocket: The encoder behind the row `pocket`: tensor [B, 3, R, R] in [-1, 1] -> [B, D].
        pocket_maps: Layers of the pocket base, for features by cell.
        resolution: R, the size the encoder was trained at.
        device: Device of the networks.
        learned: Training images of the row `ssl`. Named alone it brings `pocket` along,
            because in-domain numbers stand beside general ones.
    """
    parsed = parse_all(texts)
    if {row for _, row, _ in parsed} == {"ssl"}:
        parsed.insert(0, parse("pocket"))
    spaces: dict[str, Space] = {}
    for label, row, path in parsed:
        label = label if label not in spaces else f"{label}-{len(spaces)}"
        spaces[label] = FEATURES[row].open(
            Request(label, path, device, pocket, pocket_maps, resolution, learned)
        )
    return spaces

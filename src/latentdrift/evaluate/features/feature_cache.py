"""Features on disk, under what they were made of, so that nothing is encoded twice and nothing has
to fit into memory.

FOLDER/<key>.npy: float32 [N, D]. The key is that of the space and of the contents of the
pictures, in order. Features of patients' pictures are patients' data, and so is the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentdrift.evaluate.features.features import Space
from latentdrift.evaluate.images.lazy_images import Pictures
from latentdrift.storage import Cache, key


@dataclass(frozen=True)
class CachedSpace:
    """A feature space whose vectors are kept in a folder."""

    space: Space
    folder: Path

    @property
    def protocol(self) -> str:
        """Size and value range of the images that enter the network, in words."""
        return self.space.protocol

    @property
    def perceptual(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
        """Perceptual distance of the space; None where it has none."""
        return self.space.perceptual

    @property
    def spatial(self) -> CachedSpace | None:
        """Features of each grid cell, cached in the same folder; None where the space has none."""
        return CachedSpace(self.space.spatial, self.folder) if self.space.spatial else None

    def __call__(self, images: np.ndarray | Pictures) -> np.ndarray:
        """Features float32 [N, D], mapped from the disk; written batch by batch if they are not
        there, whole or not at all."""
        path = self.keep(images, self.space.batches(images))
        result: np.ndarray = np.load(path, mmap_mode="r")
        return result

    def path(self, images: np.ndarray | Pictures) -> Path:
        """Path of the features of images, which need not be there yet."""
        return self.folder / f"{features_key(self.space, images)}.npy"

    def keep(self, images: np.ndarray | Pictures, parts: Iterable[np.ndarray]) -> Path:
        """Write the features of images, whole or not at all, unless they are there.

        Args:
            images: N images.
            parts: Their features, a batch float32 [B, D] at a time; drawn only when needed.

        Returns:
            Path of the features.
        """
        name = self.path(images).name
        return Cache(self.folder).entry(name, lambda aside: _write(aside, len(images), parts))


def keep(spaces: Mapping[str, Space], folder: Path) -> dict[str, CachedSpace]:
    """Wrap feature spaces so that their vectors are cached in a folder."""
    return {label: CachedSpace(space, folder) for label, space in spaces.items()}


def features_key(space: Space, images: np.ndarray | Pictures) -> str:
    """Key of the features of images in the cache: a hash of their space and contents.

    Args:
        space: Feature space.
        images: [N, H, W, 3] in [0, 1].
    """
    pixels = images.keys if isinstance(images, Pictures) else images.astype(np.float32, copy=False)
    return key(space.fingerprint, pixels)


def _write(path: Path, n: int, parts: Iterable[np.ndarray]) -> None:
    """Write features [n, D] that come in parts."""
    written = 0
    with path.open("wb") as file:
        for part in parts:
            if not written:  # only now is the dimension known
                header = {"descr": "<f4", "fortran_order": False, "shape": (n, part.shape[1])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(part, dtype="<f4").tobytes())
            written += len(part)

"""Task of a reader process: a source file -> its images, staged as PNGs."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import quantise
from latentdrift.data.images import image_readers, thumbnails
from latentdrift.data.images.dicom.series import Series, read_series
from latentdrift.data.images.image import Image, Plane
from latentdrift.data.images.image_writers import png
from latentdrift.data.images.volume import MIDDLE
from latentdrift.data.importing.import_plan import Plan
from latentdrift.data.importing.staging import StagedFile, StagedImage
from latentdrift.data.tables.cell_parsing import parse_date
from latentdrift.errors import InputError, OptionError, ResourceError
from latentdrift.storage import write_bytes


@dataclass(frozen=True)
class ReaderTask:
    """Options that shape the reading of a file, and the folder of its pixels."""

    root: Path
    pixels: Path | None
    """Folder of the PNGs; None: they are encoded and dropped, to time the reading."""
    volumes: Mapping[str, Series]
    """Volumes of the plan."""
    plane: Plane | None
    position: str
    slab: float
    window: str | None
    keep: tuple[str, ...]
    """Header fields that are kept by name."""
    leave_out: tuple[str, ...]
    """Kinds of DICOM objects that are not taken."""

    @classmethod
    def of(cls, plan: Plan, options: ImportOptions, pixels: Path | None) -> ReaderTask:
        """Task of an import.

        Args:
            plan: Plan of the import.
            options: Options of `import`.
            pixels: Folder of the PNGs; None: none is written.
        """
        return cls(
            plan.root,
            pixels,
            plan.volumes,
            plan.plane,
            options.position or MIDDLE,
            options.slab,
            plan.window,
            plan.header_fields,
            plan.leave_out,
        )

    def answer(self, name: str) -> dict[str, Any]:
        """Read a file, and return its result as JSON values.

        Args:
            name: Relative path of the file.

        Raises:
            OptionError, ResourceError: They concern the whole import.
        """
        return self._read(name).to_dict()

    def _read(self, name: str) -> StagedFile:
        """Everything that a file gives; its pixels go to the staging folder."""
        images = []
        try:
            for position, image in enumerate(self._images(name)):
                digest = hashlib.sha256(os.fsencode(f"{name}#{position}")).hexdigest()
                images.append(self._stage(image, f"{digest[:24]}.png"))
        except InputError as error:
            return StagedFile(reason=getattr(error, "reason", "damaged"), sentence=str(error))
        except (OptionError, ResourceError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001
            sentence = f"{name}: {type(error).__name__}: {error}"
            return StagedFile(reason="unreadable", sentence=sentence)
        return StagedFile(tuple(images))

    def _images(self, name: str) -> list[Image]:
        """The pictures of a file, or of the series that it stands for."""
        read = (
            partial(read_series, self.root, self.volumes[name])
            if name in self.volumes
            else partial(image_readers.read, self.root / name)
        )
        return read(
            plane=self.plane,
            position=self.position,
            slab=self.slab,
            window=self.window,
            keep=self.keep,
            leave_out=self.leave_out,
        )

    def _stage(self, image: Image, name: str) -> StagedImage:
        """Write the pixels of an image, and describe it."""
        pixels, window = quantise(image.pixels, image.range)
        content = png(pixels, synthetic="synthetic" in image.notes)
        if self.pixels is not None:
            _write(self.pixels / name, content)
        plane = image.plane
        identity = {"patient": image.patient, "date": parse_date(image.date or "")}
        return StagedImage(
            png=name,
            sha256=thumbnails.pixel_hash(pixels),
            window=window,
            extent=(float(image.pixels.min()), float(image.pixels.max())),
            spacing=image.spacing,
            unit=image.unit,
            kind=image.source.kind if image.source else None,
            plane=plane,
            frame=image.source.frame if image.source else None,
            notes=image.notes,
            header={"modality": image.modality, "view": plane, **image.attributes, **identity},
            png_bytes=len(content),
        )


def _write(path: Path, content: bytes) -> None:
    """Write a staged PNG.

    Raises:
        ResourceError: The disk is full, or refuses it.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        why = (
            "the disk is full at"
            if error.errno == errno.ENOSPC
            else f"nothing can be written ({error.strerror or error}) at"
        )
        raise ResourceError(
            f"{why} {path.parent}; free some space and start this import again"
        ) from error

"""Synthetic pixels -> files that other tools read, labelled as what they are."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from latentdrift.data.images.dicom.uids import Uids
from latentdrift.data.images.dicom.writer import SESSION, write_dicom
from latentdrift.data.images.formats.nifti import write_nifti
from latentdrift.data.images.image import Image
from latentdrift.data.images.intensity import from_unit, to_unit
from latentdrift.errors import InputError

__all__ = ["SUFFIXES", "check_writable", "write_dicom", "write_like", "write_nifti", "write_png"]

SUFFIXES = {"raster": ".png", "nifti": ".nii.gz", "dicom": ".dcm"}
"""Kind of the source -> how a file made from it ends."""

SYNTHETIC = "YES: made by a generative model (latentdrift), not acquired from a patient"


def write_png(path: Path | str, pixels: np.ndarray, *, synthetic: bool) -> None:
    """Write pixels as PNG; arguments and errors as of `png`.

    Args:
        path: File to write.
        pixels: uint8 or uint16 [H, W], or uint8 [H, W, 3].
        synthetic: Whether to label the file.
    """
    Path(path).write_bytes(png(pixels, synthetic=synthetic))


def png(pixels: np.ndarray, *, synthetic: bool) -> bytes:
    """Encode pixels as PNG.

    Args:
        pixels: uint8 or uint16 [H, W], or uint8 [H, W, 3].
        synthetic: Whether to label the file in a text chunk `Synthetic`.

    Returns:
        Content of the file.

    Raises:
        InputError: Pixels of another shape or type.
    """
    grey = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16)
    colour = pixels.ndim == 3 and pixels.dtype == np.uint8
    if not (grey or (colour and pixels.shape[-1] == 3)):
        description = f"pixels of shape {pixels.shape} and type {pixels.dtype}"
        raise InputError(
            f"{description} do not fit into PNG; write uint8 or uint16 [H, W], or uint8 [H, W, 3]"
        )
    info = PngInfo()
    if synthetic:
        info.add_text("Synthetic", SYNTHETIC)
    content = BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(content, format="PNG", pnginfo=info)
    return content.getvalue()


def check_writable(image: Image) -> None:
    """Check that `write_like` can write an image in the format of its source.

    Its own pixels are written to a temporary folder, so an edit does not fail at its end.

    Raises:
        InputError: The format cannot be written; the message says why.
    """
    with TemporaryDirectory() as folder:
        try:
            write_like(
                Path(folder) / "rehearsal",
                image,
                image.pixels,
                description="rehearsal",
                uids=Uids(),
            )
        except InputError:
            raise
        except (
            Exception
        ) as error:  # whatever a library of the format raises, nothing has been drawn yet
            path = image.source.path if image.source is not None else "the image"
            raise InputError(
                f"{path} can be read, but nothing can be written back into its format "
                f"({' '.join(str(error).split())}); save it as PNG, or write it again with another "
                "tool, first"
            ) from error


def write_like(
    stem: Path | str,
    image: Image,
    pixels: np.ndarray,
    *,
    description: str,
    attributes: Mapping[str, str | float] | None = None,
    uids: Uids = SESSION,
) -> Path:
    """Write pixels made from an image in its source's format, with its geometry, as synthetic;
    returns `stem` with its suffix.

    Args:
        stem: Path of the file without its suffix.
        image: Source image, whose format and geometry are used.
        pixels: [H, W] or [H, W, 3] in the unit of `image.pixels`.
        description: Derivation in words, for formats that store it.
        attributes: Attributes of the new picture; default: the source's. See `write_dicom`.
        uids: Map of the UIDs of a DICOM source.
    """
    kind = image.source.kind if image.source is not None else "raster"
    path = Path(f"{stem}{SUFFIXES[kind]}")
    if kind == "dicom" and image.source is not None:
        colour = pixels.ndim == 3
        values = (
            from_unit(to_unit(pixels, image.range), (0.0, 255.0), np.uint8) if colour else pixels
        )
        write_dicom(
            path,
            image.source.path,
            values,
            description=description,
            range=image.range,
            unit=image.unit,
            frame=image.source.frame or 0,
            attributes=attributes,
            uids=uids,
        )
    elif kind == "nifti":
        write_nifti(path, image, pixels)
    else:
        eight = pixels.ndim == 3 or image.pixels.dtype == np.uint8
        depth = np.uint8 if eight else np.uint16
        write_png(
            path,
            from_unit(to_unit(pixels, image.range), (0.0, float(np.iinfo(depth).max)), depth),
            synthetic=True,
        )
    return path

"""ImageSet: synthetic images with the prompts that they were drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import overload

from PIL import Image as Pillow

from latentdrift.api.scratch import copy_result, open_result
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.display import notebook
from latentdrift.errors import InputError

MAX_PREVIEW_IMAGES = 16
"""Images that a set shows of itself."""
CONTACT_SHEET = "contact-sheet.png"


class ImageSet:
    """Synthetic images in a folder, which is a cohort."""

    def __init__(self, folder: Path | str, keeper: TemporaryDirectory[str] | None = None) -> None:
        """Open the images that `generate` made.

        Args:
            folder: The cohort of synthetic images.
            keeper: The temporary folder that holds it, if one does.

        Raises:
            InputError: The folder is missing, or holds no synthetic images.
            CohortError: The cohort is damaged.
        """
        self.folder = open_result(folder, "set of synthetic images", "cohort.json")
        self.cohort = Cohort.load(self.folder)
        if "prompt" not in self.cohort.table:
            raise InputError(
                f"{folder} is a cohort without prompts, and no set of synthetic images; open it "
                "with `Cohort.load`"
            )
        self._keeper = keeper

    @property
    def prompts(self) -> list[str]:
        """Prompt of each image."""
        return [str(prompt) for prompt in self.cohort.table["prompt"]]

    def __len__(self) -> int:
        return len(self.cohort.table)

    @overload
    def __getitem__(self, index: int) -> Pillow.Image: ...

    @overload
    def __getitem__(self, index: slice) -> list[Pillow.Image]: ...

    def __getitem__(self, index: int | slice) -> Pillow.Image | list[Pillow.Image]:
        names = self.cohort.table["file_name"].iloc[index]
        if isinstance(index, slice):
            return [self._read(str(name)) for name in names]
        return self._read(str(names))

    def __iter__(self) -> Iterator[Pillow.Image]:
        return (self[index] for index in range(len(self)))

    def _read(self, name: str) -> Pillow.Image:
        with Pillow.open(self.folder / name) as image:
            return image.copy()

    def save(self, out: Path | str) -> Path:
        """Copy the images, their table and their record to a new folder.

        Args:
            out: The folder.

        Returns:
            The folder.

        Raises:
            InputError: It exists and is not empty, or nothing can be copied to it.
        """
        return copy_result(self.folder, out)

    def show(self) -> None:
        """Show the first images: in the notebook, or with the system's viewer."""
        notebook.show(self._repr_html_(), self.folder / str(self.cohort.table["file_name"].iloc[0]))

    def __repr__(self) -> str:
        return f"<ImageSet: {len(self)} synthetic images in {self.folder}>"

    def _repr_html_(self) -> str:
        captions = [str(place) for place in range(len(self))]
        captioned = zip(self[:MAX_PREVIEW_IMAGES], captions, strict=False)
        return notebook.strip(captioned, f"{len(self)} synthetic images")

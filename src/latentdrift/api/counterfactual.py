"""Counterfactual: one image with one change, as `edit` wrote it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image as Pillow
from pydantic import RootModel

from latentdrift.api.scratch import copy_result, open_result
from latentdrift.data.tables.pseudonymization import private_folder
from latentdrift.display import notebook
from latentdrift.errors import InputError
from latentdrift.record import NAME
from latentdrift.storage import read_document


class Counterfactual:
    """A counterfactual of an image, with what is needed to judge it."""

    def __init__(self, folder: Path | str, keeper: TemporaryDirectory[str] | None = None) -> None:
        """Open a counterfactual that `edit` made.

        Args:
            folder: The folder of this one edit.
            keeper: The temporary folder that holds it, if one does.

        Raises:
            InputError: The folder is missing, or holds no counterfactual.
        """
        self.folder = open_result(folder, "counterfactual", NAME, "counterfactual.png")
        self._keeper = keeper

    @property
    def original(self) -> Pillow.Image:
        """The source image."""
        return self._read("original")

    @property
    def image(self) -> Pillow.Image:
        """The counterfactual."""
        return self._read("counterfactual")

    @property
    def reconstruction(self) -> Pillow.Image:
        """Source image after equal steps without a change."""
        return self._read("reconstruction")

    @property
    def difference(self) -> Pillow.Image:
        """Map of the change, with its colour bar."""
        return self._read("difference")

    @property
    def uncertainty(self) -> Pillow.Image | None:
        """Map of the standard deviation over seeds; None for a single seed."""
        return self._read("uncertainty") if (self.folder / "uncertainty.png").is_file() else None

    @property
    def facts(self) -> dict[str, Any]:
        """Content of the record: prompts, editor, options, drift and hashes.

        Raises:
            InputError: It is missing or damaged.
        """
        model = RootModel[dict[str, Any]]
        cure = "make the edit again"
        return read_document(self.folder / NAME, model, InputError, "edit record", cure)

    def _read(self, name: str) -> Pillow.Image:
        with Pillow.open(self.folder / f"{name}.png") as image:
            return image.copy()

    def save(self, out: Path | str) -> Path:
        """Copy the pictures, the record and the files in the source's format to a new folder.

        The private folder of the edits is copied to `<out>-private`.

        Args:
            out: The folder.

        Returns:
            The folder.

        Raises:
            InputError: It exists and is not empty, or nothing can be copied to it.
        """
        folder = self.folder.absolute()
        return copy_result(folder, out, private=private_folder(folder.parent))

    def show(self) -> None:
        """Show original, counterfactual and difference: in the notebook, or by the viewer."""
        notebook.show(self._repr_html_(), self.folder / "counterfactual.png")

    def __repr__(self) -> str:
        return f"<Counterfactual: {self._change} in {self.folder}>"

    @property
    def _change(self) -> str:
        facts = self.facts
        return f"'{facts.get('source_prompt', '')}' -> '{facts.get('target_prompt', '')}'"

    def _repr_html_(self) -> str:
        pictures = [
            (self.original, "original"),
            (self.image, "counterfactual (synthetic)"),
            (self.difference, "difference"),
        ]
        return notebook.strip(pictures, self._change)

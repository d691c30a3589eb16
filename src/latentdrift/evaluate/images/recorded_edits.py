"""Edits as `edit` writes them to a folder: pictures, and the record of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, field_validator

from latentdrift import prompts
from latentdrift.attributes.specification import AttributeValues, Spec
from latentdrift.data.cohort.description import NullIsAbsent
from latentdrift.errors import InputError
from latentdrift.record import NAME
from latentdrift.storage import read_model

STATES = ("original", "reconstruction", "counterfactual")
EDIT_PICTURES = (*STATES, "difference")
"""Pictures that every edit has on disk."""


Values = Mapping[str, str | int | float | bool | list[str] | None]
"""Values of attributes in a record, whose whole numbers stay whole."""
Findings = Annotated[tuple[str, ...], Field(strict=False)]
"""Names of findings, a list in a record."""


class EditRecord(NullIsAbsent):
    """Content of an edit's record.json; further keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    patient: str | None = None
    """Pseudonym; None: not recorded."""
    image: str | None = None
    """Hash of the edited image; None: not recorded."""
    is_on_original: bool = Field(default=False, alias="detail")
    """Whether the change was added to the original, which keeps its detail."""
    attributes: Values = Field(default_factory=dict)
    """Attributes of the original."""
    changes: Values | None = None
    """Requested values by attribute; None: not recorded."""
    add: Findings = ()
    """Findings that were requested to appear."""
    remove: Findings = ()
    """Findings that were requested to disappear."""

    @field_validator("patient", "image")
    @classmethod
    def is_named(cls, value: str | None) -> str | None:
        """Read an empty name as not recorded."""
        return value or None

    @property
    def before(self) -> str:
        """State that the change was added to: `original` or `reconstruction`."""
        return "original" if self.is_on_original else "reconstruction"

    @property
    def named(self) -> frozenset[str]:
        """Attributes that the request names."""
        return frozenset(self.changes or ())

    @property
    def findings(self) -> tuple[str, ...]:
        """Findings that the request names."""
        return (*self.add, *self.remove)

    def states(self, spec: Spec) -> tuple[AttributeValues, AttributeValues]:
        """Attributes before the edit, and those that it should have afterwards.

        Args:
            spec: Attributes of the cohort.

        Raises:
            InputError: The request was not recorded, or a number is a word.
        """
        if self.changes is None:
            raise InputError(
                "an edit's record.json has no 'changes', so the requested change is unknown; "
                "make the edit with this version"
            )
        for name, value in (*self.attributes.items(), *self.changes.items()):
            if name in spec and spec[name].is_number and isinstance(value, str | list):
                raise InputError(
                    f"an edit's record.json has {value!r} as `{name}`, where a number is needed; "
                    "make the edit again"
                )
        return prompts.states(
            self.attributes, self.changes, add=self.add, remove=self.remove, spec=spec
        )


@dataclass(frozen=True, eq=False)
class RecordedEdit:
    """An edit on disk. Pictures are float32 [H, W, 3] in [0, 1].

    Attributes:
        name: Name of its folder.
        record: The request.
        original: Image that was edited.
        reconstruction: The image after inversion and sampling without any change.
        counterfactual: The image with the change.
        mask: Region that the edit may change, above 0; None: the whole image.
        reversal: The counterfactual after editing back; None: it was not edited back.
    """

    name: str
    record: EditRecord
    original: np.ndarray
    reconstruction: np.ndarray
    counterfactual: np.ndarray
    mask: np.ndarray | None = None
    reversal: np.ndarray | None = None

    @property
    def pictures(self) -> dict[str, np.ndarray]:
        """Pictures of STATES by name."""
        return dict(
            zip(STATES, (self.original, self.reconstruction, self.counterfactual), strict=True)
        )

    @classmethod
    def read(cls, folder: Path) -> RecordedEdit:
        """Read an edit from its folder.

        Raises:
            InputError: A picture or the record cannot be read.
        """
        mask = folder / "mask.png"
        reversals = sorted(folder.glob("reverse/*/counterfactual.png"))
        return cls(
            name=folder.name,
            record=_read_record(folder),
            original=read_picture(folder / "original.png"),
            reconstruction=read_picture(folder / "reconstruction.png"),
            counterfactual=read_picture(folder / "counterfactual.png"),
            mask=read_picture(mask) if mask.is_file() else None,
            reversal=read_picture(reversals[0]) if reversals else None,
        )


def _read_record(folder: Path) -> EditRecord:
    """Record of an edit; where there is none, nothing is recorded.

    Raises:
        InputError: It is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return EditRecord()
    return read_model(path, EditRecord, InputError, "edit record", "make the edit again")


def read_picture(path: Path) -> np.ndarray:
    """Read a PNG or JPEG as float32 [H, W, 3] in [0, 1].

    Raises:
        InputError: It cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as file:
            deep = file.mode.startswith("I")
            pixels = np.asarray(file if deep else file.convert("RGB"), dtype=np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(
            f"the picture {path} cannot be read ({error}); remove it or make it again"
        ) from error
    return np.repeat(pixels[..., None], 3, -1) / 65535.0 if deep else pixels / 255.0


def edit_folders(folder: Path) -> list[Path]:
    """Find the edits in a folder: its sub-folders, or the folder itself.

    Args:
        folder: Output of `edit`.

    Raises:
        InputError: There is no edit, or one lacks an image.
    """
    folders = sorted(path.parent for path in Path(folder).glob("*/counterfactual.png"))
    if not folders and (Path(folder) / "counterfactual.png").is_file():
        folders = [Path(folder)]
    if not folders:
        raise InputError(
            f"{folder} holds no counterfactual.png, neither itself nor in its sub-folders; give a "
            "folder that `edit` made"
        )
    for place in folders:
        absent = [name for name in EDIT_PICTURES if not (place / f"{name}.png").is_file()]
        if absent:
            raise InputError(
                f"{place} lacks {', '.join(f'{name}.png' for name in absent)}; was the edit "
                "interrupted? run it again"
            )
    return folders


def read_edits(folder: Path) -> list[RecordedEdit]:
    """Read the edits in a folder, in the order of their names.

    Args:
        folder: Output of `edit`.

    Raises:
        InputError: There is no edit, or one lacks an image.
    """
    return [RecordedEdit.read(place) for place in edit_folders(folder)]


def patients_of(edits: Sequence[RecordedEdit]) -> list[str]:
    """Unit of resampling for each edit: its patient.

    It is the pseudonym in the edit's record, else the hash of the edited image, else the edit
    itself.
    """
    return [edit.record.patient or edit.record.image or f"edit {edit.name}" for edit in edits]

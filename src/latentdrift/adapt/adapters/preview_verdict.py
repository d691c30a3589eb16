"""What the critics of anatomy say of the last preview, as a model card holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Judgement:
    """What a judge says of pictures.

    Attributes:
        colour: green, amber, red, or grey where the judge cannot tell.
        sentence: what was measured, and against what.
        pictures: how many were judged.
    """

    colour: str
    sentence: str
    pictures: int

    @property
    def words(self) -> str:
        """One line of a log or card."""
        return (
            f"{self.pictures} pictures, judged by critics of anatomy: {self.colour}. "
            f"{self.sentence}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As it stands in adapter.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Judgement:
        """Back from `to_dict`."""
        return cls(str(stored["colour"]), str(stored["sentence"]), int(stored["pictures"]))

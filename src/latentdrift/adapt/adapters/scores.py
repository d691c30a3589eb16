"""Scores of `evaluate` in an adapter's adapter.json and model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentdrift.adapt.adapters import adapter_files, model_card
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.data.cohort.description import CohortInfo
from latentdrift.errors import OptionError
from latentdrift.model.adapter_info import ScoresInfo
from latentdrift.record import sha256
from latentdrift.storage import write_text


def check(path: Path, synthetic: CohortInfo | None) -> None:
    """Check that scores of a set can be written into an adapter.

    Args:
        path: Adapter or run folder.
        synthetic: cohort.json of the set; None for a folder of images of unknown origin.

    Raises:
        AdapterError: There is no adapter, or it is damaged.
        OptionError: The images were drawn with other adapters.
    """
    folder = adapter_files.locate(path)
    info = adapter_files.read(folder)
    hashes = [adapter.sha256 for adapter in synthetic.adapters] if synthetic else []
    own = sha256(METHODS[str(info.method)].file_in(folder))
    if hashes and own not in hashes:
        raise OptionError(
            f"`adapter={path}` did not draw these images: their cohort.json names another adapter; "
            "give the adapter that drew them, or leave `adapter` out"
        )


def write_scores(path: Path, scores: Mapping[str, Any]) -> None:
    """Put the scores of the latest report into adapter.json and README.md; earlier ones are
    replaced.

    Args:
        path: An adapter or run folder.
        scores: From `evaluate.report.scores_of`.
    """
    folder = adapter_files.locate(path)
    info = adapter_files.read(folder)
    info = info.model_copy(update={"scores": ScoresInfo.model_validate(dict(scores))})
    contents = {
        model_card.NAME: model_card.card(info),
        adapter_files.NAME: adapter_files.text(info),
    }
    for name, words in contents.items():
        write_text(folder / name, words)

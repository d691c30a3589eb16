"""adapter.json keeps its bytes, its unknown keys and their order; what is typed is checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from infos import info_of
from pydantic import ValidationError

from latentdrift.adapt.adapters import adapter_files
from latentdrift.model.adapter_info import AdapterFile, PreviewVerdict

OLD: dict[str, Any] = {
    "format": 1,
    "later": {"b": 1, "a": [1, 2.5, None]},
    "method": "lora",
    "options": {"alpha": 4, "rank": 4, "unheard_of": True},
    "base": {"hash": "0" * 64, "name": "pocket", "licence": "x"},
    "drift": {
        "form": "noise_mean",
        "mode": "both",
        "start": "shift",
        "train": [0.1, 0, 0.0, -1e-07],
        "infer": [0.1, 0, 0.0, -1e-07],
        "groups": [{"train": [1], "phrase": "ä", "infer": [1.0]}],
        "source": "given",
    },
    "attributes": {
        "age": {"type": "number", "high": 100.0, "low": 90, "unit": "years"},
        "sex": {"vocabulary": ["F", "M"], "type": "category"},
    },
    "prompt": {"templates": ["a {image}"], "style": "bare", "caption_dropout": 0.0},
    "learning_rate": 1,
}


def as_text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def test_a_file_survives_a_round_trip_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "adapter.json").write_text(as_text(OLD), encoding="utf-8")
    info = adapter_files.read(tmp_path)
    assert adapter_files.text(info) == as_text(OLD)
    verdict = PreviewVerdict(colour="red", sentence="No.", pictures=3)
    judged = info.model_copy(update={"judgement": verdict})
    expected = {**OLD, "judgement": {"colour": "red", "sentence": "No.", "pictures": 3}}
    assert adapter_files.text(judged) == as_text(expected)


def test_known_parts_are_typed_and_frozen() -> None:
    info = AdapterFile.model_validate(OLD)
    assert info.options.rank == 4
    assert info.drift.groups[0].phrase == "ä"
    assert info.prompt.manner().style == "bare" and info.prompt.manner().patient_info
    assert info.attributes["age"].low == 90 and info.attributes["sex"].words == ["F", "M"]
    assert list(info.attributes["sex"].to_dict()) == ["vocabulary", "type"]
    with pytest.raises(ValidationError, match="frozen"):
        info.drift.source = "auto"  # type: ignore[misc]


@pytest.mark.parametrize("missing", ["format", "method", "base", "drift"])
def test_a_file_has_to_say_what_it_is(missing: str) -> None:
    with pytest.raises(ValidationError, match=f"{missing}\n  Field required"):
        AdapterFile.model_validate({name: OLD[name] for name in OLD if name != missing})


def ends(low: float, high: float) -> dict[str, float]:
    return {"low": low, "median": low, "high": high}


@pytest.mark.parametrize(
    ("low", "high", "window"),
    [
        (ends(-160, -160), ends(240, 240), (-160.0, 240.0)),
        (ends(-160, -160), ends(240, 250), None),
        (ends(0, 0), ends(255, 255), None),  # the range of 8 bits
        (None, ends(240, 240), None),
    ],
)
def test_the_window_is_one_where_all_images_had_one(low: Any, high: Any, window: Any) -> None:
    assert info_of(intensity={"window_low": low, "window_high": high}).window == window
    assert info_of().window is None

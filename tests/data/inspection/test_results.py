"""Content of inspect.json: its keys are public."""

from __future__ import annotations

from latentdrift.data.inspection.results import CategoryAttribute, NumberAttribute, NumberSummary
from latentdrift.data.inspection.statistics import inspect


def test_keys_of_the_file(cohort):
    content = inspect(cohort).to_dict()
    assert list(content) == [
        "describe",
        "images",
        "patients",
        "splits",
        "attributes",
        "ages",
        "visits",
        "modalities",
        "sizes",
        "spacing_mm",
        "bits",
        "intensity",
        "missing",
        "leaks",
        "rejected",
        "fingerprint",
        "registration",
        "warnings",
    ]
    assert list(content["leaks"]) == ["patients", "pixels", "near_duplicates"]
    assert list(content["attributes"]["age"]) == ["type", "in_prompts", "missing", "by_split"]
    assert list(content["attributes"]["sex"]) == ["type", "in_prompts", "missing", "counts"]


def test_a_split_without_numbers_states_only_their_count():
    by_split = {"test": NumberSummary(n=0), "train": NumberSummary(1.0, 2.0, 0.0, 2.0, 2.0, 2.0)}
    content = NumberAttribute("number", True, 3, by_split).to_dict()
    assert content["by_split"]["test"] == {"n": 0}
    assert list(content["by_split"]["train"]) == ["n", "mean", "sd", "low", "median", "high"]
    assert content["by_split"]["train"]["sd"] == 0.0


def test_a_category_states_its_counts():
    counts = {"F": {"all": 2, "train": 2, "validation": 0, "test": 0}}
    content = CategoryAttribute("category", False, 0, counts).to_dict()
    assert content == {"type": "category", "in_prompts": False, "missing": 0, "counts": counts}

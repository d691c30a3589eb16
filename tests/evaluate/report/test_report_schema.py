"""The JSON schema of report.json, against reports that were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from partial_results import results

from latentdrift.evaluate.evaluations.evaluation import Inputs
from latentdrift.evaluate.evaluations.evaluations import EVALUATIONS
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.report.report import EvaluationResults, evaluate_sets, write_report
from latentdrift.evaluate.report.report_schema import report_schema, write_report_schema
from latentdrift.resampling import Resampling

pytestmark = pytest.mark.usefixtures("few_candidates")

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def errors(value: Any, schema: dict[str, Any], root: dict[str, Any], path: str = "$") -> list[str]:
    """Violations of the keywords of JSON schema that pydantic writes."""
    if "$ref" in schema:
        return errors(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, path)
    if "anyOf" in schema:
        each = [errors(value, option, root, path) for option in schema["anyOf"]]
        return [] if any(not found for found in each) else [f"{path}: {value!r} fits no option"]
    if "const" in schema and value != schema["const"]:
        return [f"{path}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path}: {value!r} is not of {schema['enum']}"]
    kind = schema.get("type")
    is_bool = isinstance(value, bool)
    if kind and (not isinstance(value, TYPES[kind]) or (is_bool and kind != "boolean")):
        return [f"{path}: {value!r} is no {kind}"]
    if isinstance(value, dict):
        return _object_errors(value, schema, root, path)
    if isinstance(value, list):
        items = schema.get("prefixItems") or [schema.get("items", {})] * len(value)
        pairs = zip(value, items, strict=True)
        return [e for i, (v, s) in enumerate(pairs) for e in errors(v, s, root, f"{path}[{i}]")]
    return []


def _object_errors(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], path: str
) -> list[str]:
    known = schema.get("properties", {})
    extra = schema.get("additionalProperties", True)
    found = [f"{path}: no {key}" for key in schema.get("required", ()) if key not in value]
    for key, part in value.items():
        if key in known:
            found += errors(part, known[key], root, f"{path}.{key}")
        elif extra is False:
            found.append(f"{path}: unknown key {key}")
        elif isinstance(extra, dict):
            found += errors(part, extra, root, f"{path}.{key}")
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """report.json of two sets with copies, and without critics."""
    images = np.random.default_rng(0).random((26, 16, 16, 1)).repeat(3, -1)
    real = EvaluationImages(images[:6], [f"p{i // 2}" for i in range(6)])
    train = EvaluationImages(images[6:12])
    first = EvaluationImages(np.concatenate([images[12:18], train.images[:1]]))
    inputs = Inputs(
        real, first, train, {"tiles": lambda x: x.mean(1)[..., 0]}, resampling=Resampling(10)
    )
    report = evaluate_sets(inputs, {"other": EvaluationImages(images[18:])})
    folder = tmp_path_factory.mktemp("written")
    write_report(
        folder, report, {"real": real, "synthetic": first, "other": EvaluationImages(images[18:])}
    )
    return json.loads((folder / "report.json").read_text())


def test_a_written_report_obeys_the_schema(written: dict[str, Any]) -> None:
    schema = report_schema()
    assert errors(written, schema, schema) == []
    assert {"copies", "duplicates", "realism", "compared"} <= set(written)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"n": "6"},
        {"surprise": 1},
        {"lights": [["Copies?", "blue", ""]]},
        {"metrics": {"copies": {"value": 1, "ci": None, "n": {}}}},
        {"alignment": {"rules": "none"}},
    ],
)
def test_what_is_no_report_breaks_the_schema(
    written: dict[str, Any], change: dict[str, Any]
) -> None:
    schema = report_schema()
    assert errors(written | change, schema, schema)


def test_every_evaluation_is_in_the_schema(tmp_path: Path) -> None:
    schema = json.loads(write_report_schema(tmp_path / "schema.json").read_text())
    assert schema == report_schema()
    for evaluation in EVALUATIONS.values():
        keys = set(evaluation.result.model_fields) - {"metrics", "warnings"}
        assert keys <= set(schema["properties"])
    (reference, _) = schema["properties"]["alignment"]["anyOf"]
    alignment = schema["$defs"][reference["$ref"].rsplit("/", 1)[1]]
    assert {"judged", "left_out", "rules", "retrieval"} <= set(alignment["properties"])


def test_parts_of_one_key_stand_together_in_report_json() -> None:
    known = {"alignment": {"judged": {}, "left_out": [], "rules": [], "retrieval": None}}
    report = EvaluationResults({"real": 1, "synthetic": 1}, Resampling(10), results(known), [])
    assert report.contents["alignment"] == known["alignment"]

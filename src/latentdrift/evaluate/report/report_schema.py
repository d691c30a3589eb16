"""JSON schema of report.json, from the frozen results of the evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from latentdrift.display.html_report import Colour
from latentdrift.evaluate.evaluations.evaluation import EvaluationResult
from latentdrift.evaluate.evaluations.evaluations import EVALUATIONS
from latentdrift.evaluate.report.report import COMPARED_KEYS
from latentdrift.evaluate.statistics.results import Metric, ResultModel
from latentdrift.storage import write_text


class ReportHead(ResultModel):
    """Keys that every report has."""

    model_config = ConfigDict(protected_namespaces=())

    n: dict[str, int]
    """Number of real and of synthetic images."""
    bootstrap: int
    """Number of resamples behind each interval."""
    seed: int
    """Seed of everything random."""
    metrics: dict[str, Metric]
    """By name: `<metric>.<feature space or pair of images>`, or `<metric>`."""
    warnings: list[str]
    """Sentences that a reader needs before the numbers."""
    lights: list[tuple[str, Colour, str]]
    """Question, colour, and the sentence that gives the value beside its threshold."""


def report_schema() -> dict[str, Any]:
    """JSON schema of report.json."""
    keys = _result_keys()
    report = create_model("Report", __base__=ReportHead, **_optional(keys))
    schema = report.model_json_schema(by_alias=True)
    part = {key: keys[key] for key in COMPARED_KEYS if key in keys}
    compared = create_model("ComparedSet", **_compared_fields(part))
    compared_schema = compared.model_json_schema(by_alias=True)
    schema["$defs"] |= compared_schema.pop("$defs", {})
    schema["$defs"]["ComparedSet"] = compared_schema
    schema["properties"] = {"schema": {"const": 1, "type": "integer"}} | schema["properties"]
    schema["properties"]["compared"] = {
        "additionalProperties": {"$ref": "#/$defs/ComparedSet"},
        "description": "Further sets by name, judged against the same real images.",
        "type": "object",
    }
    schema["required"] = ["schema", *schema["required"]]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def write_report_schema(path: Path) -> Path:
    """Write the JSON schema of report.json to a file, and return its path."""
    write_text(path, json.dumps(report_schema(), indent=1) + "\n")
    return path


def _result_keys() -> dict[str, Any]:
    """Key of report.json -> its type. Parts of one key from several evaluations are joined."""
    parts: dict[str, list[Any]] = {}
    for evaluation in EVALUATIONS.values():
        for name, info in evaluation.result.model_fields.items():
            if name not in EvaluationResult.model_fields:
                parts.setdefault(name, []).append(info.annotation)
    return {name: kinds[0] if len(kinds) == 1 else _join(kinds) for name, kinds in parts.items()}


def _join(kinds: list[type[BaseModel]]) -> type[BaseModel]:
    """One model with the fields of several."""
    name = "And".join(kind.__name__ for kind in kinds)
    return create_model(name, __base__=tuple(kinds))


def _optional(keys: dict[str, Any]) -> dict[str, Any]:
    return {name: (kind | None, None) for name, kind in keys.items()}


def _compared_fields(keys: dict[str, Any]) -> dict[str, Any]:
    head = {
        name: (info.annotation, ...)
        for name, info in ReportHead.model_fields.items()
        if name in COMPARED_KEYS
    }
    return {"__base__": ResultModel, **head, **_optional(keys)}

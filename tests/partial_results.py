"""Results of evaluations from the few fields that a test needs; they are not validated."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from latentdrift.evaluate.evaluations.evaluation import EvaluationResult, Light, Results
from latentdrift.evaluate.evaluations.evaluations import EVALUATIONS


def fill(kind: Any, contents: Any) -> Any:
    """Contents as an object of a type of a result; missing fields stay missing."""
    if contents is None:
        return None
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return fill(_matching(get_args(kind), contents), contents)
    if origin is list and isinstance(contents, list):
        return [fill(get_args(kind)[0], part) for part in contents]
    if origin is dict and isinstance(contents, Mapping):
        return {name: fill(get_args(kind)[1], part) for name, part in contents.items()}
    if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(contents, Mapping):
        return _model(kind, contents)
    return contents


def _model(kind: type[BaseModel], contents: Mapping[str, Any]) -> BaseModel:
    values = {}
    fields = {
        info.serialization_alias or name: (name, info.annotation)
        for name, info in kind.model_fields.items()
    }
    for key, part in contents.items():
        name, annotation = fields.get(key, (key, Any))
        values[name] = fill(annotation, part)
    return kind.model_construct(**values)


def _matching(kinds: tuple[Any, ...], contents: Any) -> Any:
    """The model that has every key; for other contents the first type."""
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    for kind in models:
        if isinstance(contents, Mapping) and set(contents) <= set(kind.model_fields):
            return kind
    others = [kind for kind in kinds if kind is not type(None)]
    return models[0] if models else others[0]


def results(contents: Mapping[str, Any]) -> Results:
    """Results whose keys stand in `contents`, as in report.json; each gets all `metrics`."""
    found = []
    for evaluation in EVALUATIONS.values():
        kind = evaluation.result
        own = {}
        for name, info in kind.model_fields.items():
            if name in EvaluationResult.model_fields or name not in contents:
                continue
            part = contents[name]
            is_model = isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
            if is_model:
                part = {key: part[key] for key in part if key in info.annotation.model_fields}
            if part or not is_model:
                own[name] = part
        if own:
            found.append(fill(kind, {"metrics": contents.get("metrics", {}), **own}))
    return Results(found)


def training_lights(contents: Mapping[str, Any]) -> list[Light]:
    """Lights of the evaluations that train networks."""
    found = results(contents)
    return [
        light
        for evaluation in EVALUATIONS.values()
        if evaluation.result.needs_training
        for light in evaluation.lights(found)
    ]

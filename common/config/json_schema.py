"""The experiment file as a JSON schema, for editors: generated from the dataclasses, their comments and the defaults."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from common.config.convert import field_types
from common.config.schema import ExperimentConfig
from common.config.yaml_text import parse
from common.data.registry import DATASETS, OWN
from common.methods import METHODS
from common.optimizers import OPTIMIZERS
from common.reading import read_text
from common.resources import configs_folder
from common.tasks import TASKS

__all__ = ["experiment_schema"]

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}
_FIELD = re.compile(r"    (\w+): ")


def experiment_schema() -> dict[str, Any]:
    """Draft 2020-12. What depends on several entries at once is checked by `common.config.load_config` alone."""
    defaults = parse(read_text(configs_folder() / "defaults.yaml", "the defaults", ""), "defaults").values
    schema = _object(ExperimentConfig, defaults)
    methods = {method.name: method.Options for method in METHODS}
    schema["properties"]["adaptation"] = _chosen("method", methods, defaults["adaptation"])
    optimizers = {optimizer.name: optimizer.Options for optimizer in OPTIMIZERS}
    schema["properties"]["optimization"] = _chosen("optimizer", optimizers, defaults["optimization"])
    schema["properties"]["model"]["properties"]["task"] |= {"enum": list(TASKS.names())}
    schema["properties"]["data"]["properties"]["name"] |= {"examples": [*DATASETS, *OWN]}
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A twinlora experiment",
        "description": "What is left out has its default from configs/defaults.yaml.",
    }
    return head | schema


def _chosen(choice: str, members: Mapping[str, type], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A section whose entries depend on the member that its entry ``choice`` names."""
    default, branches = defaults[choice], []
    defaults = {entry: value for entry, value in defaults.items() if entry != choice}
    for name, options in members.items():
        named: dict[str, Any] = {"properties": {choice: {"const": name}}, "required": [choice]}
        condition = {"anyOf": [named, {"not": {"required": [choice]}}]} if name == default else named
        branches.append({"if": condition, "then": _object(options, defaults)})
    names = {"enum": list(members), "default": default}
    return {"type": "object", "properties": {choice: names}, "allOf": branches}


def _object(cls: type, defaults: Mapping[str, Any]) -> dict[str, Any]:
    comments, properties = _comments(cls), {}
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for name, annotation in field_types(cls).items():
        below = defaults.get(name)
        if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
            properties[name] = {} if hasattr(annotation, "CHOICE") else _object(annotation, below or {})
            continue
        found = _value(annotation)
        if name in comments:
            found["description"] = comments[name]
        if name in defaults:
            found["default"] = below
        elif isinstance(fields[name].default, str | int | float | bool):
            found["default"] = fields[name].default
        properties[name] = found
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _value(annotation: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return {"anyOf": [_value(inner), {"type": "null"}]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _value(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _value(arguments[1])}
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        first = next(iter(field_types(annotation).values()))
        return {
            "anyOf": [_value(first), _object(annotation, {})]
        }  # the value of its first field alone is its short form
    return {"type": _PLAIN[annotation]} if annotation in _PLAIN else {}


def _comments(cls: type) -> dict[str, str]:
    """What ``#:`` says of the fields of a dataclass and of those that it inherits."""
    found: dict[str, str] = {}
    for owner in reversed([one for one in cls.__mro__ if dataclasses.is_dataclass(one)]):
        name = None
        for line in inspect.getsource(owner).splitlines():
            match = _FIELD.match(line)
            name = match[1] if match else name
            text = line.partition("#:")[2].strip()
            if text and name:
                found[name] = f"{found[name]} {text}" if name in found and not match else text
    return found

"""From plain YAML values to the dataclasses of the schema, checked against their annotations only."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from typing import Any

from common.errors import InputError, nearest

__all__ = ["INVALID", "build", "convert", "convert_section", "field_types"]

INVALID = object()  #: stands for a value that was refused and reported
KeyPath = tuple[str, ...]
Report = Callable[[KeyPath, str], None]
_PLAIN = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def field_types(cls: type) -> dict[str, Any]:
    """Field name to resolved annotation of a dataclass."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def build(cls: type, values: dict[str, Any], path: KeyPath, report: Report, seen: dict[str, Any]) -> Any:
    """Build dataclass ``cls`` from ``values``. Every fault goes to ``report``; every good field to ``seen`` by its
    dotted path.

    Returns:
        An instance of ``cls``, or ``INVALID`` if anything in it was reported.
    """
    known = field_types(cls)
    for key in values:
        if key not in known:
            report((*path, key), "is unknown." + (nearest(key, known) or f" Known: {', '.join(known)}."))
    arguments = {}
    for name, annotation in known.items():
        here = (*path, name)
        if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
            section = values.get(name, {})
            if isinstance(section, dict):
                arguments[name] = _section(annotation, section, here, report, seen)
            else:
                report(here, f"must be a section (keys, indented below it); received {section!r}")
                arguments[name] = INVALID
        elif name in values:
            arguments[name] = convert(annotation, values[name], here, report)
            if arguments[name] is not INVALID:
                seen[".".join(here)] = arguments[name]
        elif name not in _defaults(cls):
            report(here, "must be given")
            arguments[name] = INVALID
    return INVALID if INVALID in arguments.values() or not known.keys() >= values.keys() else cls(**arguments)


def convert_section(cls: type, values: dict[str, Any], path: KeyPath, report: Report) -> Any:
    """A section by itself; see `build`."""
    return _section(cls, values, path, report, {})


def _section(cls: Any, values: dict[str, Any], path: KeyPath, report: Report, seen: dict[str, Any]) -> Any:
    """A section whose class may depend on what it holds (``cls.select``, by the entry ``cls.CHOICE``), and that may
    check itself (``problems``)."""
    if hasattr(cls, "select"):
        try:
            cls = cls.select(values)
        except InputError as error:
            here = (*path, cls.CHOICE)
            return _refuse(here, str(error).removeprefix(".".join(here)).strip(), report)
    found = build(cls, values, path, report, seen)
    if found is not INVALID and hasattr(found, "problems"):
        faults = list(found.problems())
        for entry, message in faults:
            report((*path, *entry.split(".")), message)
        return INVALID if faults else found
    return found


def convert(annotation: Any, value: Any, path: KeyPath, report: Report) -> Any:
    """``value`` as ``annotation`` demands it, or ``INVALID`` after a report."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (annotation,) = (argument for argument in arguments if argument is not type(None))
        return convert(annotation, value, path, report)
    if origin is typing.Literal:
        if value in arguments and isinstance(value, str):
            return value
        return _refuse(
            path, f"must be one of {', '.join(arguments)}; received {value!r}.{nearest(str(value), arguments)}", report
        )
    if origin is tuple:
        return _items(arguments[0], value, path, report)
    if origin is dict:
        return _entries(arguments[1], value, path, report)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _short_form(annotation, value, path, report)
    if annotation is Any:
        return value
    return _scalar(annotation, value, path, report)


def _scalar(annotation: type, value: Any, path: KeyPath, report: Report) -> Any:
    if annotation is float and type(value) is int and abs(value) < 10**300:
        value = float(value)
    if type(value) is not annotation:
        hint = "; put it in quotes" if annotation is str and value is not None else ""
        return _refuse(path, f"must be {_PLAIN[annotation]}; received {value!r}{hint}", report)
    if isinstance(value, float) and not math.isfinite(value):
        return _refuse(path, f"must be a finite number; received {value!r}", report)
    return value


def _items(annotation: Any, value: Any, path: KeyPath, report: Report) -> Any:
    if not isinstance(value, list):
        return _refuse(path, f"must be a list; received {value!r}", report)
    items = [convert(annotation, item, (*path, str(index)), report) for index, item in enumerate(value)]
    return INVALID if INVALID in items else tuple(items)


def _entries(annotation: Any, value: Any, path: KeyPath, report: Report) -> Any:
    if not isinstance(value, dict):
        return _refuse(path, f"must be a mapping (key: value); received {value!r}", report)
    entries = {key: convert(annotation, item, (*path, str(key)), report) for key, item in value.items()}
    return INVALID if any(item is INVALID for item in entries.values()) else entries


def _short_form(cls: type, value: Any, path: KeyPath, report: Report) -> Any:
    """A list item that is a dataclass: its mapping, or the value of its first field alone."""
    if not isinstance(value, dict):
        value = {dataclasses.fields(cls)[0].name: value}
    return build(cls, value, path, report, seen={})


def _defaults(cls: type) -> set[str]:
    missing = dataclasses.MISSING
    given = {field.name: (field.default, field.default_factory) for field in dataclasses.fields(cls)}
    return {name for name, defaults in given.items() if any(default is not missing for default in defaults)}


def _refuse(path: KeyPath, message: str, report: Report) -> Any:
    report(path, message)
    return INVALID

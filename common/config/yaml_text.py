"""YAML as the experiment files use it: the core schema of YAML 1.2, no duplicate keys, no anchors, and a line number
for every key.

PyYAML follows YAML 1.1, where ``1e-3`` is a string, ``no`` is false, ``010`` is eight and a repeated key silently wins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from common.errors import InputError
from common.reading import DEEPEST, plain_problem

__all__ = ["Document", "dump", "parse", "parse_value"]

KeyPath = tuple[str, ...]
_TEXT = "tag:yaml.org,2002:str"
_CORE = {
    "tag:yaml.org,2002:null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "tag:yaml.org,2002:int": (r"[-+]?[0-9]{1,300}", list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict = {}

    depth = 0

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            self.refuse("anchors and aliases are not supported here")
        if self.depth > DEEPEST:  # before Python's own limit, which would hold wherever the caller stands
            self.refuse(f"it is nested more than {DEEPEST} levels deep")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def refuse(self, problem):
        raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever either YAML 1.1 or the core schema would take for something else than text."""


for _tag, (_pattern, _first) in _CORE.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


@dataclass
class Document:
    """A parsed file: its mapping, the line of every key by path, and what was wrong with it as (path, line,
    message)."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[tuple[KeyPath, int, str]] = field(default_factory=list)


def parse(text: str, origin: str) -> Document:
    """Parse one YAML document that is a mapping (an empty text is an empty mapping).

    Raises:
        InputError: the text is no YAML at all. Faults of single keys and values are gathered in ``problems`` instead.
    """
    document = Document()
    try:
        values = _load(text, document)
    except yaml.YAMLError as error:
        raise InputError(_not_yaml(error, origin)) from error
    if values is not None and not isinstance(values, dict):
        raise InputError(
            f"{origin}: an experiment file must be a YAML mapping (section: ...); received {type(values).__name__}."
        )
    document.values = values or {}
    return document


def parse_value(text: str) -> Any:
    """The value of one ``--set key=value``. Raises ValueError if it is no YAML value."""
    document = Document()
    try:
        value = _load(text, document)
    except yaml.YAMLError as error:
        raise ValueError(getattr(error, "problem", None) or str(error)) from error
    if document.problems:
        path, _, message = document.problems[0]
        raise ValueError(f"{'.'.join(path) or 'the value'} {message}")
    return value


def dump(value: Any) -> str:
    """``value`` as block YAML in the given key order, readable by ``parse`` and by YAML 1.1 readers alike."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=160)


def _load(text: str, document: Document) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _plain(loader, node, (), document)
    finally:
        loader.dispose()


def _plain(loader: _Loader, node: yaml.Node, path: KeyPath, document: Document) -> Any:
    style = isinstance(node, yaml.ScalarNode) and node.style
    untagged = loader.resolve(type(node), node.value, (not style, bool(style)))
    if node.tag not in (untagged, _TEXT):
        message = f"must be text, a number, true, false or null without a tag; received the YAML type {node.tag}"
        document.problems.append((path, node.start_mark.line + 1, message))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*path, str(index)), document) for index, item in enumerate(node.value)]
    value = node.value if node.tag == _TEXT else loader.construct_object(node)
    problem = plain_problem(value)
    if problem:
        document.problems.append((path, node.start_mark.line + 1, problem.removeprefix("the value ")))
        return None
    return value


def _mapping(loader: _Loader, node: yaml.MappingNode, path: KeyPath, document: Document) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _plain(loader, key_node, path, document)
        if not isinstance(key, str):
            document.problems.append((path, line, f"keys must be text; received {key!r:.80}; put it in quotes"))
            continue
        here = (*path, key)
        if key in result:
            document.problems.append(
                (here, line, f"is given twice; the first is on line {document.lines[here]}; keep one")
            )
            continue
        document.lines[here] = line
        result[key] = _plain(loader, value_node, here, document)
    return result


def _not_yaml(error: yaml.YAMLError, origin: str) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{origin}{where}: this is not valid YAML: {getattr(error, 'problem', None) or error}."

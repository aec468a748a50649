"""Defaults, file and overrides laid over each other, remembering where every value came from so that a fault can be
placed."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

from common.config.convert import field_types
from common.config.rules import EXCLUSIVE
from common.config.schema import ExperimentConfig
from common.config.yaml_text import Document, parse_value

__all__ = ["Layers"]

KeyPath = tuple[str, ...]
_LAST = float("inf")


class Layers:
    """``tree`` is what results; ``faults`` what was wrong, each with the number it is ordered by (lines first,
    overrides last)."""

    def __init__(self, defaults: dict[str, Any], document: Document, overrides: Sequence[str]):
        self.tree, self.document = defaults, document
        self.origins: dict[KeyPath, str] = {}
        self.faults: list[tuple[float, str]] = []
        for path, line, message in document.problems:
            self.faults.append((line, f"line {line}: {'.'.join(path) or 'the file'} {message}"))
        self._lay(document.values)
        self._override(overrides)

    def report(self, path: KeyPath, message: str) -> None:
        """Record a fault at the nearest place that can be named: the override, the key's line, or that of the key
        around it."""
        dotted = ".".join(path)
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.faults.append((_LAST, f"{self.origins[path[:length]]}: {dotted} {message}"))
            line = self.document.lines.get(path[:length])
            if line is not None and (
                length == len(path) or length > 1
            ):  # a section's line says nothing about a key it lacks
                return self.faults.append((line, f"line {line}: {dotted} {message}"))
        inside = next((f"{label}: " for key, label in self.origins.items() if key[: len(path)] == path), "")
        return self.faults.append((_LAST, f"{inside}{dotted} {message}"))

    def _lay(self, layer: dict[str, Any]) -> None:
        """Sections are laid key by key, everything else whole."""
        sections = {
            name for name, annotation in field_types(ExperimentConfig).items() if dataclasses.is_dataclass(annotation)
        }
        for key, value in layer.items():
            if key in sections and isinstance(value, dict):
                self._displace(key, value)
                self._change_choice(key, value)
                self.tree[key].update(copy.deepcopy(value))
            else:
                self.tree[key] = value

    def _displace(self, section: str, layer: dict[str, Any]) -> None:
        """Where ``layer`` gives one of two exclusive settings, the other's value from below goes."""
        for owner, *pair in EXCLUSIVE:
            for given, other in (pair, reversed(pair)):
                if owner == section and layer.get(given) is not None and other not in layer:
                    self.tree[section][other] = None

    def _change_choice(self, section: str, layer: dict[str, Any]) -> None:
        """Where ``layer`` chooses another method or optimizer than the layer below, the entries of the one below go."""
        below, cls = self.tree.get(section), field_types(ExperimentConfig).get(section)
        choice = getattr(cls, "CHOICE", None)
        if cls is not None and isinstance(below, dict) and choice in layer and layer[choice] != below.get(choice):
            common = field_types(cls)  # entries that every choice has
            self.tree[section] = {name: value for name, value in below.items() if name in common and name != choice}

    def _override(self, overrides: Sequence[str]) -> None:
        parsed = self._parse(overrides)
        sections: dict[str, dict[str, Any]] = {}
        for path, value in parsed.items():
            if len(path) == 2:
                sections.setdefault(path[0], {})[path[1]] = value
        for section, layer in sections.items():
            if isinstance(self.tree.get(section), dict):
                self._displace(section, layer)
                self._change_choice(section, layer)
        for path, value in parsed.items():
            self._put(path, value)

    def _parse(self, overrides: Sequence[str]) -> dict[KeyPath, Any]:
        parsed = {}
        for override in overrides:
            label = f"--set {override}"
            key, equals, text = override.partition("=")
            path = tuple(key.strip().split("."))
            if not equals or not all(path):
                self.faults.append((_LAST, f"{label}: must have the form section.key=value"))
                continue
            try:
                parsed[path] = parse_value(text)
            except ValueError as error:
                self.faults.append((_LAST, f"{label}: the value is not valid YAML: {error}"))
                continue
            self.origins[path] = label
        return parsed

    def _put(self, path: KeyPath, value: Any) -> None:
        tree = self.tree
        for depth, key in enumerate(path[:-1], start=1):
            tree = tree.setdefault(key, {})
            if not isinstance(tree, dict):
                self.faults.append(
                    (_LAST, f"{self.origins[path]}: {'.'.join(path[:depth])} has no keys of its own; set it whole")
                )
                return
        tree[path[-1]] = value

"""Reading an experiment: defaults, then the file, then ``--set`` overrides; all faults are shown together."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.config.convert import INVALID, build, field_types
from common.config.rules import EXCLUSIVE, check
from common.config.schema import ExperimentConfig
from common.config.yaml_text import Document, dump, parse, parse_value
from common.errors import InputError, nearest

__all__ = ["CONFIG_DIRECTORY", "find_config", "from_yaml", "load_config", "to_plain", "to_yaml"]

CONFIG_DIRECTORY = Path(__file__).resolve().parents[2] / "configs"  #: the shipped experiments, installed beside the package
_DEFAULTS = "defaults.yaml"


def load_config(path: str | Path, overrides: Sequence[str] = (), name: str | None = None) -> ExperimentConfig:
    """Read the experiment file ``path``, or the shipped one of that bare name.

    Args:
        path: a YAML file, or a name such as ``bert_sst2``.
        overrides: ``section.key=value``, the value in YAML; later ones win.
        name: replaces the file's ``name``, which defaults to the file's stem.

    Raises:
        InputError: the file cannot be read, or anything in it or in the overrides is wrong; the message lists every fault with its line.
    """
    file = find_config(path)
    return _resolve(_read(file), str(file), overrides, name, default_name=file.stem)


def from_yaml(text: str, origin: str = "configuration") -> ExperimentConfig:
    """Inverse of ``to_yaml``. Raises InputError as ``load_config`` does."""
    return _resolve(text, origin, (), None, default_name=None)


def to_yaml(config: ExperimentConfig) -> str:
    """The whole resolved configuration as YAML; nothing is left to defaults."""
    return dump(to_plain(config))


def to_plain(config: ExperimentConfig) -> dict[str, Any]:
    """The configuration as nested dicts and lists, ready for YAML and JSON."""
    return _listed(dataclasses.asdict(config))


def find_config(path: str | Path) -> Path:
    """The file meant by ``path``: itself, or the shipped experiment of that name."""
    path = Path(path)
    if path.is_file():
        return path
    shipped = sorted(file.stem for file in CONFIG_DIRECTORY.glob("*.yaml") if file.name != _DEFAULTS)
    if str(path) in shipped:
        return CONFIG_DIRECTORY / f"{path}.yaml"
    what = "is a folder" if path.is_dir() else "does not exist"
    raise InputError(f"The configuration must be a YAML file or one of {', '.join(shipped)}; {path} {what}.{nearest(path.stem, shipped)}")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: an experiment file must be UTF-8 text; byte {error.start} is not. Save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from error


def _resolve(text: str, origin: str, overrides: Sequence[str], name: str | None, default_name: str | None) -> ExperimentConfig:
    document = parse(text, origin)
    faults = [_Fault(document.lines.get(path, line), f"line {line}: {'.'.join(path) or 'the file'} {message}") for path, line, message in document.problems]
    tree = parse(_read(CONFIG_DIRECTORY / _DEFAULTS), _DEFAULTS).values
    if default_name is not None:
        tree["name"] = default_name
    _lay(tree, document.values)
    origins = _apply(tree, overrides, faults)
    if name is not None:
        tree["name"] = name

    def report(path: tuple[str, ...], message: str) -> None:
        faults.append(_located(path, message, document, origins))

    seen: dict[str, Any] = {}
    config = build(ExperimentConfig, tree, (), report, seen)
    for path, message in check(seen):
        report(tuple(path.split(".")), message)
    if faults:
        ordered = [fault.text for fault in sorted(faults, key=lambda fault: fault.order)]
        count = "1 error" if len(ordered) == 1 else f"{len(ordered)} errors"
        raise InputError(f"{origin}: {count} in the configuration:\n" + "\n".join(f"  {text}" for text in ordered))
    assert config is not INVALID
    return config


@dataclasses.dataclass(frozen=True)
class _Fault:
    order: float  #: line number; faults of overrides and of what is missing come last
    text: str


def _located(path: tuple[str, ...], message: str, document: Document, origins: dict[tuple[str, ...], str]) -> _Fault:
    """The fault with the nearest place that can be named: the override, the key's line, or an enclosing key's line."""
    dotted = ".".join(path)
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return _Fault(float("inf"), f"{origins[path[:length]]}: {dotted} {message}")
        line = document.lines.get(path[:length])
        if line is not None and (length == len(path) or length > 1):
            return _Fault(line, f"line {line}: {dotted} {message}")
    inside = next((label for key, label in origins.items() if key[: len(path)] == path), None)
    if inside:
        return _Fault(float("inf"), f"{inside}: {dotted} {message}")
    return _Fault(1e9, f"{dotted} {message}")


def _lay(tree: dict[str, Any], layer: dict[str, Any]) -> None:
    """Lay ``layer`` over ``tree``: sections key by key, everything else whole."""
    sections = {name for name, annotation in field_types(ExperimentConfig).items() if dataclasses.is_dataclass(annotation)}
    for key, value in layer.items():
        if key in sections and isinstance(value, dict):
            _displace(tree, key, value)
            tree[key].update(copy.deepcopy(value))
        else:
            tree[key] = value


def _displace(tree: dict[str, Any], section: str, layer: dict[str, Any]) -> None:
    for owner, *pair in EXCLUSIVE:
        for given, other in (pair, reversed(pair)):
            if owner == section and layer.get(given) is not None and other not in layer:
                tree[section][other] = None


def _apply(tree: dict[str, Any], overrides: Sequence[str], faults: list[_Fault]) -> dict[tuple[str, ...], str]:
    """Put each override at its place in ``tree``; return where each came from, by path."""
    origins: dict[tuple[str, ...], str] = {}
    parsed: dict[tuple[str, ...], Any] = {}
    for override in overrides:
        label = f"--set {override}"
        key, equals, text = override.partition("=")
        path = tuple(key.strip().split("."))
        if not equals or not all(path):
            faults.append(_Fault(float("inf"), f"{label}: must have the form section.key=value"))
            continue
        try:
            parsed[path] = parse_value(text)
        except ValueError as error:
            faults.append(_Fault(float("inf"), f"{label}: the value is not valid YAML: {error}"))
            continue
        origins[path] = label
    by_section: dict[str, dict[str, Any]] = {}
    for path, value in parsed.items():
        if len(path) == 2:
            by_section.setdefault(path[0], {})[path[1]] = value
    for section, layer in by_section.items():
        if isinstance(tree.get(section), dict):
            _displace(tree, section, layer)
    for path, value in parsed.items():
        _put(tree, path, value, origins[path], faults)
    return origins


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any, label: str, faults: list[_Fault]) -> None:
    for depth, key in enumerate(path[:-1], start=1):
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            faults.append(_Fault(float("inf"), f"{label}: {'.'.join(path[:depth])} has no keys of its own; set it whole"))
            return
    tree[path[-1]] = value


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value

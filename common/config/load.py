"""Reading an experiment: defaults, then the file, then ``--set`` overrides; all faults are shown together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.backend.adversarial import Adversarial
from common.config.convert import build, convert_section
from common.config.layers import Layers
from common.config.rules import check
from common.config.schema import ExperimentConfig, OptimizationConfig
from common.config.yaml_text import dump, parse
from common.errors import InputError, nearest
from common.methods.method import MethodOptions
from common.reading import read_text
from common.resources import configs_folder

__all__ = [
    "CONFIG_DIRECTORY",
    "adaptation_options",
    "find_config",
    "from_yaml",
    "load_config",
    "optimization_options",
    "to_plain",
    "to_yaml",
]

CONFIG_DIRECTORY = configs_folder()  #: the shipped experiments
_DEFAULTS = "defaults.yaml"
_LARGEST = 2**20  #: bytes of an experiment file; the parser takes a second for 100,000


def load_config(path: str | Path, overrides: Sequence[str] = (), name: str | None = None) -> ExperimentConfig:
    """Read the experiment file ``path``, or the shipped one of that bare name.

    Args:
        path: a YAML file, or a name such as ``bert_sst2``.
        overrides: ``section.key=value``, the value in YAML; later ones win.
        name: replaces the file's ``name``, which defaults to the file's stem.

    Raises:
        InputError: the file cannot be read, or anything in it or in the overrides is wrong; the message lists every
            fault with its line.
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
    plain = _listed(dataclasses.asdict(config))
    if config.distillation.teacher is None:
        del plain["distillation"]  # without a teacher it says nothing
    if config.meta.unlabelled is None:
        del plain["meta"]
    if config.training.adversarial == Adversarial():
        del plain["training"]["adversarial"]
    return plain


def adaptation_options(section: dict[str, Any]) -> MethodOptions:
    """The options of a method from plain values, checked as in an experiment file.

    Raises:
        InputError: every unknown entry and every value that does not fit.
    """
    from common.methods import METHODS

    if section.get("method") is None:
        raise InputError(f"The plan does not fit: method must be given, as one of {', '.join(METHODS.names())}.")
    faults: list[str] = []

    def report(path: tuple[str, ...], message: str) -> None:
        faults.append(f"{'.'.join(path)} {message}".rstrip("."))

    options = convert_section(MethodOptions, section, ("plan",), report)
    if faults:
        raise InputError("The plan does not fit: " + "; ".join(faults) + ".")
    return options


def optimization_options(**entries: Any) -> OptimizationConfig:
    """The section ``optimization`` of an experiment that gives these entries and leaves the others to their defaults.

    Example:
        >>> optimization_options(optimizer="sgd", momentum=0.9).momentum
        0.9

    Raises:
        InputError: every unknown entry and every value that does not fit.
    """
    faults: list[str] = []
    section = {**parse(_read(CONFIG_DIRECTORY / _DEFAULTS), _DEFAULTS).values["optimization"], **entries}
    options = convert_section(
        OptimizationConfig, section, ("optimization",), lambda path, text: faults.append(f"{'.'.join(path)} {text}")
    )
    faults += [f"{path} {text}" for path, text in check({f"optimization.{name}": v for name, v in section.items()})]
    if faults:
        raise InputError("; ".join(faults) + ".")
    return options


def find_config(path: str | Path) -> Path:
    """The file meant by ``path``: itself, or the shipped experiment of that name."""
    path = Path(path)
    if path.is_file():
        return path
    shipped = sorted(file.stem for file in CONFIG_DIRECTORY.glob("*.yaml") if file.name != _DEFAULTS)
    if str(path) in shipped:
        return CONFIG_DIRECTORY / f"{path}.yaml"
    what = "is a folder" if path.is_dir() else "does not exist"
    raise InputError(
        f"The configuration must be a YAML file or one of {', '.join(shipped)}; {path} {what}.{nearest(path.stem, shipped)}"
    )


def _read(file: Path) -> str:
    return read_text(file, "an experiment file", "Save it as UTF-8 text.", _LARGEST)


def _resolve(
    text: str, origin: str, overrides: Sequence[str], name: str | None, default_name: str | None
) -> ExperimentConfig:
    defaults = parse(_read(CONFIG_DIRECTORY / _DEFAULTS), _DEFAULTS).values
    if default_name is not None:
        defaults["name"] = default_name
    layers = Layers(defaults, parse(text, origin), overrides)
    if name is not None:
        layers.tree["name"] = name
    seen: dict[str, Any] = {}
    config = build(ExperimentConfig, layers.tree, (), layers.report, seen)
    for path, message in check(seen):
        layers.report(tuple(path.split(".")), message)
    if layers.faults:
        faults = [text for _, text in sorted(layers.faults, key=lambda fault: fault[0])]
        count = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
        raise InputError(f"{origin}: {count} in the configuration:\n" + "\n".join(f"  {text}" for text in faults))
    return config


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value

"""The recorder: which rows of the mapping a program uses, how often, with which arguments and on which targets.
 While it is on, every function of a namespace is replaced by one that notes the call; afterwards the namespace is what
it was. Compiled graphs hold the functions themselves and are not recorded, so what is to be recorded runs in PyNative.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from common.api_mapping.binding import refuses
from common.api_mapping.names import Name
from common.files import write_json

__all__ = ["Call", "Log", "record"]


@dataclass(frozen=True)
class Call:
    """Calls of one row with arguments of one kind. ``adapted``: an adapter stood in for the framework's own call."""

    torch: str
    target: str
    adapted: bool
    arguments: tuple[str, ...]
    keywords: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"({', '.join([*self.arguments, *(f'{name}={value}' for name, value in self.keywords)])})"


class Log:
    """What was recorded."""

    def __init__(self) -> None:
        self.calls: Counter[Call] = Counter()

    def rows(self) -> dict[str, int]:
        """Torch's name to number of calls, the most used first."""
        found: Counter[str] = Counter()
        for call, count in self.calls.items():
            found[call.torch] += count
        return dict(found.most_common())

    def to_json(self, path: Path | None = None) -> dict[str, Any]:
        """The log as plain data, also written to ``path`` where one is given."""
        calls = [
            {**asdict(call), "arguments": list(call.arguments), "keywords": dict(call.keywords), "count": count}
            for call, count in self._ordered()
        ]
        content = {"schema": 1, "rows": self.rows(), "calls": calls}
        if path is not None:
            write_json(path, content)
        return content

    def table(self) -> str:
        """The log as aligned text: a line for each row, and below it one for each kind of arguments."""
        totals = self.rows()
        if not totals:
            return "no call of a mapped function"
        targets = {call.torch: call.target for call in self.calls}
        width, target_width = max(map(len, totals)), max(map(len, targets.values()))
        lines = []
        for name, total in totals.items():
            adapted = "  (adapter)" if targets[name].startswith("shim.") else ""
            lines.append(f"{name:<{width}}  {total:>6}  {targets[name]:<{target_width if adapted else 0}}{adapted}")
            lines += [f"{'':<{width}}  {count:>6}    {call}" for call, count in self._ordered() if call.torch == name]
        return "\n".join(lines)

    def _ordered(self) -> list[tuple[Call, int]]:
        totals = self.rows()
        return sorted(
            self.calls.items(), key=lambda entry: (-totals[entry[0].torch], entry[0].torch, -entry[1], str(entry[0]))
        )


@contextmanager
def record(*namespaces: ModuleType) -> Iterator[Log]:
    """Note every outermost call of a mapped function of the namespaces, `mindspore_impl.functional` or its counterpart,
    until the block ends.

    Raises:
        RuntimeError: a namespace is being recorded already.
    """
    log, inside = Log(), threading.local()
    replaced = [
        (namespace, name, function) for namespace in namespaces for name, function in _functions(namespace).items()
    ]
    targets = {namespace: _targets(namespace, _functions(namespace)) for namespace in namespaces}
    try:
        for namespace, name, function in replaced:
            setattr(
                namespace, name, _logged(function, namespace._ROWS[name].name, targets[namespace][name], log, inside)
            )
        yield log
    finally:
        for namespace, name, function in replaced:
            setattr(namespace, name, function)


def _functions(namespace: ModuleType) -> dict[str, Callable[..., Any]]:
    bound = {name: getattr(namespace, name, None) for name in namespace._ROWS}
    functions = {
        name: value
        for name, value in bound.items()
        if callable(value) and not inspect.isclass(value) and not refuses(value)
    }
    if any(hasattr(function, "_recorded") for function in functions.values()):
        raise RuntimeError(f"{namespace.__name__} is being recorded already; end the other record() first")
    return functions


def _logged(
    function: Callable[..., Any], name: str, target: str, log: Log, inside: threading.local
) -> Callable[..., Any]:
    # `wraps` is more than courtesy: a graph that is compiled meanwhile reads the source through it and holds the
    # function itself.
    @functools.wraps(function)
    def logged(*arguments: Any, **keywords: Any) -> Any:
        if getattr(inside, "call", False):  # an adapter that calls another
            return function(*arguments, **keywords)
        given = tuple(map(_describe, arguments)), tuple((key, _describe(value)) for key, value in keywords.items())
        log.calls[Call(name, target, target.startswith("shim."), *given)] += 1
        inside.call = True
        try:
            return function(*arguments, **keywords)
        finally:
            inside.call = False

    vars(logged)["_recorded"] = True
    return logged


def _targets(namespace: ModuleType, functions: Mapping[str, Callable[..., Any]]) -> dict[str, str]:
    """Which target each function is, found by identity: what is bound counts, whatever a lock file says."""
    resolve = importlib.import_module(f"{namespace.__package__}.mapping").resolve
    return {name: _target(namespace._ROWS[name], function, resolve) for name, function in functions.items()}


def _target(row: Name, function: Callable[..., Any], resolve: Callable[[str], Any]) -> str:
    for target in (*row.targets, row.name):
        try:
            if resolve(target) is function:
                return target
        except (AttributeError, ImportError):
            continue
    module, name = getattr(function, "__module__", "") or "", getattr(function, "__qualname__", row.name)
    return f"{module.rpartition('.')[2]}.{name}".lstrip(".")  # bound by hand


def _describe(value: Any) -> str:
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_describe, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).rpartition('.')[2].lower()} {'x'.join(map(str, value.shape)) or '0-d'}"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

"""Axes: each value of an axis is a label and the keys of the configuration that it sets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import InputError

__all__ = ["Choice", "axis_choices", "grid", "same_value"]

_SCALARS = str | int | float | bool | None


@dataclass(frozen=True)
class Choice:
    """One value of an axis."""

    label: Any
    settings: dict[str, Any]  #: key path to value


def axis_choices(name: str, values: Any, where: str) -> list[Choice]:
    """The values of the axis ``name``.

    - a key path with a list: ``adaptation.rank: [2, 8]``;
    - a key path with labelled values: ``adaptation.targets: {qv: [query, value], q: [query]}``;
    - a name with labelled sets of keys: ``budget: {small: {adaptation.rank: 2, adaptation.alpha: 4}}``.

    Args:
        where: the place in the definition, for messages.

    Raises:
        InputError: it is none of these, or a value occurs twice.
    """
    if isinstance(values, dict) and values:
        if "." in name:
            return [Choice(label, {name: value}) for label, value in values.items()]
        if all(isinstance(settings, dict) for settings in values.values()):
            return [Choice(label, dict(settings)) for label, settings in values.items()]
        raise InputError(
            f"{where}: the axis {name} is no key path such as training.epochs, so that each of its labels must be a "
            "mapping of key paths to values."
        )
    if not isinstance(values, list) or not values or "." not in name:
        raise InputError(
            f"{where}: the axis {name} must be a key path with a list of values, or have labels: "
            f"{{label: value}} for a key path, {{label: {{key: value}}}} for a name. Received {values!r}."
        )
    for index, value in enumerate(values):
        if not isinstance(value, _SCALARS):
            raise InputError(
                f"{where}: the axis {name} has a list or mapping as a value, which tables cannot show. Name it: "
                f"{name}: {{label: {value!r}}}."
            )
        if any(same_value(value, other) for other in values[:index]):
            raise InputError(f"{where}: the axis {name} has the value {value!r} twice. Keep one.")
    return [Choice(value, {name: value}) for value in values]


def grid(axes: Mapping[str, Any], where: str) -> Iterator[dict[str, Choice]]:
    """Every combination of values, the last axis fastest; one empty combination where there is no axis."""
    names = list(axes)
    lists = [axis_choices(name, axes[name], where) for name in names]
    for combination in itertools.product(*lists):
        yield dict(zip(names, combination, strict=True))


def same_value(first: Any, second: Any) -> bool:
    """Whether two labels are one value: 1 and 1.0 are, 1 and true are not."""
    return isinstance(first, bool) == isinstance(second, bool) and first == second

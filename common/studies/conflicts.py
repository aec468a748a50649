"""What in a definition would silently hide something else in it: two settings of one key, two things of one name."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from common.errors import InputError

__all__ = ["BASE", "TRIAL", "refuse_hidden", "refuse_names"]

BASE = "base"  #: the axis of several base configurations
TRIAL = "trial"  #: the axis of the trials of a search
_RESERVED = ("seed", "backend", BASE, TRIAL)  #: axes that a study makes itself


def refuse_names(
    label: Mapping[str, Any], own: Iterable[str], common: Iterable[str], searched: Iterable[str], where: str
) -> None:
    """Raise InputError where two things of a point have one name, or a label is not one value.

    Args:
        label: of the point.
        own: axes of the point.
        common: axes of the study.
        searched: entries of the space of its search.
        where: the place in the definition, for messages.
    """
    found = [("a label", label), ("an axis of the point", own), ("an axis", common), ("a searched entry", searched)]
    for (first, names), (second, others) in itertools.combinations(found, 2):
        for name in sorted(set(names) & set(others)):
            raise InputError(f"{where}: {name} is {first} and {second}. Rename or remove one of them.")
    for kind, names in found:
        for name in sorted(set(names) & set(_RESERVED)):
            raise InputError(
                f"{where}: {kind} must not be called {', '.join(_RESERVED)}, which a study has itself; received {name}. "
                "Rename it; seeds, backends and base have entries of their own."
            )
    for name, value in label.items():
        if isinstance(value, dict | list):
            raise InputError(
                f"{where}: a label must be text, a number, true, false or null; {name} is {value!r}. Name the value, and "
                "put what it sets into the entry set."
            )


def refuse_hidden(sources: Mapping[str, Iterable[str]], where: str) -> None:
    """Raise InputError where the setting of a key would be hidden by that of the same key, or of one around it.

    Args:
        sources: what sets keys, for messages, to the key paths that it sets.
        where: the place in the definition, for messages.
    """
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for source, keys in sources.items():
        for key in keys:
            if not key.strip(". ") or key != key.strip() or "=" in key:
                raise InputError(
                    f"{where}: a key path must be words with dots between them, such as training.epochs; received {key!r}."
                )
            path = tuple(key.split("."))
            for owner, other, before in found:
                depth = min(len(path), len(before))
                if path[:depth] == before[:depth]:
                    shown = f"{key} is set by both" if key == other else f"they set {other} and {key}"
                    raise InputError(
                        f"{where}: {owner} and {source} set one key, so that one would hide the other: {shown}. Let one of "
                        "them set it."
                    )
            found.append((source, key, path))

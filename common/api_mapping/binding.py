"""From the index of rows to namespaces: what a backend offers under torch's names.

Both backends are filled from the same rows, so they cannot drift apart. A name for which nothing was verified on this
device and version is there as well, and raises an error when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from common.api_mapping.names import Name
from common.errors import InputError

__all__ = ["EVERYWHERE", "bind", "chosen_target", "refuses", "refusing"]

#: What the networks call before anything was probed and no shim exists for: an operator that MindSpore documents for
#: every device (Ascend, GPU and CPU), and that passes every case where it was probed.
EVERYWHERE = {"torch.tile": "ops.tile"}


def chosen_target(row: Name, locked: Mapping[str, Any]) -> str | None:
    """What ``row`` is bound to, or None where no candidate is known to be right.

    The lock file's choice counts if it is still a candidate. Without one, the shim is taken, unless it was rejected
    here, and then the one of ``EVERYWHERE``; never a candidate of MindSpore's own that was not verified.

    Args:
        locked: entries of the lock file for the device and version, by row name.
    """
    entry = locked.get(row.name, {})
    rejected = entry.get("rejected", {})
    fallbacks = (entry.get("target"), row.shim, EVERYWHERE.get(row.name))
    return next((target for target in fallbacks if target in row.targets and target not in rejected), None)


def bind(
    rows: Mapping[str, Name],
    locked: Mapping[str, Any],
    resolve: Callable[[str], Any],
    refuse: Callable[[Name, str], Any],
    place: tuple[str, str],
) -> dict[str, Any]:
    """Name to callable for every row.

    Args:
        rows: rows by the name that they get.
        locked: entries of the lock file for the device and version, by row name.
        resolve: the function or class of a target; AttributeError or ImportError where the framework has none.
        refuse: makes of a row and a message what raises an error when it is called; see `refusing`.
        place: MindSpore's device and version, for the message.

    Returns:
        The target's own function or class. Where there is none, what ``refuse`` makes: the error says what was tried
        and how to probe.
    """
    bound = {}
    for name, row in rows.items():
        target = chosen_target(row, locked)
        if target is None:
            bound[name] = refuse(row, _message(row, _tried(row, locked), place))
            continue
        try:
            bound[name] = resolve(target)
        except (AttributeError, ImportError):
            bound[name] = refuse(row, _message(row, f"{target} is not in this MindSpore", place))
    return bound


def refusing(row: Name, message: str, constant: Callable[[Callable[[], Any]], Callable[[], Any]] | None = None) -> Any:
    """A function, or for modules and optimizers a class, that raises `InputError` with ``message`` when it is called.

    Args:
        constant: wraps a function so that it runs in Python also while a graph is compiled.
    """

    def stop() -> Any:
        raise InputError(message)

    stopped = constant(stop) if constant else stop

    def refuse(*_, **__):
        return stopped()

    if row.kind in ("module", "optimizer"):
        return type(row.leaf, (), {"__init__": refuse, "__doc__": message, "_refused": True})
    refuse.__name__ = refuse.__qualname__ = row.leaf
    refuse.__doc__ = message
    refuse._refused = True  # type: ignore[attr-defined]
    return refuse


def refuses(function: Any) -> bool:
    """Whether a bound function or class stands for a name without a verified target."""
    return hasattr(function, "_refused")


def _tried(row: Name, locked: Mapping[str, Any]) -> str:
    rejected = locked.get(row.name, {}).get("rejected", {})
    reasons = "; ".join(f"{target}: {why}" for target, why in rejected.items() if target in row.targets)
    return f"none of its candidates ({', '.join(row.targets)}) was" + (f" ({reasons})" if reasons else "")


def _message(row: Name, found: str, place: tuple[str, str]) -> str:
    device, version = place[0].lower(), place[1]
    return (
        f"{row.name} needs a target that was verified on {device} with MindSpore {version}; {found}. "
        f"Run: twinlora map probe {row.name} --device {device}"
    )

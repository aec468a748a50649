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

#: What the networks call before anything was probed and no shim exists for: operators that MindSpore documents for
#: every device (Ascend, GPU and CPU), and that pass every case where they were probed.
EVERYWHERE = {"torch.arange": "ops.arange", "torch.reshape": "ops.reshape", "torch.tile": "ops.tile"}


def chosen_target(row: Name, locked: Mapping[str, Any]) -> str | None:
    """What ``row`` is bound to, or None where no candidate is known to be right.

    The lock file's choice counts if it is still a candidate. Without one, the shim is taken, unless it was rejected
    here, and then an operator of ``EVERYWHERE``; never a candidate of MindSpore's own that was not verified.

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
    device: str,
    version: str,
) -> dict[str, Any]:
    """Name to callable for every row.

    Args:
        rows: rows by the name that they get.
        locked: entries of the lock file for the device and version, by row name.
        resolve: the function or class of a target; AttributeError or ImportError where the framework has none.
        device: MindSpore's device, for the message.
        version: MindSpore's version, for the message.

    Returns:
        The target's own function or class. Where there is none, a function or class that raises `InputError` when it
        is called or constructed: it says what was tried and how to probe.
    """
    bound = {}
    for name, row in rows.items():
        target = chosen_target(row, locked)
        try:
            bound[name] = resolve(target) if target else refusing(row, _unverified(row, locked, device, version))
        except (AttributeError, ImportError):
            bound[name] = refusing(row, _absent(row, str(target), device, version))
    return bound


def refuses(function: Any) -> bool:
    """Whether a bound function or class stands for a name without a verified target."""
    return hasattr(function, "_refused")


def refusing(row: Name, message: str) -> Any:
    """A function, or for modules and optimizers a class, that raises `InputError` with ``message`` when it is called."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise InputError(message)

    if row.kind in ("module", "optimizer"):
        return type(row.leaf, (), {"__init__": refuse, "__doc__": message, "_refused": True})
    refuse.__name__ = refuse.__qualname__ = row.leaf
    refuse.__doc__ = message
    refuse._refused = True  # type: ignore[attr-defined]
    return refuse


def _unverified(row: Name, locked: Mapping[str, Any], device: str, version: str) -> str:
    rejected = locked.get(row.name, {}).get("rejected", {})
    reasons = "; ".join(f"{target}: {why}" for target, why in rejected.items() if target in row.targets)
    found = f"none of its candidates ({', '.join(row.targets)}) was" + (f" ({reasons})" if reasons else "")
    return f"{_rule(row, device, version)}; {found}. {_probe(row, device)}"


def _absent(row: Name, target: str, device: str, version: str) -> str:
    return f"{_rule(row, device, version)}; {target} is not in this MindSpore. {_probe(row, device)}"


def _rule(row: Name, device: str, version: str) -> str:
    return f"{row.name} needs a target that was verified on {device.lower()} with MindSpore {version}"


def _probe(row: Name, device: str) -> str:
    return f"Run: twinlora map probe {row.name} --device {device.lower()}"

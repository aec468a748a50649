"""Sentences and figures that the pages in `docs/` share, whichever their format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.api_mapping.report import VERDICTS, View, summary
from common.api_mapping.tolerance import CLASSES, GRADIENT

__all__ = [
    "COLUMNS",
    "COMPILED",
    "TITLE",
    "facts",
    "legacy",
    "not_compiled",
    "not_run",
    "official",
    "old_table",
    "present",
    "spelled",
    "targets",
    "tolerances",
    "verdicts",
]

TITLE = "From torch to MindSpore"
COLUMNS = (
    "torch",
    "MindSpore",
    "verdict",
    "largest error (torch's own)",
    "in the call",
    "2022 table, for MindSpore 1.7",
    "official mint call",
    "what to know",
)
DEVICES = {"cpu": "CPU", "gpu": "GPU", "ascend": "Ascend"}


#: What is said of a row that fails compiled, by the part of its entry.
COMPILED = {"compiled": "not under ms.jit", "compiled_gradient": "no compiled gradient"}


def not_compiled(measured: Mapping[str, Any] | None) -> list[str]:
    """In which compiled modes a row fails."""
    return [text for part, text in COMPILED.items() if ((measured or {}).get(part) or {}).get("verdict") == "failed"]


def facts(found: Sequence[View], content: Mapping[str, Any]) -> str:
    """What was run, where, when."""
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    calls = sum(view.measured["cases"] for view in found if view.measured)
    where = DEVICES.get(content["device"].partition(":")[0], content["device"])
    return (
        f"{len(found)} calls of torch, and what does the same in MindSpore. On {content['date']} all were run in both frameworks on the {where} ({versions}): "
        f"{calls:,} calls with ordinary, wide, special, whole, empty and strided inputs. Values, dtypes, shapes, NaN and infinities are compared with torch's; "
        "errors of values and gradients are relative to torch in float64, so that torch's own stands beside."
    )


def not_run(devices: Sequence[str]) -> str:
    """Which devices nothing is known of."""
    there = {name.partition(",")[0] for name in devices}
    absent = [title for device, title in DEVICES.items() if device not in there]
    if not absent:
        return ""
    return (
        f"Not run: {' and '.join(absent)}. Nothing on this page is a statement about {'it' if len(absent) == 1 else 'them'}: "
        "which calls have kernels differs by device. "
        "`twinlora map probe` chooses the targets on the device at hand and `twinlora map verify` runs every row there."
    )


def present(found: Iterable[View]) -> list[str]:
    """The verdicts that occur, in the order of ``VERDICTS``."""
    there = {view.verdict for view in found}
    return [verdict for verdict in VERDICTS if verdict in there]


def verdicts(found: Sequence[View]) -> list[tuple[str, int, str]]:
    """(verdict, rows, meaning) of those that occur."""
    return [(verdict, sum(view.verdict == verdict for view in found), VERDICTS[verdict]) for verdict in present(found)]


def old_table(found: Sequence[View]) -> str:
    """What became of the 2022 table's targets."""
    told = [{"verdict": view.legacy_verdict} for view in found if view.legacy_verdict]
    return summary(told) if told else ""


def targets(view: View) -> list[tuple[str, str]]:
    """(target, lock entry) of every device; an adapter is named as one."""
    return [(spelled(target), where) for where, target in view.targets.items()] or [(spelled(view.target), "")]


def spelled(target: str | None) -> str:
    """A target as people read it."""
    return (
        "none"
        if not target or target == "none"
        else f"{target.removeprefix('shim.')} (adapter)"
        if target.startswith("shim.")
        else target
    )


def official(view: View) -> tuple[str, str, str]:
    """(the first `mint` candidate, right or rejected or not tried, the reason)."""
    name, said = view.official
    return (
        (name, "right" if said == "passed" else "rejected" if said else "not tried", said if said != "passed" else "")
        if name
        else ("", "", "")
    )


def legacy(view: View) -> tuple[str, str, str]:
    """(the 2022 table's target, its verdict, the first difference)."""
    old = (view.measured or {}).get("legacy") or {}
    more = f"{old['first']} ({old['failed']})" if old.get("first") else ""
    return (view.row.legacy, view.legacy_verdict or "not verified", more) if view.row.legacy else ("", "", "")


def tolerances(found: Iterable[View]) -> list[tuple[str, str, str, str]]:
    """(class, limit of values, limit of gradients, why) of the classes in use."""
    used = {view.row.tolerance for view in found if not view.row.stochastic}
    scale = {"element": "of the element", "tensor": "of the largest element"}
    told = []
    for name, limit in CLASSES.items():
        if name in used:
            values = "equal to the bit" if limit.relative == 0 else f"{limit.relative:g} {scale[limit.scale]}"
            told.append((name, values, f"{GRADIENT[name].relative:g} {scale[GRADIENT[name].scale]}", limit.why))
    return told

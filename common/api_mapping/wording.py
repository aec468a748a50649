"""Sentences and figures that the pages in `docs/` share, whichever their format, in the language of the block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.api_mapping.report import VERDICTS, View, counts, errors
from common.api_mapping.row import Row
from common.api_mapping.tolerance import CLASSES, GRADIENT, Limit
from common.api_mapping.translation import said
from common.language import translated

__all__ = [
    "COMPILED",
    "beyond",
    "both_errors",
    "columns",
    "facts",
    "legacy",
    "limits",
    "not_compiled",
    "not_run",
    "notation",
    "official",
    "old_table",
    "present",
    "refused",
    "spelled",
    "targets",
    "title",
    "tolerances",
    "verdicts",
]

DEVICES = {"cpu": "CPU", "gpu": "GPU", "ascend": "Ascend"}

#: What is said of a row that fails compiled, by the part of its entry.
COMPILED = {"compiled": "not under ms.jit", "compiled_gradient": "no compiled gradient"}


def not_compiled(measured: Mapping[str, Any] | None) -> list[str]:
    """In which compiled modes a row fails."""
    return [
        said(text) for part, text in COMPILED.items() if ((measured or {}).get(part) or {}).get("verdict") == "failed"
    ]


def title() -> str:
    """Of the pages."""
    return translated("From torch to MindSpore")


def columns() -> tuple[str, ...]:
    """Headings of a table of rows."""
    return (
        "torch",
        "MindSpore",
        translated("verdict"),
        translated("largest error (torch's own)"),
        translated("in the call"),
        translated("2022 table, for MindSpore 1.7"),
        translated("official mint call"),
        translated("what to know"),
    )


def facts(found: Sequence[View], content: Mapping[str, Any]) -> str:
    """What was run, where, when."""
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    calls = sum(view.measured["cases"] for view in found if view.measured)
    where = DEVICES.get(content["device"].partition(":")[0], content["device"])
    return translated(
        "{rows} calls of torch, and what does the same in MindSpore. On {date} all were run in both frameworks on the "
        "{device} ({versions}): {calls} calls with ordinary, wide, special, whole, empty and strided inputs. Values, "
        "dtypes, shapes, NaN and infinities are compared with torch's; errors of values and gradients are relative to "
        "torch in float64, so that torch's own stands beside.",
        rows=f"{len(found):,}",
        date=content["date"],
        device=where,
        versions=versions,
        calls=f"{calls:,}",
    )


def not_run(devices: Sequence[str]) -> tuple[str, str] | None:
    """(which devices nothing is known of, what that means); None where there is none."""
    there = {name.partition(",")[0] for name in devices}
    absent = [name for device, name in DEVICES.items() if device not in there]
    if not absent:
        return None
    names = absent[0]
    for name in absent[1:]:
        names = translated("{first} and {second}", first=names, second=name)
    return translated("Not run: {devices}.", devices=names), translated(
        "Nothing on this page is a statement about what was not run: which calls have kernels differs by device. "
        "`twinlora map probe` chooses the targets on the device at hand and `twinlora map verify` runs every row there."
    )


def present(found: Iterable[View]) -> list[str]:
    """The verdicts that occur, in the order of ``VERDICTS``."""
    there = {view.verdict for view in found}
    return [verdict for verdict in VERDICTS if verdict in there]


def verdicts(found: Sequence[View]) -> list[tuple[str, int, str]]:
    """(verdict, rows, meaning) of those that occur."""
    return [
        (said(verdict), sum(view.verdict == verdict for view in found), said(VERDICTS[verdict]))
        for verdict in present(found)
    ]


def old_table(found: Sequence[View]) -> str:
    """What became of the 2022 table's targets."""
    told = [{"verdict": view.legacy_verdict} for view in found if view.legacy_verdict]
    return translated(", ").join(
        translated("{count} {verdict}", count=count, verdict=said(name)) for name, count in counts(told)
    )


def targets(view: View) -> list[tuple[str, str]]:
    """(target, lock entry) of every device; an adapter is named as one."""
    return [(spelled(target), where) for where, target in view.targets.items()] or [(spelled(view.target), "")]


def spelled(target: str | None) -> str:
    """A target as people read it."""
    if not target or target == "none":
        return translated("none")
    name = target.removeprefix("shim.")
    return translated("{name} (adapter)", name=name) if name != target else name


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


def both_errors(measured: Mapping[str, Any]) -> str:
    """The largest errors of values and, where there are gradients, of these, as markup."""
    gradient = (
        "<br>" + translated("gradient {error}", error=errors(measured, gradient=True))
        if measured["gradient_error"] != 0 or measured["torch_gradient_error"]
        else ""
    )
    return errors(measured) + gradient


def refused(row: Row) -> list[str]:
    """The calls that MindSpore refuses, each with the reason."""
    return [translated("refused with {part}: {why}", part=part, why=said(why)) for part, why in row.limits.items()]


def notation() -> str:
    """How the pages write the inputs of a call."""
    return translated(
        "Inputs: `3x4 normal` is a float32 tensor of this shape with mean 0 and deviation 1, `int64 3x4 in [0, 5)` is "
        "uniform, `0-d` has no axis, `spd` is symmetric and positive definite, `(strided)` is a transposed view; in "
        "brackets before the inputs stand a module's or an optimizer's arguments."
    )


def beyond() -> str:
    """What a limit allows."""
    return translated("An error beyond the limit still passes while it is at most twice torch's own.")


def limits() -> tuple[str, ...]:
    """Headings of `tolerances`."""
    return translated("tolerance"), translated("values within"), translated("gradients within"), translated("why")


def tolerances(found: Iterable[View]) -> list[tuple[str, str, str, str]]:
    """(class, limit of values, limit of gradients, why) of the classes in use."""
    used = {view.row.tolerance for view in found if not view.row.stochastic}
    return [
        (name, _within(limit), _within(GRADIENT[name]), said(limit.why))
        for name, limit in CLASSES.items()
        if name in used
    ]


def _within(limit: Limit) -> str:
    if limit.relative == 0:
        return translated("equal to the bit")
    size = f"{limit.relative:g}"
    return (
        translated("{limit} of the element", limit=size)
        if limit.scale == "element"
        else translated("{limit} of the largest element", limit=size)
    )

"""The mapping in the formats of other programs, and the pages in `docs/` with their check."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.api_mapping import lock, wording
from common.api_mapping.markdown import markdown
from common.api_mapping.page import html_page
from common.api_mapping.report import DOCUMENT, View, read_document, views
from common.api_mapping.rows import digest, registry
from common.errors import InputError
from common.files import write_atomic
from common.language import speaking

__all__ = ["FORMATS", "MAKE", "export", "stale", "write_pages"]

FORMATS = ("json", "csv", "msprobe-yaml", "html", "markdown")
#: name of a page to its language and what writes it
PAGES = {
    "api_mapping.md": ("en", markdown),
    "api_mapping.html": ("en", html_page),
    "api_mapping.zh-CN.md": ("zh", markdown),
    "api_mapping.zh-CN.html": ("zh", html_page),
}
#: what makes the pages anew, in a checkout
MAKE = "twinlora map verify --json common/api_mapping/verification.json && twinlora map docs"


def export(format: str) -> str:
    """Every row as text in one of ``FORMATS``."""
    if format in ("html", "markdown"):
        return _page({"html": html_page, "markdown": markdown}[format], _complete(read_document()))
    found = views()
    if format == "json":
        return (
            json.dumps(
                {"schema": 1, "registry": digest(), "rows": [_plain(view) for view in found]},
                indent=2,
                ensure_ascii=False,
            )
            + "\n"
        )
    return _csv(found) if format == "csv" else _msprobe(found)


def write_pages(folder: Path) -> list[Path]:
    """Write the pages of the published verification into ``folder`` and return their paths.

    Raises:
        InputError: there is none, or it is of another registry.
    """
    content = _complete(read_document())
    for name in PAGES:
        write_atomic(folder / name, _written(name, content))
    return [folder / name for name in PAGES]


def stale(folder: Path) -> list[str]:
    """What of the verification and its pages in ``folder`` does not agree with the registry and the shipped lock
    file."""
    content = read_document()
    if content is None:
        return [f"{DOCUMENT.name} is missing"]
    problems = _differences(content)
    if problems:
        return problems  # the pages follow the verification
    written = {
        name: (folder / name).read_text(encoding="utf-8") if (folder / name).is_file() else None for name in PAGES
    }
    return [
        f"{name} is {'missing' if text is None else 'not what twinlora map docs writes'}"
        for name, text in written.items()
        if text != _written(name, content)
    ]


def _written(name: str, content: Mapping[str, Any]) -> str:
    """One of `PAGES`, in its language whichever the block's is."""
    language, page = PAGES[name]
    with speaking(language):
        return _page(page, content)


def _page(page: Any, content: Mapping[str, Any]) -> str:
    """Pages depend on what is in the repository only: not on the user's lock file."""
    return page(views(content=content, locks=[lock.SHIPPED]), content, list(lock.entries(lock.SHIPPED)))


def _complete(content: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if content is None:
        raise InputError(f"The pages are made from a verification of all rows; {DOCUMENT} is missing. Run: {MAKE}")
    if problems := _differences(content):
        raise InputError(
            f"The pages need a verification of the rows as they are; in {DOCUMENT} {'; '.join(problems)}. Run: {MAKE}"
        )
    return content


def _differences(content: Mapping[str, Any]) -> list[str]:
    """How the verification disagrees with the registry."""
    rows, measured = registry(), content["rows"]
    kinds = {
        "not verified": [name for name in rows if name not in measured],
        "changed since the verification": [
            name for name, row in rows.items() if name in measured and measured[name]["digest"] != row.digest()
        ],
        "verified, but no longer in the registry": [name for name in measured if name not in rows],
    }
    found = [
        f"{len(names)} rows are {kind} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
        for kind, names in kinds.items()
        if names
    ]
    if not found and content["registry"] != digest():
        found = [f"the registry's digest is {content['registry']}, of the present one {digest()}"]
    return found + (["the calls were compiled only (--mode graph)"] if content["mode"] == "graph" else [])


def _plain(view: View) -> dict[str, Any]:
    row = view.row
    head = {
        "torch": row.name,
        "section": row.section,
        "kind": row.kind,
        "verdict": view.verdict,
        "candidates": list(row.targets),
        "targets": dict(view.targets),
    }
    text = {
        "adaptation": row.adaptation,
        "note": row.note,
        "limits": dict(row.limits),
        "tolerance": "stochastic" if row.stochastic else row.tolerance,
    }
    return (
        head
        | text
        | {
            "cases": [str(case) for case in row.cases],
            "legacy": row.legacy,
            "legacy_verdict": view.legacy_verdict,
            "measured": view.measured,
        }
    )


def _csv(found: Sequence[View]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ("error", "torch_error", "gradient_error", "torch_gradient_error", "worst")
    writer.writerow(
        (
            "torch",
            "section",
            "kind",
            "target",
            "verdict",
            "adaptation",
            "note",
            "mint",
            "mint_verdict",
            "mint_why",
            "legacy",
            "legacy_verdict",
            "cases",
            *names,
        )
    )
    for view in found:
        row, measured = view.row, view.measured or {}
        head = (
            row.name,
            row.section,
            row.kind,
            view.target or "",
            view.verdict,
            view.adaptation,
            row.note,
            *wording.official(view),
            row.legacy,
            view.legacy_verdict,
        )
        writer.writerow((*head, len(row.cases), *(measured.get(name) for name in names)))
    return out.getvalue()


def _msprobe(found: Sequence[View]) -> str:
    """`ms_to_pt_api.yaml` as msprobe reads it: its names of the calls that are right as they are. Adapters are several
    calls and pair with none."""
    pairs: dict[str, str] = {}
    left_out = 0
    for view in sorted(found, key=_precedence):
        theirs = {"torch": "Torch", "torch.nn.functional": "Functional", "torch.Tensor": "Tensor"}.get(view.row.section)
        right = [
            name for target in view.row.targets if view.said(target) == "passed" and (name := _msprobe_name(target))
        ]
        if theirs is None or view.row.kind not in ("function", "method") or not right:
            left_out += 1
            continue
        for name in right:
            pairs.setdefault(name, f"{theirs}.{view.row.name.rpartition('.')[2]}")
    head = f"# MindSpore call: torch call, {len(pairs)} pairs that were run and found right.\n"
    return (
        head
        + f"# {left_out} rows have none: modules, optimizers, and what needs an adapter.\n"
        + "".join(f"{name}: {theirs}\n" for name, theirs in sorted(pairs.items()))
    )


def _precedence(view: View) -> int:
    """Where one call serves two of torch's names, msprobe's file can hold one: the one that models call."""
    if view.row.name in ("torch.nn.functional.tanh", "torch.nn.functional.sigmoid"):  # discouraged by torch itself
        return 2
    return 0 if view.row.section == "torch.nn.functional" else 1


def _msprobe_name(target: str) -> str | None:
    prefixes = {"mint.nn.functional.": "MintFunctional.", "mint.": "Mint.", "ops.": "Functional.", "Tensor.": "Tensor."}
    for prefix, theirs in prefixes.items():
        if target.startswith(prefix) and "." not in target.removeprefix(prefix):
            return theirs + target.removeprefix(prefix)
    return None

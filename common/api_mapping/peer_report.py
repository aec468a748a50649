"""`peer.json`: what became of the samples of torch's own test databases when all were last run, and how the pages say
it."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from common.api_mapping.peer import KINDS, KNOWN, Finding
from common.api_mapping.row import Row
from common.api_mapping.translation import said
from common.errors import InputError
from common.language import translated
from common.reading import read_json
from common.resources import package_folder

__all__ = ["FILE", "HEAD", "document", "known", "lines", "of_row", "read", "sentence", "title"]

FILE = package_folder("common.api_mapping") / "peer.json"
HEAD = ("samples of", *KINDS)
SUITES = {"operator": "operators", "error": "error inputs", "module": "modules", "optimizer": "optimizers"}
REASONS = 3  #: messages of one row that are kept


def document(
    findings: Sequence[Finding], rows: Mapping[str, Row], limit: int, before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The whole of a run as plain data.

    Args:
        findings: of all rows that have samples, or of all that have samples in some of the suites.
        rows: the registry.
        limit: samples of an operator and dtype that were run; 0 for all.
        before: the document that is continued where ``findings`` are of some suites; the others keep their counts and
            the day on which they were run.
    """
    suites: dict[str, Counter[str]] = {name: Counter() for name in SUITES.values()}
    counted: dict[str, Counter[str]] = {}
    for finding in findings:
        suites[_suite(finding, rows)][finding.kind] += 1
        counted.setdefault(finding.row, Counter())[finding.kind] += 1
    today = datetime.date.today().isoformat()
    found: dict[str, Any] = {
        "schema": 1,
        "versions": {package: metadata.version(package) for package in ("torch", "mindspore")},
        "date": today,
        "limit": limit,
        "suites": {name: {kind: kinds[kind] for kind in KINDS} for name, kinds in suites.items()},
        "dates": dict.fromkeys(suites, today),
        "rows": {name: {kind: kinds[kind] for kind in KINDS if kinds[kind]} for name, kinds in sorted(counted.items())},
        "refused": _reasons(findings),
        "left": [vars(finding) for finding in findings if finding.kind in ("different", "accepted")],
    }
    return found if before is None else _continued(found, before)


def _continued(found: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """``found`` with what an earlier document says of suites that were not run again.

    Raises:
        InputError: the earlier run had other versions or another limit, so that both are not one.
    """
    for name in ("versions", "limit"):
        if found[name] != before[name]:
            raise InputError(
                f"A run of some suites continues one of the same {name}; received {found[name]} after {before[name]}. "
                "Run all suites."
            )
    for name in [name for name, kinds in found["suites"].items() if not any(kinds.values())]:
        found["suites"][name] = before["suites"][name]
        found["dates"][name] = before.get("dates", {}).get(name, before["date"])
    kept = before["rows"].keys() - found["rows"].keys()
    found["left"] += [one for one in before["left"] if one["row"] in kept]
    for part in ("rows", "refused"):
        others = {name: value for name, value in before[part].items() if name in kept}
        found[part] = dict(sorted((others | found[part]).items()))
    return found


def _suite(finding: Finding, rows: Mapping[str, Row]) -> str:
    kind = rows[finding.row].kind
    return SUITES.get(kind, SUITES["error" if finding.sample.startswith("error") else "operator"])


def _reasons(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """The first messages of each row's refusals."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        if finding.kind == "refused":
            held = found.setdefault(finding.row, [])
            if finding.message not in held and len(held) < REASONS:
                held.append(finding.message)
    return dict(sorted(found.items()))


@cache
def read(path: Path = FILE) -> dict[str, Any] | None:
    """The last run; None where there is none.

    Raises:
        InputError: the file is not one that ``scripts/verify_peer.py --publish`` wrote.
    """
    if not path.is_file():
        return None
    return read_json(
        path, "samples of torch's tests", "Write it with: python scripts/verify_peer.py --publish", {"schema": int}
    )


def title() -> str:
    """Of the part of a page."""
    return translated("Samples of torch's own tests")


def sentence(content: Mapping[str, Any]) -> str:
    """Which samples were run."""
    much = (
        translated("at most {limit} of each operator and dtype", limit=content["limit"])
        if content["limit"]
        else translated("all")
    )
    dates = content.get("dates") or dict.fromkeys(content["suites"], content["date"])
    days = sorted(set(dates.values()))
    told = {day: translated(", ").join(said(name) for name, one in dates.items() if one == day) for day in days}
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    return translated(
        "Samples of the databases of torch's own tests (op_db, module_db and optim_db; {much}), with gradients, run on "
        "{date} on the CPU ({versions}). An error input counts as equal where both raise an error. Before every call, "
        "free memory is filled with a number of no meaning.",
        much=much,
        date=days[0] if len(days) == 1 else ", ".join(f"{day} ({names})" for day, names in told.items()),
        versions=versions,
    )


def lines(content: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One line of a table for each suite, as `HEAD`: counts, and the share of what was compared."""
    found = []
    for name, kinds in content["suites"].items():
        compared = sum(kinds.values()) - kinds["not compared"]
        shares = [
            f"{kinds[kind]:,}" + (f" ({kinds[kind] / compared:.1%})" if compared and kind != "not compared" else "")
            for kind in KINDS
        ]
        found.append((said(name), *shares))
    return found


def known() -> list[tuple[str, str]]:
    """(rows, why) of the differences that are not wrong."""
    return [(", ".join(one.rows), said(one.why)) for one in KNOWN]


def of_row(content: Mapping[str, Any] | None, name: str) -> list[str]:
    """What became of a row's samples, and why some were refused."""
    if content is None or name not in content["rows"]:
        return []
    counts = translated(", ").join(f"{count} {said(kind)}" for kind, count in content["rows"][name].items())
    return [
        translated("samples of torch's tests: {counts}", counts=counts),
        *(translated("refused: {why}", why=why) for why in content["refused"].get(name, ())),
    ]

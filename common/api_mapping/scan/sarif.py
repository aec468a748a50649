"""A report as SARIF 2.1.0, which code hosting sites show beside the lines:
https://docs.oasis-open.org/sarif/sarif/v2.1.0/."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from common import __version__
from common.api_mapping.scan.findings import CATEGORIES, Finding, Report

__all__ = ["sarif"]

_LEVELS = {
    "covered": "none",
    "needs adapting": "warning",
    "structure": "note",
    "unknown": "error",
    "unsupported": "error",
}
_IDENTIFIERS = {category: f"torch-{category.replace(' ', '-')}" for category in CATEGORIES}


def sarif(report: Report) -> dict[str, Any]:
    """One run; types and dtypes are left out."""
    rules = [
        {
            "id": _IDENTIFIERS[category],
            "name": "".join(word.capitalize() for word in category.split()),
            "shortDescription": {"text": f"torch call: {category}"},
            "fullDescription": {"text": f"{meaning[0].upper()}{meaning[1:]}."},
            "defaultConfiguration": {"level": _LEVELS[category]},
        }
        for category, meaning in CATEGORIES.items()
    ]
    run = {
        "tool": {
            "driver": {
                "name": "twinlora map scan",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": rules,
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(found) for found in report.findings if found.counted],
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": report.exit_code,
                "toolExecutionNotifications": [
                    *({"level": "error", "message": {"text": text}} for text in report.problems),
                    *({"level": "note", "message": {"text": text}} for text in report.notes),
                ],
            }
        ],
    }
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _result(found: Finding) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(found.file)}}
    location: dict[str, Any] = {"physicalLocation": physical}
    if found.cell is None:
        physical["region"] = {
            "startLine": found.line,
            "startColumn": found.column,
            "endLine": found.end_line,
            "endColumn": found.end_column,
        }
    else:  # a line of the cell is not a line of the file
        location["logicalLocations"] = [{"name": f"cell {found.cell}", "kind": "module"}]
    result: dict[str, Any] = {
        "ruleId": _IDENTIFIERS[found.category],
        "ruleIndex": list(CATEGORIES).index(found.category),
        "kind": "pass" if found.category == "covered" else "fail",
        "level": _LEVELS[found.category],
        "message": {"text": _message(found)},
        "locations": [location],
        "properties": {
            "torch": found.name,
            "target": found.target,
            "verdict": found.verdict,
            "byNameOnly": found.by_name_only,
            "guessed": found.guessed,
        },
    }
    if found.snippet:
        result["properties"]["snippet"] = found.snippet
    return result


def _message(found: Finding) -> str:
    where = f"cell {found.cell} line {found.line}: " if found.cell else ""
    target = f" -> {found.snippet or found.target}" if found.snippet or found.target else ""
    change = f" ({found.change})" if found.change else ""
    text = f"{where}{found.shown}: {found.category}, {found.verdict}{target}{change}"
    return text.replace("](", "] (")  # which would be a link


def _uri(file: str) -> str:
    return Path(file).as_uri() if Path(file).is_absolute() else quote(file)

#!/usr/bin/env python3
"""Write docs/reliability.json and the table of docs/reliability.md from what the fault scripts counted.

    python scripts/faults/table.py runs/faults/*.json
 Numbers are only read, never typed: to change the table, run the scripts again. Rows of the same fault and place are
replaced.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from laboratory import ROOT

from common.errors import InputError, run_script
from common.files import write_atomic, write_json
from common.reading import read_json, read_text

MARKERS = ("<!-- faults:begin -->", "<!-- faults:end -->")
_SHAPE = [{"fault": str, "where": str, "promise": str, "tried": int, "wrong": [dict], "notes": dict, "seconds": float}]
_SUMMED = {"mutated input": "readers", "kill -9 at chosen moments": "members"}  #: they have a line for their sum
_ADDED = ("kills", "exact", "differing", "lost")  #: of their notes
_WHAT = "the counts of a fault script"
_REMEDY = "Write it again with a script of scripts/faults."


def rows_of(files: list[Path], before: Path) -> list[dict[str, Any]]:
    """The rows of ``files``, and those of ``before`` that they do not replace."""
    found = {}
    for file in [*([before] if before.is_file() else []), *files]:
        for row in read_json(file, _WHAT, _REMEDY, _SHAPE):
            found[row["fault"], row["where"]] = row
    return list(found.values())


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| fault | where | trials | wrong | seconds | more |", "|---|---|---:|---:|---:|---|"]
    for row in rows:
        more = "; ".join(f"{name}: {value}" for name, value in row["notes"].items())
        numbers = f"{row['tried']:,} | {len(row['wrong'])} | {round(row['seconds']):,}"
        lines.append(f"| {row['fault']} | {row['where']} | {numbers} | {more} |")
    for fault, of in _SUMMED.items():
        summed = [row for row in rows if row["fault"] == fault]
        if summed:
            tried, wrong = sum(row["tried"] for row in summed), sum(len(row["wrong"]) for row in summed)
            names = [name for name in _ADDED if all(name in row["notes"] for row in summed)]
            more = "; ".join(f"{name}: {sum(row['notes'][name] for row in summed)}" for name in names)
            lines.append(f"| {fault} | all {len(summed)} {of} | {tried:,} | {wrong} | | {more} |")
    promises = dict.fromkeys((row["fault"], row["promise"]) for row in rows)
    kept = [f"- {fault}: {promise}." for fault, promise in promises]
    return "\n".join(lines) + "\n\nWhat must hold in a trial, or it counts as wrong:\n\n" + "\n".join(kept)


def with_table(document: str, rows: list[dict[str, Any]]) -> str:
    """``document`` with the table between the markers.

    Raises:
        InputError: it has no markers.
    """
    before, begin, rest = document.partition(MARKERS[0])
    _, end, after = rest.partition(MARKERS[1])
    if not begin or not end:
        raise InputError(f"The document must hold the markers {' and '.join(MARKERS)}. Put them back.")
    return f"{before}{MARKERS[0]}\n{table(rows)}\n{MARKERS[1]}{after}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    rows, page = rows_of(arguments.files, ROOT / "docs/reliability.json"), ROOT / "docs/reliability.md"
    write_atomic(page, with_table(read_text(page, "a document", "Restore it."), rows))
    write_json(ROOT / "docs/reliability.json", rows)


if __name__ == "__main__":
    run_script(main)

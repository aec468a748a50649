#!/usr/bin/env python3
"""Scan this repository's PyTorch backend and installed packages with `twinlora map scan`, and write docs/scan_coverage.md.

    python scripts/bench/scan_coverage.py
 Nothing is imported from the packages; a package that is not installed is left out, and the page says so. Verdicts are
the published ones.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections import Counter
from importlib import metadata
from pathlib import Path

from common.api_mapping.scan import Report, scan
from common.api_mapping.scan.calls import CALLS
from common.errors import run_script
from common.files import write_atomic

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    ("transformers", "models/bert/modeling_bert.py"),
    ("transformers", "models/gpt2/modeling_gpt2.py"),
    ("peft", "tuners/lora/layer.py"),
    ("loralib", "layers.py"),
)
HEADER = "| source | version | torch calls | verified row | structure | no verified row | of the calls that compute, verified | by name only |"
INTRODUCTION = """Written by scripts/bench/scan_coverage.py, which scans the sources with `twinlora map scan`: they are read, not run.

- torch calls: functions, constructors and methods that are called. Base classes, types and dtypes are not counted.
- verified row: the mapping has a row for it, and the row's verdict on this device is exact, rounding, adapted or stochastic.
  A method without a row of its own is looked up as the function: `x.abs()` as `torch.abs(x)`.
- structure: calls that compute nothing (`nn.Parameter`, `torch.no_grad`, `.to`): there is advice, and nothing that could be verified.
- of the calls that compute, verified: verified rows among the calls that are not structure.
- by name only: methods such as `x.view(...)` whose object's type the source does not tell. They are part of the other columns.

Not looked at: operators (`a @ b`, indexing), attributes of tensors (`x.T`), names that only exist at run time, and methods in files that do not import torch.
"""


def installed(package: str, file: str) -> Path | None:
    """A file of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return next((Path(place) / file for place in places if (Path(place) / file).is_file()), None)


def row(title: str, version: str, report: Report) -> str:
    """One line of the table."""
    calls = [found for found in report.findings if found.kind in CALLS]
    verified = sum(found.category in ("covered", "needs adapting") for found in calls)
    structure = sum(found.category == "structure" for found in calls)
    lacking = len(calls) - verified - structure
    share = f"{100 * verified / (verified + lacking):.1f} %" if verified + lacking else ""
    cells = (
        f"`{title}`",
        version,
        len(calls),
        verified,
        structure,
        lacking,
        share,
        sum(found.by_name_only for found in calls),
    )
    return f"| {' | '.join(map(str, cells))} |"


def unknown(title: str, report: Report) -> str:
    """The names without a verified row, the most used first."""
    names = Counter(
        found.name for found in report.findings if found.kind in CALLS and found.category in ("unknown", "unsupported")
    )
    listed = ", ".join(
        f"`{name}`{f' ({count})' if count > 1 else ''}"
        for name, count in sorted(names.items(), key=lambda item: (-item[1], item[0]))
    )
    return f"- `{title}`: {listed or 'none'}"


def page(scanned: list[tuple[str, str, Report]], absent: list[str]) -> str:
    """The whole page."""
    _, _, first = scanned[0]
    verified = f"verdicts of {first.date}" if first.date else "nothing was verified"
    where = f"Device: {first.device}; MindSpore {first.version or 'is not installed'}; {verified}."
    lines = [
        "# What the scanner finds in real code",
        "",
        INTRODUCTION,
        where,
        "",
        HEADER,
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [row(*one) for one in scanned]
    lines += ["", "## Called without a verified row", "", *(unknown(title, report) for title, _, report in scanned)]
    told = list(dict.fromkeys(text for _, _, report in scanned for text in (*report.problems, *report.notes)))
    told += [f"{title} is not installed and was left out." for title in absent]
    return "\n".join([*lines, *(["", *told] if told else [])]) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Scan and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verification", type=Path, help="default: the published one")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "scan_coverage.md")
    options = parser.parse_args(arguments)
    scanned, absent = (
        [("pytorch_impl", "this repository", scan([ROOT / "pytorch_impl"], results=options.verification))],
        [],
    )
    for package, file in SOURCES:
        path = installed(package, file)
        if path is None:
            absent.append(f"{package}/{file}")
        else:
            scanned.append(
                (
                    f"{package}/{file}",
                    f"{package} {metadata.version(package)}",
                    scan([path], results=options.verification),
                )
            )
    text = page(scanned, absent)
    write_atomic(options.output, text)
    print(text, end="")


if __name__ == "__main__":
    run_script(main)

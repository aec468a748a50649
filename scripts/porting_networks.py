#!/usr/bin/env python3
"""Convert and compare the networks of tests/mindspore/porting, write docs/porting.json, and the table of the pages.

python scripts/porting_networks.py                 # everything; an hour on one core, most of it compiling
python scripts/porting_networks.py lenet crf       # only these; the others keep their figures
python scripts/porting_networks.py --pages         # only the pages, from the figures
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from common.api_mapping.checking import check, to_json  # noqa: E402
from common.api_mapping.checking.inputs import arguments, draw_inputs  # noqa: E402
from common.api_mapping.convert import STYLES, convert  # noqa: E402
from common.errors import TwinloraError  # noqa: E402
from common.files import write_atomic, write_json  # noqa: E402
from tests.mindspore.porting.cases import CASES, Ported  # noqa: E402

FIGURES = ROOT / "docs/porting.json"
PAGES = {"en": ROOT / "docs/porting.md", "zh": ROOT / "docs/porting.zh-CN.md"}
BEGIN, END = "<!-- networks:begin -->", "<!-- networks:end -->"
HEADS = {
    "en": ("network", "class", "style", "converted", "left to do", "eager", "compiled", "largest difference"),
    "zh": ("网络", "类", "方式", "已转换", "待处理", "动态图", "静态图", "最大差异"),
}
WORDS = {
    "en": {"equal": "equal", "different": "**different**", "refused": "refused", "none": "not run"},
    "zh": {"equal": "一致", "different": "**不一致**", "refused": "报错", "none": "未运行"},
}


def main() -> int:
    """Run what was asked for, and write figures and pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="names of networks; default: all")
    parser.add_argument("--style", choices=STYLES, action="append", help="default: both")
    parser.add_argument("--missing", action="store_true", help="only what has no figures yet")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument("--pages", action="store_true", help="only write the pages")
    args = parser.parse_args()
    for case in () if args.pages else CASES:
        for style in args.style or STYLES:
            key = f"{case.file}.{case.name} {style}"
            if (not args.files or case.file in args.files) and not (args.missing and key in figures()):
                row = measure(case, style, not args.eager)
                found = {**figures(), key: row}
                print(key, verdict(row, "eager"), verdict(row, "compiled"), flush=True)
                write_json(FIGURES, {"versions": versions(), "date": f"{date.today()}", "networks": found})
    for language, page in PAGES.items():
        if page.exists():
            write_page(page, language, figures())
    return 0


def figures() -> dict[str, Any]:
    """What was measured so far, in the order of the networks."""
    found = json.loads(FIGURES.read_text(encoding="utf-8"))["networks"] if FIGURES.exists() else {}
    order = [f"{case.file}.{case.name} {style}" for case in CASES for style in STYLES]
    return {key: found[key] for key in order if key in found}


def measure(case: Ported, style: str, compiled: bool) -> dict[str, Any]:
    """One network in one style."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / f"{case.file}.py"
        [converted] = convert(case.path, output, style)
        row: dict[str, Any] = {"converted": converted.converted, "left": len(converted.todos), "comparisons": []}
        try:
            compared = check(
                case.path, output, case.name, arguments(case.init), draw_inputs(case.inputs), compiled=compiled
            )
            row["comparisons"] = to_json(compared)["comparisons"]
        except TwinloraError as error:
            row["problem"] = str(error)
        except Exception as error:  # of the converted source, which is then not equal
            row["problem"] = f"{type(error).__name__}: {error}"
    return row


def versions() -> dict[str, str]:
    """Of both frameworks."""
    return {name: metadata.version(name) for name in ("torch", "mindspore")}


def verdict(row: dict[str, Any], how: str) -> str:
    """equal, different, refused (an error instead of a result) or none."""
    rows = [item for item in row["comparisons"] if item["how"] == how]
    if not rows:
        return "refused" if row.get("problem") else "none"
    wrong = [item for item in rows if not item["equal"]]
    return "equal" if not wrong else "refused" if all(item["refused"] for item in wrong) else "different"


def largest(row: dict[str, Any]) -> str:
    """The largest difference of what was compared."""
    numbers = [item["error"] for item in row["comparisons"] if isinstance(item["error"], float)]
    return f"{max(numbers):.1e}" if numbers else ""


def write_page(page: Path, language: str, found: dict[str, Any]) -> None:
    """Put the table between its marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    write_atomic(page, f"{before}{BEGIN}\n{table(language, found)}\n{END}{rest.partition(END)[2]}")


def table(language: str, found: dict[str, Any]) -> str:
    """One row for each network and style, and the sums."""
    words = WORDS[language]
    lines = [f"| {' | '.join(HEADS[language])} |", "|---|---|---|--:|--:|---|---|--:|"]
    for key, row in found.items():
        network, style = key.split(" ")
        file, _, name = network.partition(".")
        cells = [f"`{file}`", f"`{name}`", style, row["converted"], row["left"]]
        cells += [words[verdict(row, "eager")], words[verdict(row, "compiled")], largest(row)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", *sums(language, found)])


def sums(language: str, found: dict[str, Any]) -> list[str]:
    """How many are equal, for each style."""
    lines = []
    for style in STYLES:
        rows = [row for key, row in found.items() if key.endswith(f" {style}")]
        if not rows:
            continue
        found_in = {how: [verdict(row, how) for row in rows] for how in ("eager", "compiled")}
        equal = {how: verdicts.count("equal") for how, verdicts in found_in.items()}
        run = len(rows) - found_in["compiled"].count("none")
        places = sum(row["converted"] for row in rows), sum(row["converted"] + row["left"] for row in rows)
        lines.append(
            f"- `{style}`: {equal['eager']} of {len(rows)} networks are equal in PyNative, and compiled {equal['compiled']} of {run}; "
            f"{places[0]} of {places[1]} places were converted."
            if language == "en"
            else f"- `{style}`：{len(rows)} 个网络中，动态图 {equal['eager']} 个一致，静态图 {run} 个中 {equal['compiled']} 个一致；"
            f"{places[1]} 处代码中转换了 {places[0]} 处。"
        )
    return lines


if __name__ == "__main__":
    raise SystemExit(main())

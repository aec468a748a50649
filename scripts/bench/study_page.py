#!/usr/bin/env python3
"""Write the measured parts of a study's page, docs/studies/NAME.md: the report's tables, and both backends side by side.

    twinlora study report runs/studies/emotion_minilm
    python scripts/bench/study_page.py runs/studies/emotion_minilm

Several study directories of one definition may be given; the report is that of the first, and NAME its name.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from performance import between

from common.errors import InputError, run_script
from common.files import write_atomic

PAGES = Path(__file__).resolve().parents[2] / "docs" / "studies"
Run = tuple[dict[str, Any], list[float]]  #: summary, and logged losses
_FIRST = 10  #: logged losses, of a hundred steps


def runs(folders: list[Path]) -> dict[str, dict[str, Run]]:
    """Finished runs of every point by backend."""
    found: dict[str, dict[str, Run]] = {}
    for file in sorted(file for folder in folders for file in folder.glob("runs/*/*/summary.json")):
        summary = json.loads(file.read_text(encoding="utf-8"))
        if summary["status"] in ("finished", "stopped_early"):
            events = map(json.loads, file.with_name("metrics.jsonl").read_text(encoding="utf-8").splitlines())
            losses = [event["loss"] for event in events if event["event"] == "step"]
            found.setdefault(point(summary["settings"]), {})[summary["backend"]] = (summary, losses)
    return found


def point(settings: dict[str, Any]) -> str:
    """What tells one point of the study from another."""
    given, rates = settings["adaptation"], settings["optimization"]
    targets = ", ".join(map(pattern, given.get("targets") or ()))
    method = {"lora": "LoRA", "full": "full fine-tuning"}.get(given["method"], given["method"])
    method += f" on {targets}" if targets else ""
    method += f", rank {given['rank']}" if "rank" in given else ""
    return f"{method}; rate {rates['learning_rate']:g}, decay {rates['weight_decay']:g}"


def pattern(target: Any) -> str:
    """Of a target, which some methods have options of."""
    return str(target["pattern"] if isinstance(target, dict) else target)


def table(found: dict[str, dict[str, Run]]) -> str:
    """Accuracies, and how far the losses of both backends part; of the points that both have run."""
    lines = [
        "| run | validation, PyTorch | MindSpore | test, PyTorch | MindSpore | largest relative difference of a loss, 100 steps | all steps |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, both in found.items():
        if len(both) == 2:
            (ours, first), (theirs, second) = both["pytorch"], both["mindspore"]
            parts = [abs(one - other) / abs(one) for one, other in zip(first, second, strict=True)]
            scores = [100 * run[split]["accuracy"] for split in ("validation", "test") for run in (ours, theirs)]
            shown = " | ".join(f"{score:.2f}" for score in scores)
            lines.append(f"| {name} | {shown} | {max(parts[:_FIRST]):.0e} | {max(parts):.0e} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY")
    parser.add_argument("--report", type=Path, metavar="FILE", help="default: report/report.md of the first")
    args = parser.parse_args()
    report = args.report or args.studies[0] / "report" / "report.md"
    if not report.is_file():
        raise InputError(f"{report} is missing. Run twinlora study report {args.studies[0]} first.")
    path = PAGES / f"{args.studies[0].name}.md"
    text = report.read_text(encoding="utf-8").partition("\n")[2].strip()
    page = between(path.read_text(encoding="utf-8"), "report", re.sub(r"(?m)^## ", "### ", text))
    write_atomic(path, between(page, "backends", table(runs(args.studies))))


if __name__ == "__main__":
    run_script(main)

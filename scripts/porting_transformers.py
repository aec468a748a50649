#!/usr/bin/env python3
"""Run transformers' model files in torch and through the surface, write docs/porting_transformers.json and the table.

python scripts/porting_transformers.py                 # all models; a quarter of an hour
python scripts/porting_transformers.py bert gpt2       # only these; the others keep their figures
python scripts/porting_transformers.py --pages         # only the pages, from the figures
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

from common.files import write_atomic, write_json  # noqa: E402
from tests.mindspore.porting.transformers_compared import compared, run_program  # noqa: E402
from tests.mindspore.porting.transformers_program import MODELS  # noqa: E402

FIGURES = ROOT / "docs/porting_transformers.json"
PAGES = {"en": ROOT / "docs/porting.md", "zh": ROOT / "docs/porting.zh-CN.md"}
BEGIN, END = "<!-- transformers:begin -->", "<!-- transformers:end -->"
COLUMNS = ("start", "logits", "gradients", "logits64", "gradients64", "compiled", "training")
HEADS = {
    "en": (
        "class",
        "start values",
        "logits",
        "gradients",
        "float64: logits",
        "gradients",
        "compiled",
        "50 LoRA losses",
    ),
    "zh": ("类", "初始值", "logits", "梯度", "float64 logits", "梯度", "静态图", "LoRA 50 步损失"),
}


def main() -> int:
    """Run what was asked for, and write figures and pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--steps", type=int, default=50, help="of the training")
    parser.add_argument("--pages", action="store_true", help="only write the pages")
    args = parser.parse_args()
    for name in () if args.pages else args.models:
        with tempfile.TemporaryDirectory() as folder:
            for framework in ("torch", "surface"):
                run_program(framework, Path(folder), "--models", name, "--steps", str(args.steps), "--compile")
            found = {**figures(), name: compared(Path(folder), name)}
        print(name, {part: f"{value:.1e}" for part, value in found[name].items()}, flush=True)
        write_json(FIGURES, {"versions": versions(), "date": f"{date.today()}", "steps": args.steps, "models": found})
    for language, page in PAGES.items():
        write_page(page, language)
    return 0


def figures() -> dict[str, Any]:
    """What was measured so far, in the order of the models."""
    found = json.loads(FIGURES.read_text(encoding="utf-8"))["models"] if FIGURES.exists() else {}
    return {name: found[name] for name in MODELS if name in found}


def versions() -> dict[str, str]:
    """Of the libraries that took part."""
    return {name: metadata.version(name) for name in ("torch", "mindspore", "transformers", "peft")}


def write_page(page: Path, language: str) -> None:
    """Put the table between its marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    write_atomic(page, f"{before}{BEGIN}\n{table(language)}\n{END}{rest.partition(END)[2]}")


def table(language: str) -> str:
    """One row for each model."""
    lines = [f"| {' | '.join(HEADS[language])} |", "|---|" + "--:|" * len(COLUMNS)]
    for name, found in figures().items():
        cells = [f"{found[part]:.1e}" if part in found else "" for part in COLUMNS]
        lines.append(f"| `{MODELS[name][0]}` | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())

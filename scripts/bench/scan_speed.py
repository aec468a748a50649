#!/usr/bin/env python3
"""Time `twinlora map scan` and `twinlora map convert` on this repository and installed packages, and write the tables of
docs/porting.md and docs/porting.zh-CN.md.

    python scripts/bench/scan_speed.py            # measures, keeps docs/scan_speed.json and writes the tables
    python scripts/bench/scan_speed.py --table    # writes the tables from what is kept

One process, seconds of the processor, after a scan of one file that loads the rows. A package that is not installed is
left out.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import time
import warnings
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from performance import between
from scan_coverage import installed

from common.api_mapping.convert.files import convert_text
from common.api_mapping.scan import scan
from common.api_mapping.scan.sources import decode, find
from common.errors import InputError, run_script
from common.files import write_atomic, write_json
from common.training.system import hardware

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "scan_speed.json"
PAGES = {
    ROOT
    / "docs"
    / "porting.md": "| sources | files | lines | uses of torch | seconds | files a second | of it parsing | "
    "converting, files a second |",
    ROOT
    / "docs"
    / "porting.zh-CN.md": "| 源码 | 文件 | 行 | torch 用法 | 秒 | 每秒文件数 | 其中语法解析 | 每秒转换文件数 |",
}
MODELS = ("bert", "gpt2", "llama", "t5", "vit", "roberta", "distilbert", "electra", "mistral", "qwen2")
CONVERTED = 100  #: at most so many files are converted


def folder(package: str, below: str = "") -> list[Path]:
    """A folder of an installed package; empty where it is absent."""
    start = installed(package, "__init__.py")
    return [start.parent / below] if start and (start.parent / below).is_dir() else []


def sources() -> dict[str, list[Path]]:
    """What is scanned, by the name in the table."""
    ten = [installed("transformers", f"models/{name}/modeling_{name}.py") for name in MODELS]
    found = {
        "twinlora": [ROOT / name for name in ("common", "pytorch_impl", "mindspore_impl", "tests")],
        "peft": folder("peft"),
        "sentence_transformers": folder("sentence_transformers"),
        "accelerate": folder("accelerate"),
        "torch/nn": folder("torch", "nn"),
        "transformers, ten model files": [path for path in ten if path],
        "transformers/models": folder("transformers", "models"),
    }
    return {name: paths for name, paths in found.items() if paths}


def seconds(work: Any, *given: Any) -> tuple[float, Any]:
    """Of the processor, and what ``work`` returned."""
    began = time.process_time()
    result = work(*given)
    return time.process_time() - began, result


def parse_all(texts: Iterable[str]) -> None:
    """What no scanner of syntax trees can do without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in texts:
            ast.parse(text)


def convert_all(texts: Iterable[str]) -> int:
    """How many of the texts were converted in the native style."""
    done = 0
    for text in texts:
        try:
            convert_text(text, "native")
        except InputError:
            continue
        done += 1
    return done


def measure(paths: list[Path]) -> dict[str, Any]:
    """One line of the table."""
    texts = [decode(path.read_bytes())[0] for path in find(paths)[0] if path.suffix == ".py"]
    parsing, _ = seconds(parse_all, texts)
    spent, report = seconds(scan, paths)
    row = {
        "files": len(report.files),
        "lines": sum(text.count("\n") for text in texts),
        "uses": len(report.findings),
        "seconds": spent,
        "parsing": parsing,
    }
    if len(texts) <= CONVERTED:
        row["convert_seconds"], row["converted"] = seconds(convert_all, texts)
    return row


def table(kept: dict[str, Any], header: str) -> str:
    """The table, and the machine."""
    lines = [header, "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for name, row in kept["results"].items():
        converted = f"{row['converted'] / row['convert_seconds']:.1f}" if row.get("convert_seconds") else ""
        cells = (
            name,
            f"{row['files']:,}",
            f"{row['lines']:,}",
            f"{row['uses']:,}",
            f"{row['seconds']:.1f}",
            f"{row['files'] / row['seconds']:.0f}",
            f"{100 * row['parsing'] / row['seconds']:.0f} %",
            converted,
        )
        lines.append(f"| {' | '.join(cells)} |")
    versions = ", ".join(f"{name} {version}" for name, version in kept["versions"].items())
    return "\n".join([*lines, "", f"{kept['hardware']['cpu']}; {versions}."])


def main(arguments: list[str] | None = None) -> None:
    """Measure, unless the tables alone are wanted, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only write the tables from docs/scan_speed.json")
    if not parser.parse_args(arguments).table:
        found = sources()
        scan([Path(__file__)])
        convert_text("import torch\n", "native")
        packages = ("torch", "transformers", "peft", "sentence_transformers", "accelerate", "libcst")
        write_json(
            KEPT,
            {
                "versions": {
                    "Python": platform.python_version(),
                    **{name: metadata.version(name) for name in packages if installed(name, "__init__.py")},
                },
                "hardware": {**hardware(None), "load_average": os.getloadavg()},
                "results": {name: measure(paths) for name, paths in found.items()},
            },
        )
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    for page, header in PAGES.items():
        write_atomic(page, between(page.read_text(encoding="utf-8"), "scan_speed", table(kept, header)))


if __name__ == "__main__":
    run_script(main)

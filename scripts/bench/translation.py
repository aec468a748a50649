#!/usr/bin/env python3
"""Encoder-decoders: letters to copy or reverse, and the tables of docs/studies/translation.md.

    python scripts/bench/translation.py data FOLDER                      FOLDER/copy and FOLDER/reverse
    python scripts/bench/translation.py texts RUN FILE [--num-beams N]   texts of the best state of a run, so far
    python scripts/bench/translation.py take NAME RUN [WAY=TEXTS ...]    keep a run's curve, and the scores of its texts
    python scripts/bench/translation.py page                             the tables, from docs/studies/translation.json

TEXTS are files of ``twinlora eval --outputs`` or ``twinlora generate --split``; WAY says how they were written, such as
greedy or beam-4. NAME is what the page calls the run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from performance import between

from common.data import load_tokenizer
from common.errors import InputError, run_script
from common.files import write_atomic, write_json
from common.generation import GenerationOptions
from common.generation.outputs import read_outputs, write_outputs
from common.generation.splits import generate_split, inputs_of
from common.methods import METHODS
from common.metrics.text.scoring import score_texts
from common.training.assembly import Trained, describe, load_engine
from common.training.rundir import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
PAGE, KEPT = (ROOT / "docs" / "studies" / f"translation.{kind}" for kind in ("md", "json"))
LETTERS = "abcdefghijklmnopqrst"
SHORTEST, LONGEST = 3, 10  #: letters of a sequence
COUNTS = {"train": 20_000, "validation": 500, "test": 1000}
METRICS = {"letters": "exact", "translation": "bleu"}
PERPLEXITY = 20.0  #: of the validation split, which runs are compared by the steps to


def sequences() -> Iterator[list[str]]:
    """Different sequences of letters, the same ones each time."""
    pick, seen = random.Random(0), set()
    while True:
        found = tuple(pick.choices(LETTERS, k=pick.randint(SHORTEST, LONGEST)))
        if found not in seen:
            seen.add(found)
            yield list(found)


def write_letters(folder: Path) -> None:
    """Splits of both tasks, of which no sequence is in two."""
    given = sequences()
    for split, count in COUNTS.items():
        drawn = [next(given) for _ in range(count)]
        for name, turned in (("copy", 1), ("reverse", -1)):
            lines = [{"source": " ".join(each), "target": " ".join(each[::turned])} for each in drawn]
            write_atomic(folder / name / f"{split}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def taken(run: Path, texts: dict[str, Path]) -> dict[str, Any]:
    """What is kept of a run."""
    summary_file = run / "summary.json"
    summary = json.loads(summary_file.read_text(encoding="utf-8")) if summary_file.is_file() else {}
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    curve = [event for event in events if event["event"] == "evaluation" and event["split"] == "validation"]
    scores = {}
    for way, file in texts.items():
        found = read_outputs(file)
        kind = "letters" if len(set(found.references[0][0].split()) - set(LETTERS)) == 0 else "translation"
        [scored] = score_texts([found.texts], found.references, [METRICS[kind]]).systems
        value = scored[METRICS[kind]]
        scores[way] = {"metric": METRICS[kind], "inputs": len(found.texts)}
        scores[way] |= {"value": value.value, "low": value.low, "high": value.high}
    return {
        "backend": run.resolve().name,
        "status": summary.get("status", "not finished"),
        "parameters": summary.get("model", {}).get("parameters"),
        "steps": steps[-1]["step"],
        "seconds": steps[-1]["seconds"],
        "cpu": summary.get("hardware", {}).get("cpu"),
        "curve": [[event["step"], event["epoch"], event["perplexity"], event["seconds"]] for event in curve],
        "scores": scores,
    }


def so_far(run: RunDirectory) -> Trained:
    """The best state of a run that may not have come to its end."""
    config = run.read_config()
    source = str(run.best(METHODS.get(config.adaptation.method).artifact))
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, source=source, config={}))
    tokenizer = load_tokenizer(str(run.tokenizer))
    spec, plan = describe(config, None, tokenizer)
    arrays = {name: spec.arrays[name] for name in plan.shapes()}
    return Trained(run, config, {"data": {"labels": None, "columns": []}}, tokenizer, spec, plan, arrays)


def write_texts(folder: Path, output: Path, beams: int) -> None:
    """A text for every input of the test split."""
    trained = so_far(RunDirectory(folder))
    options = GenerationOptions(num_beams=beams, **({"length_penalty": 0.6} if beams > 1 else {}))
    engine = load_engine(trained, folder.resolve().name)
    write_outputs(output, list(generate_split(trained, engine, inputs_of(trained, "test"), options)))


def keep(name: str, run: Path, given: list[str]) -> None:
    """Add a run to what is kept."""
    texts = dict(pair.partition("=")[::2] for pair in given)
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    kept[name] = taken(run, {way: Path(file) for way, file in texts.items()})
    write_json(KEPT, kept)


def letters_table(kept: dict[str, Any]) -> str:
    """Exact sequences, in percent."""
    lines = ["| network, task | backend | steps | inputs | exactly right, percent |", "|---|---|---:|---:|---:|"]
    for name, run in kept.items():
        for score in run["scores"].values():
            if score["metric"] == METRICS["letters"]:
                cells = [name, run["backend"], f"{run['steps']:,}", f"{score['inputs']:,}", f"{score['value']:.1f}"]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def bleu_table(kept: dict[str, Any]) -> str:
    """BLEU of every way of writing, with its interval."""
    lines = ["| network | backend | parameters | steps | epochs | validation perplexity | written | BLEU |"]
    lines.append("|---|---|---:|---:|---:|---:|---|---:|")
    for name, run in kept.items():
        for way, score in run["scores"].items():
            if score["metric"] == METRICS["translation"]:
                best = min(run["curve"], key=lambda point: point[2])
                value = f"{score['value']:.1f} ({score['low']:.1f} to {score['high']:.1f})"
                count = f"{run['parameters']:,}" if run["parameters"] else "-"
                cells = [name, run["backend"], count, f"{run['steps']:,}", f"{run['curve'][-1][1]:.1f}"]
                lines.append(f"| {' | '.join([*cells, f'{best[2]:.2f}', way, value])} |")
    return "\n".join(lines) if len(lines) > 2 else "No texts of a finished run are kept."


def curves_table(kept: dict[str, Any]) -> str:
    """Validation perplexity of the translation runs by step."""
    names = [name for name, run in kept.items() if not _of_letters(run)]
    parts = [
        f"{name} has not come to its end: {kept[name]['steps']:,} steps." for name in names if _goes_on(kept[name])
    ]
    steps = sorted({point[0] for name in names for point in kept[name]["curve"]})
    lines = [*parts, ""] if parts else []
    lines += [f"| step | {' | '.join(names)} |", f"|---:|{'---:|' * len(names)}"]
    for step in steps:
        values = {name: {point[0]: point[2] for point in kept[name]["curve"]}.get(step) for name in names}
        cells = (f"{values[name]:.2f}" if values[name] is not None else "" for name in names)
        lines.append(f"| {step:,} | {' | '.join(cells)} |")
    lines += ["", f"Steps to a validation perplexity below {PERPLEXITY:g}:", "", "| network | steps |", "|---|---:|"]
    for name in names:
        reached = next((point[0] for point in kept[name]["curve"] if point[2] < PERPLEXITY), None)
        lines.append(f"| {name} | {f'{reached:,}' if reached else 'not reached'} |")
    return "\n".join(lines)


def _goes_on(run: dict[str, Any]) -> bool:
    return run["status"] == "not finished"


def _of_letters(run: dict[str, Any]) -> bool:
    return any(score["metric"] == METRICS["letters"] for score in run["scores"].values())


def write_page() -> None:
    """Put the tables into the page."""
    if not KEPT.is_file():
        raise InputError(f"{KEPT} is missing. Keep a run first: translation.py take NAME RUN.")
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    for mark, make in (("letters", letters_table), ("bleu", bleu_table), ("curves", curves_table)):
        page = between(page, mark, make(kept))
    write_atomic(PAGE, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("data").add_argument("folder", type=Path)
    texts = commands.add_parser("texts")
    texts.add_argument("run", type=Path)
    texts.add_argument("file", type=Path)
    texts.add_argument("--num-beams", type=int, default=1)
    take = commands.add_parser("take")
    take.add_argument("name")
    take.add_argument("run", type=Path)
    take.add_argument("texts", nargs="*", metavar="WAY=TEXTS")
    commands.add_parser("page")
    args = parser.parse_args()
    if args.command == "data":
        write_letters(args.folder)
    elif args.command == "texts":
        write_texts(args.run, args.file, args.num_beams)
    elif args.command == "take":
        keep(args.name, args.run, args.texts)
    else:
        write_page()


if __name__ == "__main__":
    run_script(main)

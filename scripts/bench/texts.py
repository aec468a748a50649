#!/usr/bin/env python3
"""Adapting a small language model to data to text: its data, and the table of docs/generation.md.

    python scripts/bench/texts.py data DATA runs/facts      data of gpt2_facts, inputs and references of the test splits
    python scripts/bench/texts.py agreement RUN TEXTS       how far two backends agree: RUN holds the runs of both, TEXTS
                                                            pairs of files NAME.pytorch.jsonl and NAME.mindspore.jsonl
    python scripts/bench/texts.py page                      the tables, from docs/generation/*.json

The base model has seen WebNLG's facts with their texts, and E2E's texts without their facts: it knows what facts are
and how restaurants are described, and not the task that it is adapted to. DATA holds the folders webnlg2017 and e2e.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from performance import between

from common.data.formats import webnlg
from common.errors import InputError, run_script
from common.files import write_atomic, write_json

ROOT = Path(__file__).resolve().parents[2]
PAGE, FIGURES = ROOT / "docs" / "generation.md", ROOT / "docs" / "generation"
LONGEST = 560  #: characters of facts and text together; longer pairs are left out of the base model's data
SENTENCES = {"train": 12_000, "validation": 300}  #: of E2E's texts
NO_FACTS = "a place to eat"  #: what stands in the place of an E2E text's facts


def pairs(folder: Path, split: str) -> list[tuple[str, str]]:
    """WebNLG's facts and texts."""
    [table] = webnlg.read(folder)[split]
    return list(zip(table.columns["context"], table.columns["completion"], strict=True))


def rows(folder: Path, split: str) -> list[dict[str, str]]:
    """E2E's rows, ``mr`` and ``ref``."""
    name = {"train": "trainset", "validation": "devset", "test": "testset_w_refs"}[split]
    with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_lines(path: Path, objects: Iterable[Any]) -> None:
    """One object a line."""
    write_atomic(path, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects))


def base_data(data: Path, output: Path) -> None:
    """``train.jsonl`` and ``validation.jsonl`` of the base model."""
    pick = random.Random(0)
    for split, count in SENTENCES.items():
        texts = sorted({row["ref"].strip() for row in rows(data / "e2e", split)})
        pick.shuffle(texts)
        found = [(facts, text) for facts, text in pairs(data / "webnlg2017", split) if len(facts) + len(text) < LONGEST]
        if split == "validation":
            found = pick.sample(found, count)
        found += [(NO_FACTS, text) for text in texts[:count]]
        pick.shuffle(found)
        write_lines(output / f"{split}.jsonl", ({"facts": facts, "text": text} for facts, text in found))


def test_data(data: Path, output: Path) -> None:
    """Inputs and references of E2E's test split and of WebNLG's, seen and unseen."""
    splits = {"e2e": [(row["mr"], row["ref"]) for row in rows(data / "e2e", "test")]}
    splits |= {split: pairs(data / "webnlg2017", split) for split in ("test_seen", "test_unseen")}
    for name, found in splits.items():
        references: dict[str, list[str]] = {}
        for facts, text in found:
            references.setdefault(facts, []).append(text)
        write_lines(output / f"{name}.prompts.jsonl", ({"prompt": facts} for facts in references))
        write_lines(output / f"{name}.references.jsonl", ({"references": each} for each in references.values()))


def table(found: dict[str, Any]) -> list[str]:
    """Each system's metrics with their intervals."""
    metrics = sorted(found["systems"][0]["metrics"])
    lines = [f"| {found['title']} | " + " | ".join(metrics) + " |", "|---|" + "---:|" * len(metrics)]
    for system in found["systems"]:
        digits = {name: 1 if "nist" not in name and "cider" not in name else 2 for name in metrics}
        cells = [
            "{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})".format(
                **system["metrics"][name], digits=digits[name]
            )
            for name in metrics
        ]
        lines.append(f"| {Path(system['outputs']).stem} | " + " | ".join(cells) + " |")
    return [*lines, "", f"{found['examples']:,} inputs; 95 % intervals over inputs."]


def rendered(file: Path) -> list[str]:
    """The table of a file of figures."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return table(found) if "systems" in found else agreed(found)


def agreement(run: Path, texts: Path) -> dict[str, Any]:
    """The largest relative difference of the losses of both backends' runs, and how many texts are the same."""

    def lines(path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    losses = [
        [line["loss"] for line in lines(run / backend / "metrics.jsonl") if line["event"] == "step"]
        for backend in ("pytorch", "mindspore")
    ]
    same = {}
    for file in sorted(texts.glob("*.pytorch.jsonl")):
        name = file.name.removesuffix(".pytorch.jsonl")
        both = zip(lines(file), lines(file.with_name(f"{name}.mindspore.jsonl")), strict=True)
        equal = [ours["prompt"] == theirs["prompt"] and ours["text"] == theirs["text"] for ours, theirs in both]
        same[name] = {"texts": len(equal), "equal": sum(equal)}
    worst = max(abs(ours - theirs) / abs(ours) for ours, theirs in zip(*losses, strict=True))
    return {"steps": len(losses[0]), "largest_difference": worst, "texts": same}


def agreed(found: dict[str, Any]) -> list[str]:
    """What `agreement` found."""
    lines = [
        f"Losses of LoRA on E2E in both backends, {found['steps']} steps: they differ by {found['largest_difference']:.1e} "
        "of the loss at most.",
        "",
        "| texts written by PyTorch and by MindSpore | inputs | the same text |",
        "|---|---:|---:|",
    ]
    return lines + [f"| {name} | {each['texts']:,} | {each['equal']:,} |" for name, each in found["texts"].items()]


def main(arguments: list[str] | None = None) -> None:
    """Write data or the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["data", "agreement", "page"])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("output", nargs="?", type=Path)
    args = parser.parse_args(arguments)
    if args.what == "page":
        text = "\n\n".join("\n".join(rendered(file)) for file in sorted(FIGURES.glob("*.json")))
        write_atomic(PAGE, between(PAGE.read_text(encoding="utf-8"), "texts", text))
        return
    if args.data is None or args.output is None:
        raise InputError("Two folders are needed: that of the data sets, and that of what is written.")
    if args.what == "agreement":
        write_json(FIGURES / "agreement.json", agreement(args.data, args.output))
        return
    args.output.mkdir(parents=True, exist_ok=True)
    base_data(args.data, args.output)
    test_data(args.data, args.output)


if __name__ == "__main__":
    run_script(main)

#!/usr/bin/env python3
"""Writes the memory tables of docs/studies/emotion.md and docs/studies/emotion_memory.json.

    python scripts/studies/emotion_memory.py             # account again (needs torch, transformers and PEFT), then write
    python scripts/studies/emotion_memory.py --render    # write the tables of the JSON file again

Nothing is trained and no weight exists: see `common.memory`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common import backend as backends
from common.config import load_config
from common.errors import run_script
from common.files import write_atomic, write_json
from common.memory import take
from common.memory.account import PARTS
from common.memory.peer import of_peft

_DOCS = Path(__file__).resolve().parents[2] / "docs/studies"
ACCOUNTS, MEASURED, PAGE = _DOCS / "emotion_memory.json", _DOCS / "measured_memory.json", _DOCS / "emotion.md"
GIB = 2**30
_BERT = ("model.source=null", "model.tokenizer=bpe:30522", "model.dropout=0.1",
         'model.config={"model_type": "bert", "vocab_size": 30522}')  # fmt: skip
_LORA = ("adaptation.rank=8", "adaptation.alpha=16")
_DENSE = "adaptation.targets=['*.query', '*.key', '*.value', '*.dense']"
CASES = {
    "full fine-tuning": ('adaptation={"method": "full"}',),
    "LoRA query, value; dropout 0.1": (*_LORA, "adaptation.dropout=0.1"),
    "LoRA query, key, value; dropout 0.1": (
        *_LORA,
        "adaptation.targets=['*.query', '*.key', '*.value']",
        "adaptation.dropout=0.1",
    ),
    "LoRA all linear; dropout 0.1": (*_LORA, _DENSE, "adaptation.dropout=0.1"),
    "LoRA all linear; dropout 0": (*_LORA, _DENSE, "adaptation.dropout=0"),
}
PUBLISHED = {  #: GB as the study prints them, by the memory of a T4
    "full fine-tuning": 13.4,
    "LoRA query, value; dropout 0.1": 11.208,
    "LoRA all linear; dropout 0.1": 13.958,
}
REMEDIES = {
    "as it is": (16, 512, ()),
    "adapters without dropout": (16, 512, ("adaptation.dropout=0",)),
    "query and value alone": (16, 512, ("adaptation.targets=['*.query', '*.value']",)),
    "bf16": (16, 512, ("training.dtype=bf16",)),
    "recomputing layers": (16, 512, ("training.recompute=true",)),
    "batches padded to 48 tokens": (16, 48, ()),
}  #: of LoRA on all linear layers with dropout 0.1: rows, tokens, settings
_ROWS, _LENGTH = 16, 512


def experiment(*overrides: str) -> Any:
    """BERT-base for the six classes of Emotion."""
    return load_config("bert_emotion", [*_BERT, *overrides], "emotion")


def account() -> dict[str, Any]:
    """Every account of the page."""
    pytorch, mindspore = backends.load("pytorch"), backends.load("mindspore")
    ways = {
        "peft": lambda config: of_peft(config, _ROWS, _LENGTH),
        "pytorch": lambda config: take(pytorch, config, _ROWS, _LENGTH),
        "mindspore": lambda config: take(mindspore, config, _ROWS, _LENGTH),
    }
    cases = {
        name: {way: of(experiment(*overrides)).plain() for way, of in ways.items()} for name, overrides in CASES.items()
    }
    base = CASES["LoRA all linear; dropout 0.1"]
    remedies = {
        name: {
            "pytorch": take(pytorch, experiment(*base, *more), rows, length).plain(),
            "peft": None
            if any(entry.startswith("training") for entry in more)
            else of_peft(experiment(*base, *more), rows, length).plain(),
        }
        for name, (rows, length, more) in REMEDIES.items()
    }
    return {"rows": _ROWS, "length": _LENGTH, "published_gb": PUBLISHED, "cases": cases, "remedies": remedies}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def gib(count: int | None) -> str:
    """Two digits, or a dash."""
    return "-" if count is None else f"{count / GIB:.2f}"


def answer(found: dict[str, Any]) -> str:
    """Activations and the rest, for transformers with PEFT, beside the published figures."""
    rows = []
    for name, ways in found["cases"].items():
        one = ways["peft"]
        rest = one["total"] - one["activations"]
        published = found["published_gb"].get(name)
        rows.append(
            [
                name,
                gib(one["activations"]),
                gib(rest),
                f"**{gib(one['total'])}**",
                "-" if published is None else f"{published:.1f}",
            ]
        )
    return table(["transformers + PEFT, GiB", "activations", "weights, gradients, Adam", "sum", "published, GB"], rows)


def components(found: dict[str, Any]) -> str:
    """Activations by component, for transformers with PEFT."""
    names = list(next(iter(found["cases"].values()))["pytorch"]["components"])
    names += [n for ways in found["cases"].values() for n in ways["peft"]["components"] if n not in names]
    names = [
        name
        for name in ("embeddings", "attention", "feed-forward", "norms", "adapters", "head and loss")
        if name in names
    ]
    rows = []
    for name, ways in found["cases"].items():
        parts = ways["peft"]["components"]
        rows.append([name, *(gib(parts.get(part, {}).get("activations", 0)) for part in names)])
    return table(["activations, GiB", *names], rows)


def ours(found: dict[str, Any]) -> str:
    """The sums of every implementation."""
    rows = []
    for name, ways in found["cases"].items():
        peft, pytorch = ways["peft"]["total"], ways["pytorch"]["total"]
        rows.append([name, gib(peft), gib(pytorch), f"{pytorch / peft:.2f}", gib(ways["mindspore"]["total"])])
    return table(
        ["sum, GiB", "transformers + PEFT", "twinlora, PyTorch", "relative", "twinlora, MindSpore (formula)"], rows
    )


def remedies(found: dict[str, Any]) -> str:
    """What lowers the sum of LoRA on all linear layers."""
    rows = []
    for name, ways in found["remedies"].items():
        rows.append([name, gib(ways["peft"] and ways["peft"]["total"]), gib(ways["pytorch"]["total"])])
    return table(["LoRA on all linear layers, dropout 0.1; GiB", "transformers + PEFT", "twinlora, PyTorch"], rows)


def measured(found: dict[str, Any]) -> str:
    """Growth of the account with the depth, and of the process."""
    rows = [
        [
            f"{row['backend']}, {row['case']}",
            f"{row['account'] / 2**20:.0f}",
            f"{row['measured'] / 2**20:.0f}",
            f"{row['ratio']:.2f}",
        ]
        for row in found["rows"]
    ]
    small, large = found["depths"]
    head = f"MiniLM's width, {small} to {large} layers, {found['batch']} x {found['length']} tokens; MiB"
    return table([head, "account", "process", "process / account"], rows)


def render(text: str, found: dict[str, Any], processes: dict[str, Any]) -> str:
    """``text`` with its tables written again between their marks."""
    parts = {
        "answer": answer(found),
        "components": components(found),
        "ours": ours(found),
        "remedies": remedies(found),
        "measured": measured(processes),
    }
    for name, content in parts.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Account, unless the tables alone are to be written, and write."""
    if "--render" not in sys.argv[1:]:
        found = account()
        assert all(set(PARTS) <= set(one) for ways in found["cases"].values() for one in ways.values())
        write_json(ACCOUNTS, found)
    found, processes = (json.loads(path.read_text(encoding="utf-8")) for path in (ACCOUNTS, MEASURED))
    write_atomic(PAGE, render(PAGE.read_text(encoding="utf-8"), found, processes))


if __name__ == "__main__":
    run_script(main)

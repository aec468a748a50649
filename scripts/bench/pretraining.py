"""Measures pre-training objectives with small encoders: curves, what sharing and position terms are worth, fine-tuning.

    python scripts/bench/pretraining.py --data DATA                 # DATA holds wikitext2, sst2 and cola
    python scripts/bench/pretraining.py --data DATA --agreement --backend mindspore   # and pytorch: some steps of the first
    python scripts/bench/pretraining.py --data DATA --smoke         # a few steps of everything, written nowhere
    python scripts/bench/pretraining.py --only-page                 # docs/studies/pretraining.md from docs/pretraining.json

Every run has one encoder (4 layers), one tokenizer (WordPiece, trained on WikiText-2), one schedule and one seed, and is
scored before its first step and every tenth of its steps. Finished runs are kept in --work and not repeated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common.backend import IGNORE
from common.config import load_config
from common.data import evaluation_batches
from common.errors import run_script
from common.files import write_json
from common.training.assembly import encode_split, prepare
from common.training.run import train
from common.training.rundir import RunDirectory
from common.training.runlog import read_log

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "pretraining.json"
MASKED = "model.task_options={packing: full_sentences, documents: headings%s}"
RELATIVE = (
    "model_type: deberta-v2, type_vocab_size: 0, relative_attention: true, position_biased_input: false, "
    "share_att_key: true, norm_rel_ebd: layer_norm, position_buckets: 32"
)
#: name to the shipped experiment it begins from, what is changed of it, and changes of the network
PRETRAININGS: dict[str, tuple[str, str, str]] = {
    "masked, dynamic": ("roberta_mlm_small", MASKED % "", ""),
    "masked, static": ("roberta_mlm_small", MASKED % ", dynamic: false", ""),
    "masked, ten masks": ("roberta_mlm_small", MASKED % ", dynamic: false, duplicates: 10", ""),
    "masked and pairs": ("bert_pretraining_small", "model.task_options={documents: headings}", ""),
    **{
        f"replaced, {sharing}": (
            "electra_rtd_small",
            MASKED % f", embeddings: {sharing}",
            "",
        )
        for sharing in ("none", "shared", "gradient-disentangled")
    },
    "DeBERTa": ("roberta_mlm_small", MASKED % "", f"{RELATIVE}, pos_att_type: [c2p, p2c], enhanced_mask_decoder: true"),
    "DeBERTa - EMD": ("roberta_mlm_small", MASKED % "", f"{RELATIVE}, pos_att_type: [c2p, p2c]"),
    "DeBERTa - C2P": (
        "roberta_mlm_small",
        MASKED % "",
        f"{RELATIVE}, pos_att_type: [p2c], enhanced_mask_decoder: true",
    ),
    "DeBERTa - P2C": (
        "roberta_mlm_small",
        MASKED % "",
        f"{RELATIVE}, pos_att_type: [c2p], enhanced_mask_decoder: true",
    ),
}
FINE = ("masked, dynamic", "masked and pairs", "replaced, gradient-disentangled", "DeBERTa")  #: what is fine-tuned
#: what the same fine-tuning begins from without pre-training, and its network
SCRATCH = {"from scratch": "model_type: bert", "DeBERTa from scratch": PRETRAININGS["DeBERTa"][2]}
TASKS = {"sst2": ("bert_sst2", "accuracy"), "cola": ("bert_cola", "matthews_correlation")}


def pretrained(name: str, arguments: argparse.Namespace) -> RunDirectory:
    """A finished run of `PRETRAININGS`, which is made where it is not there."""
    shipped, options, network = PRETRAININGS[name]
    sizes = _network(arguments, network or "model_type: bert")
    steps = arguments.ablation_steps if network else arguments.steps
    return _trained(
        shipped,
        name,
        arguments,
        f"data.directory={json.dumps(str((arguments.data / 'wikitext2').resolve()))}",
        f"model.tokenizer=wordpiece:{arguments.vocabulary}",
        f"model.config={sizes}",
        options,
        f"optimization.learning_rate={arguments.rate}",
        "optimization.beta2=0.98",
        f"training.global_batch_size={arguments.batch}",
        f"training.max_steps={steps}",
        f"training.epochs={steps}",
        "training.evaluate_every_epochs=null",
        f"training.evaluate_every_steps={max(1, steps // 10)}",
        "data.length_multiple=128",  # one shape of batches, so that few graphs are compiled
        f"data.max_examples={{train: {arguments.lines}, validation: {arguments.lines // 10}, test: 100}}",
    )


def _network(arguments: argparse.Namespace, entries: str) -> str:
    width = arguments.width
    return (
        f"{{{entries}, num_hidden_layers: {arguments.layers}, hidden_size: {width}, num_attention_heads: {width // 64}, "
        f"intermediate_size: {4 * width}, max_position_embeddings: 128}}"
    )


def _trained(shipped: str, name: str, arguments: argparse.Namespace, *changes: str) -> RunDirectory:
    folder = "".join(letter if letter.isalnum() else "-" for letter in name)
    run = RunDirectory(arguments.work / folder / arguments.backend)
    if not (run.path.exists() and run.complete()):
        print(name, flush=True)
        train(load_config(shipped, changes, folder), arguments.backend, "cpu", arguments.work, resume=True)
    return run


def baseline(run: RunDirectory) -> dict[str, float]:
    """What is reached without reading the text: the most frequent token of the training split at every hidden place of the
    validation split, and the perplexity of the frequencies (each plus one)."""
    inputs = prepare(run.read_config())
    counts = np.bincount(_originals(inputs, "train"), minlength=len(inputs.tokenizer)) + 1.0
    split = encode_split(inputs, "validation")
    batches = evaluation_batches(split, 256, 128)
    targets = np.concatenate([batch["labels"][batch["labels"] != IGNORE] for _, batch in batches])
    shares = counts / counts.sum()
    return {
        "accuracy": float((targets == counts.argmax()).mean()),
        "perplexity": float(np.exp(-np.log(shares[targets]).mean())),
    }


def _originals(inputs: Any, split: str) -> np.ndarray:
    columns = encode_split(inputs, split).columns
    return columns["input_ids"].values[columns["words"].values >= 0]


def fine_tuned(task: str, start: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One fine-tuning of everything, from a run of `PRETRAININGS` or from random weights with the same tokenizer."""
    shipped, metric = TASKS[task]
    source = pretrained(FINE[0] if start in SCRATCH else start, arguments).path / "model"
    model = [f"model.source={json.dumps(str(source.resolve()))}"]
    if start in SCRATCH:
        model = [
            "model.source=null",
            f"model.tokenizer={json.dumps(str(source.resolve()))}",
            f"model.config={_network(arguments, SCRATCH[start])}",
            "model.dropout=0.1",
        ]
    steps = [f"training.max_steps={arguments.fine_steps}"] if arguments.fine_steps else []
    run = _trained(
        shipped,
        f"{task} {start} {seed}",
        arguments,
        *model,
        *steps,
        f"seed={seed}",
        f"data.directory={json.dumps(str((arguments.data / task).resolve()))}",
        f"data.max_examples={{train: {arguments.examples}, test: 32}}",
        "data.max_length=64",
        "data.length_multiple=64",
        "adaptation={method: full}",
        "optimization.learning_rate=2.0e-4",
        "optimization.head_learning_rate=null",
        "training.global_batch_size=32",
        "training.epochs=3",
        f"training.metric={metric}",
    )
    summary = run.read_summary()
    scored = {"score": summary["validation"][metric], "scored": summary["data"]["sizes"]["validation"]}
    return {"task": task, "start": start, "seed": seed, "metric": metric, **scored}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything, ready for JSON."""
    fine = [] if arguments.only else list(_fine(arguments))
    runs = {name: pretrained(name, arguments) for name in arguments.only or PRETRAININGS}
    summary = next(iter(runs.values())).read_summary()
    return {
        "settings": {
            key: getattr(arguments, key)
            for key in (
                "lines",
                "steps",
                "ablation_steps",
                "batch",
                "layers",
                "width",
                "vocabulary",
                "rate",
                "examples",
            )
        },
        "versions": summary["versions"],
        "hardware": summary["hardware"],
        "baseline": baseline(pretrained(FINE[0], arguments)),
        "curves": {name: _curve(run) for name, run in runs.items()},
        "fine": fine,
    }


def _fine(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for task in TASKS:
        for start in (*SCRATCH, *FINE):
            for seed in range(arguments.seeds):
                yield fine_tuned(task, start, seed, arguments)


def _curve(run: RunDirectory) -> dict[str, Any]:
    kept = ("step", "loss", "perplexity", "accuracy", "auc", "next_accuracy", "generator_loss", "generator_accuracy")
    events = read_log(run.metrics, "evaluation")
    points = [{key: event[key] for key in kept if key in event} for event in events]
    summary = run.read_summary()
    return {
        "points": points,
        "seconds_per_step": summary["seconds_per_step"],
        "parameters": summary["model"]["parameters"],
    }


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs/pretraining"), help="runs are kept and reused here")
    parser.add_argument("--backend", default="pytorch", choices=("pytorch", "mindspore"))
    parser.add_argument(
        "--lines", type=int, default=12000, help="of WikiText-2's training split; a tenth of it is scored"
    )
    parser.add_argument("--steps", type=int, default=2000, help="of a batch of examples of 128 tokens")
    parser.add_argument("--ablation-steps", type=int, default=1000, help="of DeBERTa and of it without a part")
    parser.add_argument("--batch", type=int, default=16, help="examples")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of every pre-training")
    parser.add_argument("--examples", type=int, default=8000, help="of a fine-tuning")
    parser.add_argument("--seeds", type=int, default=1, help="of every fine-tuning")
    parser.add_argument("--only", action="append", choices=PRETRAININGS, help="one pre-training; may be repeated")
    parser.add_argument(
        "--agreement", action="store_true", help="400 steps of the first one alone, to compare backends"
    )
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, and no results")
    parser.add_argument("--only-page", action="store_true", help="write the page from the results that are there")
    arguments = parser.parse_args()
    arguments.fine_steps = None
    if arguments.smoke:
        small = {
            "steps": 4,
            "ablation_steps": 4,
            "layers": 2,
            "width": 64,
            "vocabulary": 500,
            "lines": 600,
            "examples": 64,
            "fine_steps": 2,
        }
        vars(arguments).update(small, work=arguments.work / "smoke")
        print(json.dumps(measure(arguments)["curves"], indent=1)[:2000])
        return
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    if not arguments.only_page:
        if arguments.agreement:
            few = {"steps": 400, "only": FINE[:1], "work": arguments.work / "agreement"}
            vars(arguments).update(few)
            kept.setdefault("agreement", {})[arguments.backend] = measure(arguments)
        else:
            kept["all"] = measure(arguments)
        write_json(RESULTS, kept)
    if "all" in kept:
        from pretraining_page import write_page

        write_page(kept)


if __name__ == "__main__":
    run_script(main)

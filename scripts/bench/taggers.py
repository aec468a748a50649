#!/usr/bin/env python3
"""Train taggers with and without characters and a chain; keep what came out in docs/studies/taggers.json and write
docs/studies/taggers.md.

    python scripts/bench/taggers.py --train DATA [JOB ...] [--backend mindspore] [--runs RUNS]
    python scripts/bench/taggers.py --take [--runs RUNS]
    python scripts/bench/taggers.py

DATA is a folder with wnut17, ud_pos and glove/*.txt. A job that has been trained is left out. --take reads the summaries
of RUNS (default: runs/taggers); without it the page is made of what is kept.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from trainings import BACKENDS, Jobs, Seeded, Trainings, essence, every_seed, losses_of, seeds_of

from common.errors import run_script

SEEDS = (1, 2, 3)
_SPANS, _TAGS = "bilstm_cnn_crf_wnut17", "bilstm_cnn_ud_pos"
_VECTORS = ("model.vectors={glove}", "model.vectors_vocabulary=true", "model.config.word_size=25")
_OF_SPANS = (*_VECTORS, "training.epochs=4")
_OF_TAGS = (
    *(*_VECTORS, "model.tokenizer=tokens-lowered:5000"),
    *("optimization.learning_rate=1.0e-2", "training.epochs=3"),
)
_SINGLE = ("model.task=token-classification", "model.task_options={scheme: bioes}")
_WORDS = ("model.config.character_filters=0",)
_SEEDED: Seeded = {
    "spans_chain": (_SPANS, "wnut17", _OF_SPANS, SEEDS),
    "spans_characters": (_SPANS, "wnut17", (*_OF_SPANS, *_SINGLE), SEEDS),
    "spans_words": (_SPANS, "wnut17", (*_OF_SPANS, *_SINGLE, *_WORDS), SEEDS),
    "tags_chain": (_TAGS, "ud_pos", (*_OF_TAGS, "model.task=crf-tagging"), SEEDS),
    "tags_characters": (_TAGS, "ud_pos", _OF_TAGS, SEEDS),
    "tags_words": (_TAGS, "ud_pos", (*_OF_TAGS, *_WORDS), SEEDS),
}
_FIRST = (*_VECTORS[::2], "optimization.learning_rate=3.0e-3", "training.epochs=6")
#: The runs by which two settings were chosen: what is known of words, and the learning rate.
_CHOICES: dict[str, tuple[str, tuple[str, ...]]] = {
    "choice_training": (
        "the 6,000 most frequent of the training split, as written",
        (*_FIRST, "model.tokenizer=tokens:6000"),
    ),
    "choice_file": (
        "5,000 of the training split in lower case, and those of the file of vectors",
        (*_FIRST, _VECTORS[1]),
    ),
    "choice_rate": ("the same", (*_VECTORS, "training.epochs=5")),
}
JOBS: Jobs = every_seed(_SEEDED) | {name: (_SPANS, "wnut17", changes) for name, (_, changes) in _CHOICES.items()}
_FIRST_STEPS = 50
NETWORKS = {"words": "BiLSTM", "characters": "BiLSTM-CNN", "chain": "BiLSTM-CNN-CRF"}
_TEXT = """\
# Taggers

The network of Ma and Hovy (2016), [BiLSTM-CNN-CRF](../networks.md#bilstm-cnn-crf), beside the same network with a softmax for
every word in the place of the chain, and without characters too. Scores in percent, of the state with the best validation
score; the changes of each row and this page are made by [`scripts/bench/taggers.py`](../../scripts/bench/taggers.py) from
[taggers.json](taggers.json).

All start from the same word vectors (Twitter's GloVe, 25 dimensions, 11,925 words), which are trained on. Words are looked up
in lower case, and every word of that file is known, also those that the training split lacks
(`model.vectors_vocabulary`): capitals reach the network through its characters alone.

## Spans
WNUT-17, named entities in noisy text: F1 of spans, which are learned as BIOES. {spans_budget}

{spans}

{agreement}

{spans_notes}

## Parts of speech
Universal Dependencies, English-LinES, accuracy of words. {tags_budget}

{tags}

{tags_notes}

## Beside the source
| network | its data | published | ours |
|---|---|--:|--:|
| BiLSTM-CNN-CRF | CoNLL-2003, F1 of spans | 91.21 | {spans_best} (WNUT-17) |
| BiLSTM-CNN-CRF | Penn Treebank (WSJ), accuracy | 97.55 | {tags_best} (English-LinES) |

{order}

{source_notes}
"""

_SPANS_NOTES = """\
The chain decodes with `constrained: true`. Two settings decide the level, and were chosen by the validation split with one run
each, before any of the runs above:

{choices}

With the words of the training split alone, 77 % of the words in the names of the validation split and 75 % of those of the test
split are unknown; with those of the file 44 % and 45 %. The loss is a mean over the words of a batch, most of which are in no
name, so that a rate of 0.003 stays with `O` for the first two epochs."""
_TAGS_NOTES = """\
The vocabulary and the rate are those of the spans."""
_SOURCE_NOTES = """\
The source's data are licensed, and the figures of other data cannot be compared; the order can. Ours start from 25 dimensions
for 11,925 words in the place of 100 for 400,000, have an LSTM of 100 units each way instead of 200, and are trained with Adam
for a few epochs instead of fifty of SGD. WNUT-17 was made to be hard in addition: it has 1,975 names to learn from, and those
of its test split were chosen to be new ones."""


def kept_of(summary: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of a run."""
    metrics = ("f1", "accuracy", "loss") if "f1" in summary["test"] else ("accuracy", "loss")
    vectors = summary["model"]["vectors"] | {"file": Path(summary["model"]["vectors"]["file"]).name}
    rate = summary["settings"]["optimization"]["learning_rate"]
    return essence(summary, metrics) | {"vectors": vectors, "learning_rate": rate}


def page(kept: dict[str, Any]) -> str:
    """The page from what is kept."""
    spans, tags = _table("spans", "f1", kept), _table("tags", "accuracy", kept)
    parts = {
        "spans": spans,
        "tags": tags,
        "spans_notes": _SPANS_NOTES.format(choices=_chosen(kept)),
        "tags_notes": _TAGS_NOTES,
    }
    parts |= {"agreement": _agreement(kept), "order": _order(kept)}
    parts |= {f"{kind}_budget": _budget(kind, kept) for kind in ("spans", "tags")}
    parts |= {f"{kind}_best": _best(kind, metric, kept) for kind, metric in (("spans", "f1"), ("tags", "accuracy"))}
    return _TEXT.format(**parts, source_notes=_SOURCE_NOTES)


class _Taggers(Trainings):
    """Also keeps, under ``agreement JOB``, how far the losses of both backends part, as far as both have run."""

    def taken(self, runs: Path) -> dict[str, Any]:
        found = super().taken(runs)
        for name in self.jobs:
            ours, theirs = (losses_of(runs / name / backend) for backend in BACKENDS)
            parts = [abs(ours[step] - theirs[step]) for step in sorted(ours.keys() & theirs.keys())]
            if parts:
                first = {"steps": _FIRST_STEPS, "largest": max(parts[:_FIRST_STEPS])}
                found[f"agreement {name}"] = {"steps": len(parts), "largest": max(parts), "first": first}
        return found


def _agreement(kept: dict[str, Any]) -> str:
    found = kept.get("agreement spans_chain_1")
    if found is None:
        return ""
    first = found["first"]
    return (
        f"The first {found['steps']} steps of BiLSTM-CNN-CRF, seed 1, were made in MindSpore too. Its losses are PyTorch's within "
        f"{first['largest']:.0e} for {first['steps']} steps, and within {found['largest']:.0e} for all of them, with dropout, "
        "whose masks are the same in both."
    )


def _chosen(kept: dict[str, Any]) -> str:
    lines = ["| words known | learning rate | epochs | F1, validation |", "|---|--:|--:|--:|"]
    for name, (words, _) in _CHOICES.items():
        if run := kept.get(f"{name} pytorch"):
            score = f"{100 * run['f1']['validation']:.1f}"
            lines.append(f"| {words} | {run['learning_rate']:g} | {run['epochs']:.0f} | {score} |")
    return "\n".join(lines)


def _budget(kind: str, kept: dict[str, Any]) -> str:
    run = seeds_of(_SEEDED, f"{kind}_chain", "pytorch", kept)[0]
    known = run["vectors"]["words"] - run["vectors"]["unknown"]
    return (
        f"{run['epochs']:.0f} epochs, {run['steps']:,} steps; {known:,} of the {run['vectors']['words']:,} words of the table "
        "start from a vector."
    )


def _order(kept: dict[str, Any]) -> str:
    """In how many seeds each network is above the one before it."""
    told = []
    for kind, metric, what in (("spans", "f1", "spans"), ("tags", "accuracy", "parts of speech")):
        rows = [seeds_of(_SEEDED, f"{kind}_{name}", "pytorch", kept) for name in NETWORKS]
        scores = list(zip(*([run[metric]["test"] for run in row] for row in rows), strict=False))
        counts = [sum(seed[i] < seed[i + 1] for seed in scores) for i in (0, 1)]
        told.append(
            f"of {what}, characters improve on words alone in {counts[0]} of {len(scores)} seeds, and the chain on single tags "
            f"in {counts[1]}"
        )
    return f"The order of the source on the test split: {'; '.join(told)}."


def _best(kind: str, metric: str, kept: dict[str, Any]) -> str:
    runs = seeds_of(_SEEDED, f"{kind}_chain", "pytorch", kept)
    return f"{100 * statistics.mean(run[metric]['test'] for run in runs):.2f}"


def _table(kind: str, metric: str, kept: dict[str, Any]) -> str:
    lines = [
        "| network | backend | seeds | test | mean | validation, mean | trained parameters |",
        "|---|---|--:|---|--:|--:|--:|",
    ]
    for name, network in NETWORKS.items():
        for backend, label in BACKENDS.items():
            if runs := seeds_of(_SEEDED, f"{kind}_{name}", backend, kept):
                test, validation = ([100 * run[metric][split] for run in runs] for split in ("test", "validation"))
                scores = ", ".join(f"{score:.2f}" for score in test)
                means = f"{statistics.mean(test):.2f} | {statistics.mean(validation):.2f}"
                lines.append(f"| {network} | {label} | {len(runs)} | {scores} | {means} | {runs[0]['trained']:,} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(lambda: _Taggers("taggers", JOBS, kept_of, page).main(__doc__))

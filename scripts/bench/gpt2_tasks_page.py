"""The page docs/studies/gpt2_tasks.md, made of what gpt2_tasks.py keeps."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from typing import Any

from trainings import BACKENDS, ROOT

__all__ = ["SCORED", "STRIDE", "TASKS", "WINDOW", "figures", "page"]

WINDOW, STRIDE = 256, 192
SCORED = {"base": "GPT-2, trained from scratch", "lora": "the same with LoRA"}  #: of which perplexities are taken
#: By job's ending: name, words of the data, and accuracy that circulates for GPT-2 with LoRA.
TASKS: dict[str, tuple[str, float]] = {
    "sst2": ("SST-2 (sentences)", 0.808),
    "imdb": ("IMDB (sample)", 0.834),
    "ag_news": ("AG-News (sample)", 0.841),
    "cola": ("CoLA", 0.693),
}
_DEFINITIONS: dict[str, Callable[[dict[str, Any]], float]] = {
    "blocks, per token": lambda found: found["perplexity"],
    "sliding window, per token": lambda found: found["perplexity_per_token"],
    "blocks, per word": lambda found: found["perplexity"] ** (found["tokens"] / found["words"]),
    "sliding window, per word": lambda found: found["perplexity_per_word"],
}
MODELS = {"gpt2": "GPT-2 of this page", "bert": "MiniLM-L6"}


_TEXT = """\
# A small GPT-2, and four tasks

What the experiments for GPT-2 give where its weights cannot be downloaded: a GPT-2 of {parameters:,} parameters (4 layers, 192
wide, byte-level BPE of 4,096 tokens trained on the same text) is trained on WikiText-2, adapted with LoRA, scored in both
backends, and made a classifier. Every row is one run with seed 42 unless it says otherwise. The changes of each row and this
page are made by [`scripts/bench/gpt2_tasks.py`](../../scripts/bench/gpt2_tasks.py) from [gpt2_tasks.json](gpt2_tasks.json).

A model trained for minutes is weak. The tables show that the path works, that both backends give the same figures, and how far
such a model gets; they say nothing of GPT-2 itself, nor of what LoRA does for a model that has read more.

## Perplexity on WikiText-2
`base` is `gpt2_wikitext2` with windows of {window} tokens and {base_steps:,} steps of {batch} windows: {tokens:,} tokens,
{base_epochs:.2f} passes over the training split. {adapted} Models are trained in PyTorch, and each is scored on the
whole test split in both backends ([definitions](../generation.md#perplexity)). Blocks are {window} tokens that do not overlap;
the sliding window of {window} moves by {stride}, so that all but the first tokens have at least {least} before them.

{perplexity}

{scored} The largest relative difference between the backends is {apart}.

With {words:,} words and {units:,} tokens in the test split a word is {ratio:.2f} tokens, and the perplexity per word is that power of the
one per token. Per token the figures compare between models of this tokenizer alone, so that those of
[MindFormers' card](../reproduce.md#gpt-2-with-lora-on-wikitext-2) have no counterpart here.

## Classification
Accuracy in percent of the state with the best score on the validation split. {majority} `Words alone` is logistic
regression on TF-IDF of words and pairs of words of the whole texts (scikit-learn). The last column circulates for "GPT-2 with LoRA" and is
[no measurement of it](../reproduce.md#gpt-2-classification-0808-0834-0841-0693).

{accuracy}

{matthews}

{budgets}

{verdict}

## Both backends
{agreement}

## Versions
{versions}
"""


def page(kept: dict[str, Any]) -> str:
    """The page from what is kept."""
    base = kept["base pytorch"]
    scored = kept["perplexity base pytorch"]
    published = minilm_results()
    return _TEXT.format(
        parameters=base["parameters"],
        window=WINDOW,
        stride=STRIDE,
        base_steps=base["steps"],
        base_epochs=base["epochs"],
        batch=base["settings"]["global_batch_size"],
        tokens=base["steps"] * base["settings"]["global_batch_size"] * base["settings"]["max_length"],
        least=WINDOW - STRIDE,
        adapted=_adapted(kept),
        perplexity=_perplexities(kept),
        scored=_untrained(kept),
        apart=f"{max(apart for *_, apart in figures(kept) if apart is not None):.0e}",
        words=scored["words"],
        units=scored["tokens"],
        ratio=scored["tokens"] / scored["words"],
        majority=_splits(kept),
        accuracy=_accuracies(kept, published),
        matthews=_matthews(kept, published),
        budgets=_budgets(kept),
        verdict=_verdict(kept),
        agreement=_agreement(kept),
        versions=_versions(kept),
    )


def figures(kept: dict[str, Any]) -> list[tuple[str, str, list[float | None], float | None]]:
    """Model, definition, perplexity in each backend, and their relative difference where all have one."""
    rows = []
    for name, title in SCORED.items():
        scored = [kept.get(f"perplexity {name} {backend}") for backend in BACKENDS]
        for definition, read in _DEFINITIONS.items():
            values = [read(found) if found else None for found in scored]
            whole = [value for value in values if value is not None]
            rows.append((title, definition, values, max(whole) / min(whole) - 1 if len(whole) == len(values) else None))
    return rows


def _perplexities(kept: dict[str, Any]) -> str:
    lines = [f"| model | perplexity | {' | '.join(BACKENDS.values())} | relative difference |", "|---|---|--:|--:|--:|"]
    for title, definition, values, apart in figures(kept):
        cells = ["not run" if value is None else f"{value:,.3f}" for value in values]
        lines.append(f"| {title} | {definition} | {' | '.join(cells)} | {'' if apart is None else f'{apart:.0e}'} |")
    return "\n".join(lines)


def _adapted(kept: dict[str, Any]) -> str:
    run = kept.get("lora pytorch")
    if run is None:
        return "Its adaptation with LoRA has not been run."
    before, after = (kept[f"{name} pytorch"]["perplexity"]["test"] for name in SCORED)
    return (
        f"LoRA is `gpt2_wikitext2_lora` (rank 64 on query and value) on top of it, with windows of the same length and {run['steps']} "
        f"steps: {run['trained']:,} trained parameters, on text that the base model had seen a part of, so that a gain would be that "
        f"of more training. The test split, in blocks, goes from {before:.2f} to {after:.2f} per token"
        f"{', which is no gain' if after >= before else ''}."
    )


def _untrained(kept: dict[str, Any]) -> str:
    before, after = (kept["base pytorch"][key] for key in ("before", "perplexity"))
    return (
        f"On the validation split, in blocks, the untrained model has {before['perplexity']:,.0f} per token and the trained one "
        f"{after['validation']:.1f}."
    )


def minilm_results() -> dict[str, dict[str, Any]]:
    """MiniLM's runs of docs/results.json by task: the medians of their seeds."""
    found: dict[str, dict[str, Any]] = {}
    runs = json.loads((ROOT / "docs/results.json").read_text(encoding="utf-8"))
    for task in TASKS:
        chosen = [run for run in runs if run["job"] == f"bert_{task}" and run["backend"] == "pytorch"]
        if chosen:
            scores = [run["test"] or run["validation"] for run in chosen]
            metrics = ("accuracy", "matthews_correlation")
            found[task] = {metric: statistics.median(score[metric] for score in scores) for metric in metrics}
            found[task] |= {"seeds": len(chosen), "epochs": chosen[0]["epochs"]}
    return found


def _reported(kept: dict[str, Any], model: str, task: str, metric: str) -> float | None:
    run = kept.get(f"{model}_{task} pytorch")
    return run[metric][kept[f"classes {task}"]["split"]] if run else None


def _percent(value: float | None) -> str:
    return "not run" if value is None else f"{100 * value:.1f}"


def _scored(kept: dict[str, Any]) -> dict[str, tuple[str, float]]:
    """The tasks of which a run is kept."""
    return {task: said for task, said in TASKS.items() if f"classes {task}" in kept and f"words {task}" in kept}


def _splits(kept: dict[str, Any]) -> str:
    named: dict[str, list[str]] = {"test": [], "validation": []}
    for task, (title, _) in _scored(kept).items():
        named[kept[f"classes {task}"]["split"]].append(title)
    text = f"Scored is the test split of {' and '.join(named['test'])}"
    if named["validation"]:
        text += (
            f"; of {', '.join(named['validation'])}, whose test labels are not published, the validation split itself"
        )
    missing = [title for task, (title, _) in TASKS.items() if task not in _scored(kept)]
    return f"{text}." + (f" Not run: {' and '.join(missing)}." if missing else "")


def _accuracies(kept: dict[str, Any], published: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| data | training examples | scored | most frequent class | words alone | GPT-2 of this page, LoRA | above most frequent class "
        "| MiniLM-L6, LoRA | circulated |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for task, (title, circulated) in _scored(kept).items():
        counted, words = kept[f"classes {task}"], kept[f"words {task}"]
        ours = _reported(kept, "gpt2", task, "accuracy")
        minilm = published[task]["accuracy"] if task in published else _reported(kept, "bert", task, "accuracy")
        gain = "" if ours is None else f"{100 * (ours - counted['majority']):+.1f}"
        scores = (counted["majority"], words["accuracy"], ours)
        cells = [title, f"{counted['training']:,}", f"{counted['examples']:,}", *map(_percent, scores), gain]
        lines.append(f"| {' | '.join([*cells, _percent(minilm), _percent(circulated)])} |")
    return "\n".join(lines)


def _matthews(kept: dict[str, Any], published: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| Matthews correlation | most frequent class | words alone | GPT-2 of this page, LoRA | MiniLM-L6, LoRA |",
        "|---|--:|--:|--:|--:|",
    ]
    metric = "matthews_correlation"
    for task, (title, _) in _scored(kept).items():
        minilm = published[task][metric] if task in published else _reported(kept, "bert", task, metric)
        values = (0.0, kept[f"words {task}"][metric], _reported(kept, "gpt2", task, metric), minilm)
        lines.append(f"| {title} | {' | '.join('not run' if value is None else f'{value:.3f}' for value in values)} |")
    return "\n".join(lines)


def _budgets(kept: dict[str, Any]) -> str:
    """Epochs and cuts of the runs above, and where the other figures of MiniLM are from."""
    lines = []
    for model, title in MODELS.items():
        runs = {task: run for task in TASKS if (run := kept.get(f"{model}_{task} pytorch"))}
        parts = (
            f"{TASKS[task][0]} {run['epochs']:.0f} epoch{'s' * (run['epochs'] > 1)} of texts cut after {run['settings']['max_length']} tokens"
            for task, run in runs.items()
        )
        if runs:
            lines.append(f"- {title}, rank 8 on query and value: {'; '.join(parts)}.")
    elsewhere = (
        f"{TASKS[task][0]} ({found['epochs']:.0f} epochs, {found['seeds']} seed{'s' * (found['seeds'] > 1)})"
        for task, found in minilm_results().items()
    )
    lines.append(f"- MiniLM's figures of {' and '.join(elsewhere)} are those of [measured results](../results.md).")
    return "\n".join(lines)


def _verdict(kept: dict[str, Any]) -> str:
    """How far the small GPT-2 gets, in two standard errors of an accuracy."""
    above, level, behind = [], [], []
    for task, (title, _) in _scored(kept).items():
        ours = _reported(kept, "gpt2", task, "accuracy")
        if ours is not None:
            counted = kept[f"classes {task}"]
            error = (ours * (1 - ours) / counted["examples"]) ** 0.5
            (above if ours - counted["majority"] > 2 * error else level).append(title)
            if ours < kept[f"words {task}"]["accuracy"]:
                behind.append(title)
    text = f"The small GPT-2 is above the most frequent class by more than two standard errors on {' and '.join(above) or 'none'}"
    text += f", and not on {' and '.join(level)}" if level else ""
    return f"{text}; words alone are better than it on {' and '.join(behind) or 'none'}."


def _agreement(kept: dict[str, Any]) -> str:
    lines = [
        "| run | accuracy, PyTorch | MindSpore | losses compared | largest relative difference of a loss |",
        "|---|--:|--:|--:|--:|",
    ]
    for key, found in kept.items():
        kind, _, name = key.partition(" ")
        if kind == "agreement" and name not in SCORED:
            scores = (kept[f"{name} {backend}"]["accuracy"] for backend in BACKENDS)
            shown = " | ".join(_percent(score.get("test", score["validation"])) for score in scores)
            lines.append(f"| `{name}` | {shown} | {found['losses']} | {found['largest']:.0e} |")
    return "\n".join(lines) if len(lines) > 2 else "No classifier has been trained in both."


def _versions(kept: dict[str, Any]) -> str:
    lines = {}
    for key, run in kept.items():
        if "versions" in run:
            versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
            hardware = run["hardware"]
            machine = f"{hardware['cpu']}, {hardware['threads']} thread on {hardware['cores']} cores"
            lines[f"- {BACKENDS[key.rpartition(' ')[2]]}: {versions}; {machine}."] = None
    return "\n".join(lines)

"""The page docs/studies/pretraining.md and its drawings, from docs/pretraining.json; see pretraining.py.

Numbers are only read, never typed: to change the page, run the measurement again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.files import write_atomic

ROOT = Path(__file__).resolve().parents[2]
PAGE, IMAGES = ROOT / "docs" / "studies" / "pretraining.md", ROOT / "docs" / "images"
COLOURS = ("#1b6a86", "#d2691e", "#5a8f29", "#7d4b9e", "#777777")
GROUPS = {
    "masked": ("Hidden tokens: accuracy on the validation split", "accuracy", "masked"),
    "replaced": ("Replaced tokens: area under the ROC curve", "auc", "replaced"),
    "deberta": ("DeBERTa without its parts: accuracy of hidden tokens", "accuracy", "DeBERTa"),
}
BACKENDS = ("pytorch", "mindspore")
Results = Mapping[str, Any]


def write_page(kept: Mapping[str, Results]) -> None:
    """Write the page and a drawing of every group of runs, from the results of one backend and of a run in both."""
    results = kept["all"]
    for name, (title, metric, prefix) in GROUPS.items():
        if _group(results, prefix):
            write_atomic(IMAGES / f"pretraining_{name}.svg", drawing(results, title, metric, prefix))
    write_atomic(PAGE, page(results, kept.get("agreement", {})))


def page(results: Results, agreement: Mapping[str, Results]) -> str:
    """Markdown."""
    settings, hardware = results["settings"], results["hardware"]
    lines = [
        "# Pre-training objectives, small",
        "",
        f"Encoders of {settings['layers']} layers, {settings['width']} wide, pre-trained on the first {settings['lines']:,} lines of WikiText-2 for "
        f"{settings['steps']:,} steps of {settings['batch']} examples of 128 tokens (WordPiece of {settings['vocabulary']:,} tokens trained "
        f"there, learning rate {settings['rate']:g}, one seed) with the PyTorch backend on {hardware['cpu']}. "
        "The sizes are those of a study in minutes; they show an order at best, and no figure of a paper.",
        "",
        "Made by `python scripts/bench/pretraining.py`; [how the objectives are defined](../pretraining.md).",
        "",
        "## Hidden tokens",
        f"Without reading the text, the most frequent token is right {_percent(results['baseline']['accuracy'])} of the "
        f"time, and token frequencies have perplexity {results['baseline']['perplexity']:,.0f}.",
        "",
        *_section(results, "masked"),
        "With ten masks the first ten epochs are those of dynamic masks, and there are fewer here.",
        "",
        *_agreement(agreement),
        "## Replaced tokens",
        *_section(results, "replaced"),
        "## DeBERTa without its parts",
        f"{settings['ablation_steps']:,} steps each.",
        "",
        *_section(results, "deberta"),
        "## Fine-tuned",
        f"Every parameter, {settings['examples']:,} examples at most, three epochs, score of the best epoch on the "
        "validation split.",
        "",
        *fine(results["fine"]),
        "",
        *_noise(results["fine"]),
    ]
    return "\n".join(lines) + "\n"


def _section(results: Results, name: str) -> list[str]:
    title, metric, prefix = GROUPS[name]
    runs = _group(results, prefix)
    if not runs:
        return ["Not run.", ""]
    metrics = [
        key for key in ("accuracy", "perplexity", "next_accuracy", "auc", "generator_accuracy") if _held(runs, key)
    ]
    heads = [key.replace("_", " ") for key in metrics]
    lines = [f"![{title}](../images/pretraining_{name}.svg)", ""]
    lines += [
        "| run | parameters | " + " | ".join(heads) + " | seconds a step |",
        "|---|---:|" + "---:|" * (len(heads) + 1),
    ]
    for run, found in runs.items():
        best = max(found["points"], key=lambda point: point.get(metric, 0.0))
        cells = [_cell(key, best.get(key)) for key in metrics]
        lines.append(f"| {run} | {found['parameters']:,} | {' | '.join(cells)} | {found['seconds_per_step']:.2f} |")
    return [*lines, ""]


def _agreement(found: Mapping[str, Results]) -> list[str]:
    """The run that both backends made, point by point."""
    if set(found) != set(BACKENDS):
        return []
    [name] = found[BACKENDS[0]]["curves"]
    pairs = list(zip(*(found[backend]["curves"][name]["points"] for backend in BACKENDS), strict=True))
    apart = max(abs(ours["loss"] - theirs["loss"]) / abs(ours["loss"]) for ours, theirs in pairs)
    last = pairs[-1]
    losses, accuracies = (
        " and ".join(write(point[key]) for point in last)
        for key, write in (("loss", "{:.4f}".format), ("accuracy", _percent))
    )
    return [
        f"Both backends, the first of these for {last[0]['step']:,} steps: loss {losses}, accuracy {accuracies} (PyTorch and "
        f"MindSpore) at the end; the losses of the {len(pairs)} evaluations differ by {apart:.1e} of themselves at most.",
        "",
    ]


def fine(rows: Sequence[Results]) -> list[str]:
    """A table with the mean and the range over the seeds."""
    if not rows:
        return ["Not run."]
    tasks = list(dict.fromkeys((row["task"], row["metric"]) for row in rows))
    lines = ["| start | " + " | ".join(f"{task}, {metric.replace('_', ' ')}" for task, metric in tasks) + " |"]
    lines.append("|---|" + "---:|" * len(tasks))
    for start in dict.fromkeys(row["start"] for row in rows):
        cells = []
        for task, _ in tasks:
            scores = [row["score"] for row in rows if (row["start"], row["task"]) == (start, task)]
            spread = f" ({min(scores):.3f} to {max(scores):.3f})" if len(scores) > 1 else ""
            cells.append(f"{sum(scores) / len(scores):.3f}{spread}")
        lines.append(f"| {start} | {' | '.join(cells)} |")
    return lines


def _noise(rows: Sequence[Results]) -> list[str]:
    """How far apart accuracies must be to say something, p being the largest of them: 2 sqrt(p (1 - p) / n)."""
    rows = [row for row in rows if row["metric"] == "accuracy"]
    if not rows:
        return []
    best, count = max(row["score"] for row in rows), min(row["scored"] for row in rows)
    return [
        f"Two standard errors of an accuracy over {count:,} examples are {200 * (best * (1 - best) / count) ** 0.5:.1f} points; "
        "smaller differences say nothing. Encoders of this size, after so little text, are no evidence for or against",
        "pre-training.",
    ]


def drawing(results: Results, title: str, metric: str, prefix: str) -> str:
    """Curves of one group as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "pretraining", "font.size": 9}):
        figure = Figure(figsize=(7.0, 3.2), layout="constrained")
        axes = figure.subplots()
        for (run, found), colour in zip(_group(results, prefix).items(), COLOURS, strict=False):
            points = [point for point in found["points"] if metric in point]
            axes.plot([point["step"] for point in points], [point[metric] for point in points], color=colour, label=run)
        if metric == "accuracy":
            axes.axhline(results["baseline"]["accuracy"], color="#777777", linestyle=":", label="most frequent token")
        axes.set(title=title, xlabel="step", ylabel=metric)
        axes.legend(frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _group(results: Results, prefix: str) -> dict[str, Any]:
    return {name: found for name, found in results["curves"].items() if name.startswith(prefix)}


def _held(runs: Results, key: str) -> bool:
    return any(key in point for found in runs.values() for point in found["points"])


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if key == "perplexity" else f"{value:.3f}" if key == "auc" else _percent(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

"""The card (``README.md``) of an adapter or model: what it is, how well it does, and how it is loaded.

The metadata at its beginning are those that the Hugging Face hub reads, written by the hub's own library. Nothing of a
card depends on when it was written or on a folder of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.artifacts import storage
from common.config import to_plain
from common.files import write_atomic
from common.methods import METHODS
from common.methods.peft.format import CONFIG_NAME
from common.reading import read_json
from common.report.elements import measure
from common.report.runs import BACKEND_TITLES
from common.sharing.evidence import agreement_with_counterpart
from common.sharing.facts import Facts, facts_of, in_peft_format
from common.sharing.usage import Place, usage
from common.training.rundir import RunDirectory

__all__ = ["CARD", "Place", "card_of", "facts_of_run", "write_card"]

CARD = "README.md"
_METRICS = {"pearson": "pearsonr", "spearman": "spearmanr", "f1_micro": "f1", "f1_macro": "f1"}  #: by the hub's names
_PARTS = (("before", "validation, before training"), ("validation", "validation, best"), ("test", "test"))


def write_card(run: RunDirectory, summary: Mapping[str, Any]) -> Path:
    """Write the card beside the best state of a finished run and return its path."""
    facts = facts_of_run(run, summary)
    folder = run.best(METHODS.get(facts.method).artifact)
    tokenizer = folder.name if facts.whole else run.tokenizer.name
    write_atomic(folder / CARD, card_of(facts, Place(folder.name, tokenizer, "In the run's folder")))
    return folder / CARD


def facts_of_run(run: RunDirectory, summary: Mapping[str, Any], base_id: str | None = None) -> Facts:
    """What is known of a run, see `common.sharing.facts.facts_of`."""
    config = run.read_config()
    method = config.adaptation.method
    kept = storage(METHODS.get(method).artifact)
    settings: Mapping[str, Any] = {}
    if not kept.WHOLE:
        settings = read_json(run.path / kept.FOLDER / CONFIG_NAME, "the configuration of an adapter", "Train again.")
    agreement = agreement_with_counterpart(run.path, summary)
    return facts_of(summary, to_plain(config), kept.WHOLE, in_peft_format(method, settings), base_id, agreement)


def card_of(facts: Facts, place: Place) -> str:
    """The text of a card."""
    parts = [f"---\n{_metadata(facts)}\n---", f"# {_line(facts.name)}", _lead(facts), _table(_properties(facts))]
    if scores := _scores(facts):
        parts += ["## Metrics", scores]
    parts += ["## Use", *usage(facts, place)]
    if facts.agreement:
        parts += ["## Agreement of both frameworks", facts.agreement]
    return "\n\n".join(parts) + "\n"


def _metadata(facts: Facts) -> str:
    """The front matter. What is not known is left out: the hub refuses a base model that is no id."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=facts.pipeline,
            dataset_type=facts.data_id,
            dataset_name=facts.data,
            dataset_config=facts.data_config,
            dataset_split=part,
            metric_type=_METRICS.get(name, name),
            metric_name=name,
            metric_value=float(f"{value:.6g}"),
        )
        for part in ("validation", "test")
        for name, value in _numbers(facts.summary.get(part)).items()
        if facts.data_id and facts.pipeline
    ]
    measured = dict.fromkeys(_METRICS.get(name, name) for name in _numbers(facts.summary.get("validation")))
    library = "peft" if facts.peft and not facts.whole else "transformers" if facts.whole and facts.plain else None
    given = {
        "license": facts.licence,
        "library_name": library or "twinlora",
        "base_model": facts.base_id,
        "base_model_relation": ("finetune" if facts.whole else "adapter") if facts.base_id else None,
        "pipeline_tag": facts.pipeline,
        "datasets": [facts.data_id] if facts.data_id else None,
        "metrics": [name for name in measured if name != "loss"] or None,
        "tags": ["twinlora", facts.method, facts.backend],
        "eval_results": results or None,
        "model_name": _line(facts.name) if results else None,
    }
    return ModelCardData(**{key: value for key, value in given.items() if value is not None}).to_yaml()


def _lead(facts: Facts) -> str:
    what = "A model" if facts.whole else "An adapter"
    of = f" of {_base(facts)}" if facts.base else " that began from random weights"
    backend = BACKEND_TITLES.get(facts.backend, facts.backend)
    return f"{what}{of}, for {facts.task}, trained by the method `{facts.method}` with twinlora in {backend}."


def _base(facts: Facts) -> str:
    """The base model without any folder of the machine that trained it."""
    if facts.base_id:
        return f"`{facts.base_id}`"
    source = facts.base or ""
    return f"`{_line(source if source.startswith('python:') else Path(source).name)}`"


def _properties(facts: Facts) -> Iterator[tuple[str, ...]]:
    summary = facts.summary
    model, versions = summary.get("model") or {}, summary.get("versions") or {}
    yield ("", "")
    if facts.base:
        yield "base model", f"{_base(facts)}, {measure(model.get('parameters'))} parameters"
        yield "its licence", facts.licence or "not stated in the files that were read"
    if fingerprint := model.get("fingerprint"):
        yield "sha256 of its weights", f"`{fingerprint}`"
    if total := (summary.get("trainable") or {}).get("total"):
        yield "trained parameters", measure(total)
    sizes = (summary.get("data") or {}).get("sizes") or {}
    counted = "".join(f", {split} {count:,}" for split, count in sizes.items())
    yield "data", f"{_line(facts.data)}{f' (`{facts.data_id}`)' if facts.data_id else ''}{counted}"
    if facts.labels:
        yield "classes", ", ".join(f"{index} {_line(name)}" for index, name in enumerate(facts.labels))
    if "steps" in summary:
        yield "steps", f"{measure(summary['steps'])}, the best is {measure(summary.get('best_step'))}"
        yield "seed", str(summary.get("seed"))
    if versions:
        yield (
            "software",
            ", ".join(_line(str(versions[key])) for key in ("framework",) if key in versions)
            + "".join(
                f", {key} {_line(str(versions[key]))}" for key in ("twinlora", "transformers") if key in versions
            ),
        )


def _scores(facts: Facts) -> str:
    columns = {title: _numbers(facts.summary.get(part)) for part, title in _PARTS}
    columns = {title: values for title, values in columns.items() if values}
    names = dict.fromkeys(name for values in columns.values() for name in values)
    rows = [(name, *(measure(values.get(name)) for values in columns.values())) for name in names]
    return _table([("", *columns), *rows]) if rows else ""


def _numbers(values: Any) -> dict[str, float]:
    found = values.items() if isinstance(values, Mapping) else ()
    return {key: value for key, value in found if isinstance(value, int | float) and not isinstance(value, bool)}


def _table(rows: Any) -> str:
    head, *body = rows
    lines = [head, ("---",) * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _line(text: str) -> str:
    """Text from an experiment as part of a line of Markdown."""
    return re.sub(r"([\\|`<>*\[\]])", r"\\\1", " ".join(text.split()))

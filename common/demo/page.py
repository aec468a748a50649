"""The page that the demonstration ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.demo.corpus import Domain
from common.demo.work import PROMPTS, Adapted, PeftLogits
from common.language import in_english
from common.report import sections
from common.report.elements import Html, byte_size, duration, measure, note, page, passages, section, table, tiles
from common.report.pages import agreement
from common.report.runs import BACKEND_TITLES, Run

__all__ = ["Demonstration", "demo_page"]


@dataclass(frozen=True)
class Demonstration:
    """Everything the page shows; mappings are by backend, in order."""

    domains: tuple[Domain, Domain]  #: docstrings, reference
    base: Run
    before: tuple[str, ...]  #: the base model's continuation of every prompt
    runs: Mapping[str, Run]
    adapted: Mapping[str, Adapted]
    left_out: tuple[str, ...]  #: backends that did not run
    peft: PeftLogits | None
    peft_missing: tuple[str, ...]  #: why ``peft`` is None
    seconds: Mapping[str, float]  #: stage to duration


@in_english
def demo_page(demonstration: Demonstration) -> str:
    """The whole page as HTML."""
    runs = list(demonstration.runs.values())
    return page(
        "LoRA in " + " and ".join(run.backend for run in runs),
        _lead(demonstration),
        tiles(_headlines(demonstration)),
        *(
            note(
                f"{BACKEND_TITLES[name]} is not installed here, so it was left out. pip install 'twinlora[{name}]' adds it."
            )
            for name in demonstration.left_out
        ),
        sections.curves(runs),
        _samples(demonstration),
        _peft(demonstration),
        sections.metrics(runs),
        sections.resources(runs),
        sections.runs_table(runs),
        _stages(demonstration),
        sections.settings(runs),
    )


def _lead(demonstration: Demonstration) -> str:
    docstrings, reference = demonstration.domains
    parameters = demonstration.base.summary["model"]["parameters"]
    both = (
        ", in both frameworks from the same start, data order and configuration" if len(demonstration.runs) > 1 else ""
    )
    return (
        f"A GPT-2 of {measure(parameters)} parameters was trained from scratch on the prose of Python's docstrings ({docstrings.characters:,} characters, "
        f"{demonstration.base.summary['steps']} steps). LoRA then adapted it to that of the language reference ({reference.characters:,} characters){both}."
    )


def _headlines(demonstration: Demonstration) -> list[tuple[str, str, str]]:
    runs = list(demonstration.runs.values())
    found = [
        (
            f"held-out perplexity, {run.backend}",
            f"{measure(run.summary['before']['perplexity'])} \u2192 {measure(run.summary['validation']['perplexity'])}",
            f"before and after {run.summary['best_step']} steps",
        )
        for run in runs
    ]
    if len(runs) == 2:
        found += agreement(*runs)
    model, adapter = demonstration.base.summary["adapter_bytes"], runs[-1].summary["adapter_bytes"]
    found.append(
        (
            "adapter against model",
            f"{byte_size(adapter)}",
            f"{100 * adapter / model:.1f} % of the model's {byte_size(model)}",
        )
    )
    if demonstration.peft:
        found.append(
            (
                "PEFT's logits against MindSpore's",
                f"{_peft_differences(demonstration)[0]:.1e}",
                "largest absolute difference, same adapter file",
            )
        )
    return found


def _samples(demonstration: Demonstration) -> Html:
    """Every prompt with its continuations; what both frameworks wrote alike is shown once."""
    cards = []
    for index, prompt in enumerate(PROMPTS):
        written: dict[str, list[str]] = {}
        for name, adapted in demonstration.adapted.items():
            written.setdefault(adapted.samples[index], []).append(BACKEND_TITLES[name])
        before = [("before", prompt, demonstration.before[index])]
        cards.append(
            passages(before + [(f"after, {' and '.join(names)}", prompt, text) for text, names in written.items()])
        )
    explanation = (
        "Sampled at temperature 0.5 with the same random numbers. "
        "A model of this size, trained for about a minute, imitates the tone and little more."
    )
    return section("What it writes", note(explanation), Html(f'<div class="grid thirds">{"".join(cards)}</div>'))


def _peft_differences(demonstration: Demonstration) -> tuple[float, float, float]:
    """Largest absolute: difference of PEFT's and MindSpore's logits, change that the adapter makes, logit."""
    peft, mindspore = demonstration.peft, demonstration.adapted["mindspore"].logits
    assert peft is not None  # without it there is no such section
    return (
        float(np.abs(peft.adapted - mindspore).max()),
        float(np.abs(peft.adapted - peft.base).max()),
        float(np.abs(peft.adapted).max()),
    )


def _peft(demonstration: Demonstration) -> Html:
    """What PEFT made of the adapter that MindSpore wrote, or why that was not tried."""
    title = "PEFT reads the adapter that MindSpore made"
    if demonstration.peft is None:
        needed = " and ".join(demonstration.peft_missing)
        return section(
            title,
            note(
                f"Not run: it needs {needed}, which is not installed or was not chosen here. pip install 'twinlora[all]' peft adds it."
            ),
        )
    difference, effect, largest = _peft_differences(demonstration)
    rows, vocabulary = demonstration.peft.adapted.shape
    return section(
        title,
        note(
            f"PEFT {demonstration.peft.version} loaded adapted/mindspore/adapter into the base model, which transformers had loaded in PyTorch, and "
            f"computed the next-token logits after {rows} held-out passages ({rows} x {vocabulary:,} numbers), which MindSpore had computed too."
        ),
        table(
            ("", "largest absolute value"),
            [
                ("PEFT's logits minus MindSpore's", f"{difference:.1e}"),
                ("change that the adapter makes to the logits", measure(effect)),
                ("logits themselves", measure(largest)),
            ],
        ),
    )


def _stages(demonstration: Demonstration) -> Html:
    """How long each part took."""
    rows = [(title, duration(seconds)) for title, seconds in demonstration.seconds.items()]
    return section(
        "What was done", table(("", "time"), [*rows, ("all of it", duration(sum(demonstration.seconds.values())))])
    )

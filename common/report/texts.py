"""The page of generated texts: metrics with intervals, speed, and what several systems write for the same inputs."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.files import write_atomic
from common.language import in_english
from common.report.elements import Html, details, duration, escape, legend, measure, note, page, section, table

if TYPE_CHECKING:
    from common.generation.outputs import Outputs
    from common.metrics.text.scoring import Scores

__all__ = ["texts_page"]

_MOST = 200  #: examples that are shown; a page of thousands does not open


@in_english
def texts_page(systems: Sequence[Outputs], references: Sequence[Sequence[str]], scores: Scores, out: Path) -> Path:
    """Write one self-contained HTML file and return its path.

    Args:
        systems: outputs for the same inputs, in the order of ``scores``.
        references: of every example.
        out: the file.
    """
    names = _names(systems)
    title = f"Texts of {', '.join(names)}" if len(names) < 4 else f"Texts of {len(names)} systems"
    content = page(
        title,
        f"{len(references):,} inputs, {sum(map(len, references)):,} references. Intervals hold 95 % of the values of "
        "resampled inputs.",
        _metrics(names, scores),
        _comparisons(names, scores),
        _speed(names, systems),
        _texts(names, systems, references),
    )
    write_atomic(out, content)
    return out


def _names(systems: Sequence[Outputs]) -> list[str]:
    """The files' names, with as much of the path as tells them apart."""
    paths = [Path(system.source).with_suffix("") for system in systems]
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = [os.path.join(*path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{path} ({number})" for number, path in enumerate(paths, 1)]


def _metrics(names: Sequence[str], scores: Scores) -> Html:
    rows = []
    for name in scores.definitions:
        cells = [
            Html(f"{found.value:.2f}<br><small>{found.low:.2f} to {found.high:.2f}</small>")
            for found in (system[name] for system in scores.systems)
        ]
        rows.append((name, *cells))
    listed = "".join(f"<li><b>{escape(name)}</b>: {escape(text)}</li>" for name, text in scores.definitions.items())
    left_out = [note(f"{name} is left out: {reason}.") for name, reason in scores.left_out.items()]
    return section("Metrics", table(("", *names), rows), Html(f'<ul class="definitions">{listed}</ul>'), *left_out)


def _comparisons(names: Sequence[str], scores: Scores) -> Html:
    if not scores.comparisons:
        return Html("")
    rows = [
        (
            name,
            *(
                Html(
                    f"{found.difference:+.2f}<br><small>{found.low:+.2f} to {found.high:+.2f}, "
                    f"p&nbsp;=&nbsp;{found.p_value:.3f}</small>"
                )
                for found in (comparison[name] for comparison in scores.comparisons)
            ),
        )
        for name in scores.definitions
    ]
    lead = note(
        f"Differences from {names[0]} over paired resamples; p is the probability of a difference at least as large if "
        "the outputs of both were exchanged at random."
    )
    return section("Differences", lead, table(("", *names[1:]), rows))


def _speed(names: Sequence[str], systems: Sequence[Outputs]) -> Html:
    rows = []
    for name, system in zip(names, systems, strict=True):
        seconds = [record["seconds"] for record in system.records if isinstance(record.get("seconds"), int | float)]
        tokens = [len(record["tokens"]) for record in system.records if isinstance(record.get("tokens"), list)]
        words = sum(len(text.split()) for text in system.texts)
        ended = [record.get("finish") for record in system.records if record.get("finish")]
        rate = sum(tokens) / sum(seconds) if seconds and tokens and sum(seconds) > 0 else None
        rows.append(
            (
                name,
                measure(words / len(system.texts)),
                measure(sum(tokens) if tokens else None),
                duration(sum(seconds)) if seconds else measure(None),
                measure(rate),
                f"{100 * ended.count('length') / len(ended):.1f} %" if ended else measure(None),
            )
        )
    head = ("", "words a text", "tokens", "time", "tokens a second", "cut at the longest length")
    return section("Length and speed", table(head, rows))


def _texts(names: Sequence[str], systems: Sequence[Outputs], references: Sequence[Sequence[str]]) -> Html:
    """Those that differ between systems first."""
    prompts = next((system.prompts for system in systems if system.prompts), [])
    differing = [len({system.texts[example].strip() for system in systems}) > 1 for example in range(len(references))]
    order = sorted(range(len(references)), key=lambda example: not differing[example])[:_MOST]
    cards = [
        _card(example, prompts[example] if prompts else "", names, systems, references[example]) for example in order
    ]
    count = (
        f"{sum(differing):,} of {len(references):,} inputs have different texts; they come first. "
        if len(systems) > 1
        else ""
    )
    shown = f"The first {len(order):,} are shown." if len(order) < len(references) else ""
    marks = "words that are not in the first system's text" if len(systems) > 1 else "words that no reference has"
    return section("Texts", note(count + shown), legend([("marked", marks)]), *cards)


def _card(
    example: int, prompt: str, names: Sequence[str], systems: Sequence[Outputs], references: Sequence[str]
) -> Html:
    first = systems[0].texts[example].strip()
    known = {word.lower().strip(".,") for reference in references for word in reference.split()}
    cells = []
    for number, (name, system) in enumerate(zip(names, systems, strict=True)):
        text = system.texts[example].strip()
        if number:
            marked = _marked(text, first)
        elif len(systems) == 1:
            marked = Html(" ".join(_mark(word, word.lower().strip(".,") not in known) for word in text.split()))
        else:
            marked = escape(text)
        cells.append(f"<div><h4>{escape(name)}</h4><p>{marked or escape(None)}</p></div>")
    listed = Html("<ul>" + "".join(f"<li>{escape(reference)}</li>" for reference in references) + "</ul>")
    count = f"{len(references)} reference{'s' if len(references) > 1 else ''}"
    return Html(
        f'<div class="card texts"><h3>{example + 1}. {escape(prompt)}</h3><div class="beside">{"".join(cells)}</div>'
        f"{details(count, listed)}</div>"
    )


def _marked(text: str, first: str) -> Html:
    """``text`` with the words marked that the other one does not have in their place."""
    words, others = text.split(), first.split()
    parts = []
    for kind, _, _, start, stop in difflib.SequenceMatcher(None, others, words, autojunk=False).get_opcodes():
        if stop > start:
            parts.append(_mark(" ".join(words[start:stop]), kind != "equal"))
        elif kind == "delete":
            parts.append('<mark class="gap" title="words of the first system are missing here">&nbsp;</mark>')
    return Html(" ".join(parts))


def _mark(text: str, marked: bool) -> str:
    return f"<mark>{escape(text)}</mark>" if marked else str(escape(text))

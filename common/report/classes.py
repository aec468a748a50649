"""What a classifier gets right and wrong: confusion matrix, scores of every class, examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from common.language import term, translated
from common.metrics.classification import class_scores, confusion_matrix
from common.report.elements import Html, details, escape, figure, measure, note, scrolling, section, table
from common.training.predictions import Predictions

__all__ = ["compared_examples", "confusion", "examples", "of_run", "scores"]

_SHOWN = 10  #: examples of each kind
_MOST_CLASSES = 40  #: of which a matrix is drawn


def of_run(found: Mapping[str, Predictions]) -> Html:
    """The section of one run's page: the test split where there is one, or the validation split."""
    for split in ("test", "validation"):
        if split in found:
            one = found[split]
            return section(
                translated("Classes, {split} split", split=term(split)), *_matrix(one), scores(one), examples(one)
            )
    return Html("")


def _matrix(found: Predictions) -> list[Html]:
    if len(found.labels) > _MOST_CLASSES:
        return [
            note(
                translated(
                    "A confusion matrix of {count} classes is not drawn; their scores follow.", count=len(found.labels)
                )
            )
        ]
    return [confusion(translated("Confusion matrix"), found)]


def confusion(title: str, found: Predictions) -> Html:
    """Counts by class and prediction, shaded by their share of the class."""
    counts = confusion_matrix(found.target, found.predicted, len(found.labels))
    support = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / support
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in found.labels)
    rows = []
    for index, name in enumerate(found.labels):
        cells = "".join(
            _cell(*pair, right=index == column)
            for column, pair in enumerate(zip(counts[index], shares[index], strict=True))
        )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    body = scrolling(
        Html(f'<table class="confusion"><thead><tr><td></td>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table>')
    )
    return figure(
        title, body, translated("Rows: the class. Columns: the prediction. Shaded by the share of the class.")
    )


def _cell(count: int, share: float, right: bool) -> str:
    colour = "b" if right else "a"
    shade = f"background: color-mix(in srgb, var(--{colour}) calc({float(share):.2f} * var(--most)), transparent)"
    return f'<td style="{shade}">{int(count):,}</td>' if count else "<td></td>"


def scores(found: Predictions) -> Html:
    """Precision, recall and F1 of every class."""
    counts = confusion_matrix(found.target, found.predicted, len(found.labels))
    values = class_scores(counts)
    rows = [
        (name, f"{int(counts[index].sum()):,}", *(f"{values[metric][index]:.4f}" for metric in values))
        for index, name in enumerate(found.labels)
    ]
    return table((translated("class"), translated("examples"), *map(term, values)), rows)


def examples(found: Predictions) -> Html:
    """The surest mistakes, and the first that are right."""
    known = sorted(found.texts)
    wrong = [index for index in known if not found.right[index]]
    wrong.sort(key=lambda index: (-found.confidence[index], index))
    right = [index for index in known if found.right[index]]
    parts = [_listed(translated("Wrong, the surest first"), found, wrong[:_SHOWN])]
    parts.append(details(translated("Right, the first of the split"), _listed("", found, right[:_SHOWN])))
    return Html("".join(parts))


def _listed(title: str, found: Predictions, indices: Sequence[int]) -> Html:
    if not indices:
        return note(translated("There is none."))
    rows = [
        (
            found.texts[index],
            found.labels[found.target[index]],
            found.labels[found.predicted[index]],
            measure(float(found.confidence[index])),
        )
        for index in indices
    ]
    heading = Html(f"<h3>{escape(title)}</h3>") if title else Html("")
    head = (translated("text"), translated("class"), translated("predicted"), translated("probability"))
    return Html(heading + table(head, rows).replace("<table>", '<table class="words">'))


def compared_examples(runs: Mapping[str, Predictions], most: int = _SHOWN) -> Html:
    """The same texts under several models: some that all get right, and those on which they differ or are all wrong.

    Args:
        runs: by the model's name, all of the same split.
    """
    names = list(runs)
    first = runs[names[0]]
    common = set.intersection(*(set(one.texts) for one in runs.values()))
    known = sorted(index for index in common if len({one.texts[index] for one in runs.values()}) == 1)
    hits = {index: sum(bool(one.right[index]) for one in runs.values()) for index in known}
    groups = (
        (translated("Wrong in every model"), [index for index in known if hits[index] == 0]),
        (translated("Right in some models"), [index for index in known if 0 < hits[index] < len(names)]),
        (translated("Right in every model"), [index for index in known if hits[index] == len(names)]),
    )
    parts = []
    for title, indices in groups:
        shown = translated(
            "{title}: {count} of {all} texts", title=title, count=f"{len(indices):,}", all=f"{len(known):,}"
        )
        rows = [
            (first.texts[index], first.labels[first.target[index]], *(_mark(runs[name], index) for name in names))
            for index in indices[:most]
        ]
        listed = (
            table((translated("text"), translated("class"), *names), rows).replace("<table>", '<table class="words">')
            if rows
            else note(translated("There is none."))
        )
        parts.append(Html(f"<h3>{escape(shown)}</h3>{listed}"))
    return Html("".join(parts))


def _mark(one: Predictions, index: int) -> Html:
    label = escape(one.labels[one.predicted[index]])
    return label if one.right[index] else Html(f"<mark>{label}</mark>")

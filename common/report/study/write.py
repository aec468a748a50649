"""Writing the report of a study: one page, one Markdown file, and every table as LaTeX and CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import write_atomic
from common.language import in_english
from common.report import classes, elements
from common.report.elements import Html, measure, note, page, section
from common.report.study import drawings, formats
from common.report.study.comparing import best, differences
from common.report.study.memory import kept_accounts
from common.report.study.records import Record, Study, read_study
from common.report.study.tables import NONE, Table, fill, layouts, shown
from common.training.predictions import Predictions

__all__ = ["report_tables", "write_report"]

_FOLDER = "report"
_LONGEST = 300  #: characters of an error


@in_english
def write_report(path: Path, output: Path | None = None) -> Path:
    """Write ``report.html``, ``report.md`` and ``tables/`` and return the path of the page.

    It depends on the study directory alone: the same runs give the same bytes.

    Args:
        path: the study directory.
        output: a folder; by default ``report`` in the study directory.

    Raises:
        InputError: this is no study, a file of it is damaged, or no run is finished.
    """
    study = read_study(path)
    folder = Path(output) if output else study.path / _FOLDER
    if folder.is_file():
        raise InputError(f"The report is a folder; {folder} is a file. Give another --output.")
    tables = report_tables(study)
    for index, table in enumerate(tables, 1):
        name = formats.file_name(table, index)
        write_atomic(folder / "tables" / f"{name}.tex", formats.latex(table))
        write_atomic(folder / "tables" / f"{name}.csv", formats.comma_separated(table))
    missing = _missing(study)
    parts = [f"# {study.name}\n\n{_lead(study)}\n", *map(formats.markdown, tables)]
    write_atomic(folder / "report.md", "\n".join([*parts, *([formats.markdown(missing)] if missing else [])]))
    write_atomic(folder / "report.html", _page(study, tables, missing))
    return folder / "report.html"


def report_tables(study: Study) -> list[Table]:
    """The tables of the definition, the differences between the best, and what searches found."""
    tables = [fill(study, layout) for layout in layouts(study)]
    apart = differences(study)
    return [*tables, *([apart] if apart else []), *(_search(found) for found in study.searches)]


def _page(study: Study, tables: list[Table], missing: Table | None) -> str:
    accounts = kept_accounts(study)
    figures = Html(f'<div class="grid">{drawings.quality_and_size(study)}{drawings.learning_curves(study)}</div>')
    return page(
        study.name,
        _lead(study),
        formats.html(missing) if missing else Html(""),
        *map(formats.html, tables),
        section("Curves", drawings.key(study), figures),
        section("Memory", drawings.memory_bars(accounts)) if accounts else Html(""),
        _classes(study),
        _runs(study),
    )


def _lead(study: Study) -> str:
    states = Counter("finished" if record.summary is not None else record.state for record in study.records)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    backends = ", ".join(dict.fromkeys(record.point["backend"] for record in study.records))
    seeds = len({record.point["seed"] for record in study.records})
    text = f"{len(study.records)} runs ({counts}), {backends}, {seeds} seed{'s' if seeds > 1 else ''}."
    return " ".join([text, *_several_versions(study)])


def _several_versions(study: Study) -> Iterator[str]:
    """A sentence for each backend whose runs are not all of one version of its framework."""
    found: dict[str, Counter[str]] = {}
    for record in study.finished:
        framework = record.value("versions.framework")
        found.setdefault(record.point["backend"], Counter())[str(framework)] += 1
    for backend, versions in found.items():
        if len(versions) > 1:
            listed = ", ".join(f"{count} of {version}" for version, count in sorted(versions.items()))
            yield f"The runs in {backend} come from several versions of the framework: {listed}."


def _name(record: Record) -> str:
    label = ", ".join(f"{shown(axis)} {value}" for axis, value in record.label.items())
    return label or record.point["id"]


def _missing(study: Study) -> Table | None:
    """Which runs have no result, and why."""
    if not study.absent:
        return None
    reasons = {"missing": "it was not begun", "begun": "it has not ended", "interrupted": "it was interrupted"}
    rows = []
    for record in study.absent:
        why = " ".join((record.error or reasons.get(record.state, NONE)).split())
        why = why if len(why) <= _LONGEST else why[: _LONGEST - 1] + "\u2026"
        rows.append(
            (_name(record), str(record.point["seed"]), record.point["backend"], record.state, why, record.point["log"])
        )
    head = ("run", "seed", "backend", "state", "why", "log")
    note_text = "The tables leave these runs out. twinlora study run continues the study."
    return Table("Runs without a result", head, tuple(rows), 6, (note_text,))


def _search(found: Mapping[str, Any]) -> Table:
    winner = (found.get("winner") or {}).get("number")
    parameters = list(dict.fromkeys(name for trial in found["trials"] for name in trial["parameters"]))
    rows = []
    for trial in found["trials"]:
        chosen = " (winner)" if trial["number"] == winner else ""
        values = [measure(trial["parameters"].get(name)) for name in parameters]
        rows.append(
            (f"{trial['number']}{chosen}", *values, trial["state"], measure(trial["value"]), measure(trial.get("step")))
        )
    about = ", ".join(f"{shown(axis)} {value}" for axis, value in found["label"].items())
    about = ", ".join(part for part in (about, str(found.get("backend") or ""), f"seed {found.get('seed')}") if part)
    notes = []
    test = (found.get("winner") or {}).get("test")
    if test:
        notes.append(
            "The winner on the test split: "
            + ", ".join(f"{name} {measure(value)}" for name, value in test.items())
            + "."
        )
    head = ("trial", *map(shown, parameters), "state", found["metric"].replace(".", " "), "step")
    return Table(f"Search: {about}", head, tuple(rows), 1, tuple(notes))


def _classes(study: Study) -> Html:
    """Confusion matrices and examples of the best run of every value that the study compares first."""
    found: dict[str, Predictions] = {}
    for value, members in best(study).items():
        read = members[0].predictions("test") or members[0].predictions("validation")
        if read is not None:
            found[str(value)] = read
    if not found:
        return Html("")
    first = next(iter(found.values()))
    alike = {name: one for name, one in found.items() if list(one.target) == list(first.target)}
    matrices = Html("".join(map(str, (classes.confusion(name, one) for name, one in alike.items()))))
    return section(
        "Classes and examples",
        note("The best combination of each by the validation split, first seed. Mistakes are marked."),
        Html(f'<div class="grid">{matrices}</div>'),
        classes.compared_examples(alike),
    )


def _runs(study: Study) -> Html:
    """Every run, folded away."""
    rows = [
        (
            _name(record),
            record.point["seed"],
            record.point["backend"],
            record.state,
            measure(record.value(f"validation.{study.metric}")),
            measure(record.value("steps")),
            elements.duration(record.value("seconds.total")),
            record.point["run"],
        )
        for record in study.records
    ]
    head = ("run", "seed", "backend", "state", f"validation {study.metric}", "steps", "time", "directory")
    return section("Runs", elements.details(f"All {len(rows)} runs", elements.table(head, rows)))

"""`docs/api_mapping.html`: the mapping as one page that loads nothing; searched and filtered in the browser, complete
without scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.api_mapping import peer_report, wording
from common.api_mapping.report import View, errors
from common.language import in_english
from common.report.elements import Html, details, escape, note, page, section, table, tiles

__all__ = ["html_page"]

STYLE = """
main { max-width: 88rem; }
.tiles + p { margin-top: 1.2rem; }
dl.tiles.thirds, dl.tiles { grid-template-columns: repeat(auto-fit, minmax(min(100%, 9.4rem), 1fr)); }
.controls { display: flex; flex-wrap: wrap; gap: 0.6rem; align-items: center; padding: 0.6rem 0; }
.controls { position: sticky; top: 0; z-index: 1; background: var(--paper); }
.controls[hidden] { display: none; }
.controls input[type=search] { flex: 1 1 14rem; }
.controls input[type=search], .controls select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--rule); border-radius: 0.4rem;
  padding: 0.35rem 0.6rem; min-width: 0; max-width: 100%; }
.controls label { white-space: nowrap; }
.controls output { color: var(--soft); white-space: nowrap; }
#rows td, #rows th { text-align: left; overflow-wrap: anywhere; }
#rows th { font-weight: 400; }
#rows thead th { overflow-wrap: normal; vertical-align: bottom; }
#rows small, #rows details { color: var(--soft); font-size: 0.85rem; line-height: 1.4; display: block; margin: 0.15rem 0 0; }
#rows small + small { margin-top: 0.35rem; }
#rows details ul { margin: 0.2rem 0 0; padding-left: 1.1rem; }
#rows tr:target { background: color-mix(in srgb, var(--b) 10%, transparent); }
#rows th a { color: inherit; text-decoration: none; }
#rows th a:hover { text-decoration: underline; }
code { font: 0.92em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.pill { display: inline-block; border: 1px solid currentColor; border-radius: 1em; padding: 0 0.6em; }
.pill { font-size: 0.82rem; white-space: nowrap; color: var(--soft); }
.pill.good { color: var(--good); } .pill.changed { color: var(--b); } .pill.bad { color: var(--bad); } .pill.random { color: var(--a); }
.warning { border-left: 0.25rem solid var(--a); padding-left: 0.9rem; }
:root { --good: #2f7d4f; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --good: #79c99a; --bad: #f2938c; } }
@media (min-width: 60.01rem) { #rows { table-layout: fixed; } #rows th:nth-child(1) { width: 24%; } #rows th:nth-child(2) { width: 15%; }
  #rows th:nth-child(3) { width: 9rem; } #rows th:nth-child(4) { width: 20%; } }
@media (max-width: 60rem) {
  #rows, #rows tbody, #rows tr, #rows td, #rows th { display: block; width: auto; border: 0; padding: 0; }
  #rows thead { display: none; }
  #rows tr { background: var(--card); border: 1px solid var(--rule); border-radius: 0.6rem; padding: 0.7rem 0.9rem; margin-bottom: 0.6rem; }
  #rows tr[hidden] { display: none; }
  #rows td { display: grid; grid-template-columns: 6.2rem 1fr; gap: 0.6rem; margin-top: 0.35rem; }
  #rows td:has(> div:empty) { display: none; }
  #rows td::before { content: attr(data-label); color: var(--soft); font-size: 0.82rem; line-height: 1.35; padding-top: 0.1rem; }
  #rows th + td { margin-top: 0.6rem; }
  .controls { position: static; }
}
"""

SCRIPT = """
(() => {
  const controls = document.querySelector(".controls"), rows = [...document.querySelectorAll("#rows tbody tr")];
  const search = controls.querySelector("input[type=search]"), [section, verdict] = controls.querySelectorAll("select");
  const old = controls.querySelector("input[type=checkbox]"), count = controls.querySelector("output");
  const texts = rows.map(row => row.textContent.toLowerCase());
  const apply = () => {
    const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      const data = row.dataset;
      const fits = words.every(word => texts[i].includes(word)) && (!section.value || data.section === section.value)
        && (!verdict.value || data.verdict === verdict.value) && (!old.checked || "legacy" in data);
      row.hidden = !fits;
      shown += fits;
    });
    count.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
  };
  controls.hidden = false;
  for (const control of [search, section, verdict, old]) control.addEventListener("input", apply);
  addEventListener("hashchange", () => {
    const row = document.getElementById(location.hash.slice(1));
    if (!row || !row.hidden) return;
    search.value = section.value = verdict.value = "";
    old.checked = false;
    apply();
    row.scrollIntoView();
  });
  apply();
})();
"""

_PILLS = {
    "exact": "good",
    "rounding": "good",
    "right": "good",
    "adapted": "changed",
    "stochastic": "random",
    "failed": "bad",
    "rejected": "bad",
}
_PILLS |= {"wrong as documented": "bad", "refuses some calls": "changed", "unsupported here": "bad", "absent": "bad"}


@in_english
def html_page(found: Sequence[View], content: Mapping[str, Any], devices: Sequence[str]) -> str:
    """The page; the arguments are those of `markdown`."""
    parts = [Html(f"<style>{STYLE}</style>")]
    if absent := wording.not_run(devices):
        parts.append(Html(f'<p class="warning">{_code(absent)}</p>'))
    meanings = {verdict: meaning for verdict, _, meaning in wording.verdicts(found)}
    parts.append(
        tiles(
            [
                ("rows", len(found), f"verified {content['date']}"),
                *((name, count, meanings[name]) for name, count, _ in wording.verdicts(found)),
            ]
        )
    )
    if old := wording.old_table(found):
        parts.append(note(f"The targets of the 2022 table (for MindSpore 1.7), called with the same inputs: {old}."))
    parts += [_controls(found), _table(found), *_samples(), _tolerances(found), Html(f"<script>{SCRIPT}</script>")]
    return page(wording.TITLE, wording.facts(found, content), *parts)


def _controls(found: Sequence[View]) -> Html:
    """Search and filters; the script shows them."""
    sections = dict.fromkeys(view.row.section for view in found)
    return Html(
        '<div class="controls" hidden role="search"><input type="search" placeholder="Search: a call, a target, a word of the notes" aria-label="Search">'
        f'<select aria-label="Section"><option value="">every section</option>{_options(sections)}</select>'
        f'<select aria-label="Verdict"><option value="">every verdict</option>{_options(wording.present(found))}</select>'
        '<label><input type="checkbox"> in the 2022 table</label><output aria-live="polite"></output></div>'
    )


def _options(names: Iterable[str]) -> str:
    return "".join(f"<option>{escape(name)}</option>" for name in names)


def _table(found: Sequence[View]) -> Html:
    head = ("torch", "MindSpore", "verdict", "largest error", "2022 table", "official mint call")
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return Html(
        f'<table id="rows"><thead><tr>{top}</tr></thead><tbody>{"".join(_row(view, head) for view in found)}</tbody></table>'
    )


def _row(view: View, head: Sequence[str]) -> str:
    row, measured = view.row, view.measured
    told = [f"adapter: {view.adaptation}" if view.adaptation else "", row.note]
    title = (
        f'<a href="#{row.name}"><code>{_breakable(row.name)}</code></a>'
        + "".join(f"<small>{escape(text)}</small>" for text in told if text)
        + _more(view)
    )
    chosen = wording.targets(view)
    target = "<br>".join(
        f"<code>{_breakable(name)}</code>" + (f"<small>{escape(where)}</small>" if len(chosen) > 1 else "")
        for name, where in chosen
    )
    verdict = _pill(view.verdict) + "".join(f"<small>{text}</small>" for text in wording.not_compiled(measured))
    cells = (target, verdict, _errors(view), _foreign(wording.legacy(view)), _foreign(wording.official(view)))
    body = "".join(
        f'<td data-label="{escape(label)}"><div>{cell}</div></td>' for label, cell in zip(head[1:], cells, strict=True)
    )
    data = f'data-section="{row.section}" data-verdict="{view.verdict}"{" data-legacy" if row.legacy else ""}'
    return f'<tr id="{row.name}" {data}><th scope="row">{title}</th>{body}</tr>\n'


def _errors(view: View) -> str:
    measured = view.measured
    if measured is None or measured["verdict"] == "unsupported here":
        return ""
    if view.row.stochastic:
        return f"distributions at most {measured['error'] or 0:.3f} apart"
    gradient = (
        f"<br>gradient {errors(measured, gradient=True)}"
        if measured["gradient_error"] != 0 or measured["torch_gradient_error"]
        else ""
    )
    return errors(measured) + gradient + (f"<small>in {escape(measured['worst'])}</small>" if measured["worst"] else "")


def _foreign(told: tuple[str, str, str]) -> str:
    """A call that somebody else recommends: its name, its verdict, and why not."""
    name, verdict, why = told
    return (
        ""
        if not name
        else f"<code>{_breakable(name)}</code> {_pill(verdict)}"
        + (f"<small>{escape(_first_words(why))}</small>" if why else "")
    )


def _more(view: View) -> str:
    """Folded away: rejected candidates, refused calls, failures, tolerance and calls."""
    row = view.row
    items = [f"{name}: {said}" for name in row.targets if (said := view.said(name)) not in ("", "passed")]
    items += [f"refused with {part}: {why}" for part, why in row.limits.items()]
    items += [
        f"differs in {failure['case']}: {failure['message']}" for failure in (view.measured or {}).get("failures", ())
    ]
    items += [
        f"{text}, {failure['case']}: {failure['message']}"
        for part, text in wording.COMPILED.items()
        for failure in ((view.measured or {}).get(part) or {}).get("failures", ())
    ]
    items += peer_report.of_row(peer_report.read(), row.name)
    items.append("compared as samples of a distribution" if row.stochastic else f"tolerance: {row.tolerance}")
    return details(
        f"{len(row.cases)} calls; more", Html("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>")
    )


def _samples() -> list[Html]:
    """What became of torch's own samples."""
    samples = peer_report.read()
    if samples is None:
        return []
    inside = (table(peer_report.HEAD, peer_report.lines(samples)), note(peer_report.sentence(samples)))
    return [
        section(
            "Samples of torch's own tests",
            *inside,
            table(("differences that are not wrong", "why"), peer_report.known()),
        )
    ]


def _tolerances(found: Sequence[View]) -> Html:
    heading = ("class", "values within", "gradients within", "why")
    return section(
        "Tolerances",
        table(heading, wording.tolerances(found)),
        note("An error beyond the limit still passes while it is at most twice torch's own."),
    )


def _pill(verdict: str) -> str:
    return f'<span class="pill {_PILLS.get(verdict, "")}">{escape(verdict)}</span>'


def _breakable(name: str) -> str:
    """Lines may break after the dots of a long name."""
    return html.escape(name).replace(".", ".<wbr>")


def _first_words(text: str, limit: int = 130) -> str:
    return text if len(text) <= limit else text[: limit - 3].rsplit(" ", 1)[0] + " ..."


def _code(text: str) -> str:
    """Escaped text whose `quoted` parts are code."""
    pieces = text.split("`")
    return "".join(
        f"<code>{html.escape(piece)}</code>" if number % 2 else html.escape(piece)
        for number, piece in enumerate(pieces)
    )

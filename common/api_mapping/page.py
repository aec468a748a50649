"""`docs/api_mapping.html`: the mapping as one page that loads nothing; searched and filtered in the browser, complete
without scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.api_mapping import peer_report, wording
from common.api_mapping.report import View
from common.api_mapping.translation import said
from common.language import translated
from common.report.elements import Html, details, escape, note, page, section, table, tiles

__all__ = ["html_page"]

STYLE = """
main { max-width: 88rem; }
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
    const {all, some} = count.dataset;
    count.textContent = (shown === rows.length ? all : some).replace("{shown}", shown).replace("{rows}", rows.length);
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


def html_page(found: Sequence[View], content: Mapping[str, Any], devices: Sequence[str]) -> str:
    """The page; the arguments are those of `markdown`."""
    parts = [Html(f"<style>{STYLE}</style>")]
    if absent := wording.not_run(devices):
        parts.append(Html(f'<p class="warning"><b>{_code(absent[0])}</b> {_code(absent[1])}</p>'))
    verified = translated("verified {date}", date=content["date"])
    parts.append(tiles([(translated("rows"), f"{len(found):,}", verified), *wording.verdicts(found)]))
    if old := wording.old_table(found):
        parts.append(
            note(
                translated(
                    "The targets of the 2022 table (for MindSpore 1.7), called with the same inputs: {counts}.",
                    counts=old,
                )
            )
        )
    parts.append(note(Html(_code(wording.notation()))))
    parts += [_controls(found), _table(found), *_samples(), _tolerances(found), Html(f"<script>{SCRIPT}</script>")]
    return page(wording.title(), wording.facts(found, content), *parts)


def _controls(found: Sequence[View]) -> Html:
    """Search and filters; the script shows them."""
    sections = dict.fromkeys(view.row.section for view in found)
    hint = translated("Search: a call, a target, a word of the notes")
    counts = (
        f'data-all="{escape(translated("{rows} rows"))}" data-some="{escape(translated("{shown} of {rows} rows"))}"'
    )
    return Html(
        f'<div class="controls" hidden role="search"><input type="search" placeholder="{escape(hint)}" aria-label="{escape(hint)}">'
        f"{_choice(translated('every section'), sections)}{_choice(translated('every verdict'), wording.present(found))}"
        f'<label><input type="checkbox"> {escape(translated("in the 2022 table"))}</label>'
        f'<output aria-live="polite" {counts}></output></div>'
    )


def _choice(every: str, names: Iterable[str]) -> str:
    """A filter: by none, or by one of ``names``."""
    options = "".join(f'<option value="{escape(name)}">{escape(said(name))}</option>' for name in names)
    return f'<select aria-label="{escape(every)}"><option value="">{escape(every)}</option>{options}</select>'


def _table(found: Sequence[View]) -> Html:
    head = (
        "torch",
        "MindSpore",
        translated("verdict"),
        translated("largest error"),
        translated("2022 table"),
        translated("official mint call"),
    )
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return Html(
        f'<table id="rows"><thead><tr>{top}</tr></thead><tbody>{"".join(_row(view, head) for view in found)}</tbody></table>'
    )


def _row(view: View, head: Sequence[str]) -> str:
    row, measured = view.row, view.measured
    told = [
        translated("adapter: {what}", what=said(view.adaptation)) if view.adaptation else "",
        said(row.note),
    ]
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
        return escape(translated("distributions at most {distance} apart", distance=f"{measured['error'] or 0:.3f}"))
    worst = translated("in {call}", call=measured["worst"]) if measured["worst"] else ""
    return wording.both_errors(measured) + (f"<small>{escape(worst)}</small>" if worst else "")


def _foreign(told: tuple[str, str, str]) -> str:
    """A call that somebody else recommends: its name, its verdict, and why not."""
    name, verdict, why = told
    return (
        ""
        if not name
        else f"<code>{_breakable(name)}</code> {_pill(verdict)}"
        + (f"<small>{escape(_first_words(said(why)))}</small>" if why else "")
    )


def _more(view: View) -> str:
    """Folded away: rejected candidates, refused calls, failures, tolerance and calls."""
    row = view.row
    items = [
        translated("{name}: {text}", name=name, text=said(why))
        for name in row.targets
        if (why := view.said(name)) not in ("", "passed")
    ]
    items += wording.refused(row)
    items += [
        translated("differs in {call}", call=said(f"{failure['case']}: {failure['message']}"))
        for failure in (view.measured or {}).get("failures", ())
    ]
    items += [
        said(text) + translated("; ") + said(f"{failure['case']}: {failure['message']}")
        for part, text in wording.COMPILED.items()
        for failure in ((view.measured or {}).get(part) or {}).get("failures", ())
    ]
    items += peer_report.of_row(peer_report.read(), row.name)
    items.append(
        translated("compared as samples of a distribution")
        if row.stochastic
        else translated("tolerance: {name}", name=row.tolerance)
    )
    return details(
        translated("{count} calls; more", count=len(row.cases)),
        Html("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"),
    )


def _samples() -> list[Html]:
    """What became of torch's own samples."""
    samples = peer_report.read()
    if samples is None:
        return []
    inside = (
        table(tuple(map(said, peer_report.HEAD)), peer_report.lines(samples)),
        note(peer_report.sentence(samples)),
    )
    known = table((translated("differences that are not wrong"), translated("why")), peer_report.known())
    return [section(peer_report.title(), *inside, known)]


def _tolerances(found: Sequence[View]) -> Html:
    return section(translated("Tolerances"), table(wording.limits(), wording.tolerances(found)), note(wording.beyond()))


def _pill(verdict: str) -> str:
    return f'<span class="pill {_PILLS.get(verdict, "")}">{escape(said(verdict))}</span>'


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

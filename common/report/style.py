"""The style sheet of every page. ``--most`` is how much of a colour lies under text at most, so that it stays legible."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #ffffff; --ink: #23211f; --soft: #6b6660; --rule: #e4e0da; --a: #d2691e; --b: #1b6a86; --most: 70%;
  --c0: #1b6a86; --c1: #d2691e; --c2: #5b8c2a; --c3: #8a4fa3; --c4: #b3364f; --c5: #8c6d1f; --c6: #4a6fd0; --c7: #6b6660; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #171615; --card: #201f1d; --ink: #eceae6; --soft: #a29c94; --rule: #37342f; --a: #f39a5b; --b: #74c7e3; --most: 45%;
    --c0: #74c7e3; --c1: #f39a5b; --c2: #a3cf6b; --c3: #c79bdc; --c4: #ef8799; --c5: #d9bd6a; --c6: #9cb4f5; --c7: #a29c94; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; letter-spacing: -0.015em; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 0.8rem; overflow-wrap: anywhere; }
h3 { font-size: 0.95rem; margin: 0; }
p { margin: 0.4rem 0 0.8rem; max-width: 48rem; }
.lead b { color: var(--ink); font-weight: 600; }
.lead { color: var(--soft); font-size: 1.05rem; margin: 0.5rem 0 1.6rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.2rem; }
.legend span { overflow-wrap: anywhere; min-width: 0; }
.legend span::before { content: ""; display: inline-block; width: 1.4em; margin-right: 0.5em; border-radius: 1em; vertical-align: middle; }
.legend .c0::before { background: var(--c0); height: 0.4em; }
.legend .c1::before { background: var(--c1); height: 0.4em; }
.legend .c2::before { background: var(--c2); height: 0.4em; }
.legend .c3::before { background: var(--c3); height: 0.4em; }
.legend .c4::before { background: var(--c4); height: 0.4em; }
.legend .c5::before { background: var(--c5); height: 0.4em; }
.legend .c6::before { background: var(--c6); height: 0.4em; }
.legend .c7::before { background: var(--c7); height: 0.4em; }
.legend .a::before { background: var(--a); height: 0.4em; }
.legend .b::before { background: var(--b); height: 0.15em; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 11rem), 1fr)); gap: 0.75rem; margin: 0; }
.tiles > div, figure, .card { background: var(--card); border: 1px solid var(--rule); border-radius: 0.6rem; padding: 0.9rem 1rem; margin: 0; min-width: 0; }
.tiles dt { color: var(--soft); font-size: 0.85rem; line-height: 1.3; }
.tiles dd { margin: 0; color: var(--soft); font-size: 0.85rem; line-height: 1.35; }
.tiles dt + dd { color: var(--ink); font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; letter-spacing: -0.02em; margin: 0.15rem 0; }
.tiles + p { margin-top: 1.2rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0.75rem; }
.tiles.thirds, .grid.thirds { grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); }
.grid > figure:only-child { max-width: 44rem; }
figure { display: flex; flex-direction: column; justify-content: space-between; }
figcaption p { color: var(--soft); font-size: 0.85rem; margin: 0.1rem 0 0.5rem; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit !important; }
.scroll { overflow-x: auto; --under: var(--paper); background: linear-gradient(to right, var(--under) 0.8rem, transparent) 0 0 / 2rem 100% local,
  linear-gradient(to left, var(--under) 0.8rem, transparent) 100% 0 / 2rem 100% local,
  linear-gradient(to right, var(--rule), transparent) 0 0 / 0.7rem 100% scroll,
  linear-gradient(to left, var(--rule), transparent) 100% 0 / 0.7rem 100% scroll; background-repeat: no-repeat; }
figure .scroll, .card .scroll { --under: var(--card); }
figure + .scroll { margin-top: 0.9rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 0.38rem 0.75rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 500; }
thead th { color: var(--soft); font-size: 0.85rem; }
.scroll td { white-space: nowrap; }
.scroll td.long { white-space: normal; }
svg.wide { min-width: 34rem; }
tr > :first-child { text-align: left; padding-left: 0; }
tr > :last-child { padding-right: 0; }
.a { color: var(--a); }
.b { color: var(--b); }
thead .a, thead .b { color: var(--soft); }
thead .a::before, thead .b::before { content: "●"; margin-right: 0.4em; color: var(--a); }
thead .b::before { color: var(--b); }
.legend .a, .legend .b { color: inherit; }
details { margin: 0.8rem 0; }
summary { cursor: pointer; color: var(--soft); }
.card h3 { color: var(--soft); font-weight: 500; font-size: 0.85rem; }
blockquote { margin: 0.1rem 0 0.8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-family: Georgia, "Noto Serif", serif; line-height: 1.5; }
blockquote b { color: var(--soft); font-weight: 400; }
blockquote:last-child { margin-bottom: 0; }
mark { background: color-mix(in srgb, var(--a) 26%, transparent); color: inherit; border-radius: 0.2em; padding: 0 0.12em; }
mark.gap { padding: 0; border-left: 2px solid var(--a); background: none; }
.legend .marked::before { background: color-mix(in srgb, var(--a) 45%, transparent); height: 0.8em; border-radius: 0.2em; }
.texts { margin-bottom: 0.75rem; }
.texts h3 { overflow-wrap: anywhere; color: var(--ink); }
.texts h4 { margin: 0.6rem 0 0; font-size: 0.8rem; font-weight: 500; color: var(--soft); overflow-wrap: anywhere; }
.texts p { margin: 0.1rem 0 0; font-family: Georgia, "Noto Serif", serif; overflow-wrap: anywhere; }
.texts details { margin: 0.6rem 0 0; font-size: 0.9rem; }
.texts ul { margin: 0.3rem 0 0; padding-left: 1.2rem; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: 0 1.2rem; }
.read { display: grid; grid-template-columns: 5.5rem minmax(0, 1fr); gap: 0 1rem; padding: 0.45rem 0; border-top: 1px solid var(--rule); }
.read b { font-weight: 500; font-size: 0.85rem; font-variant-numeric: tabular-nums; color: var(--soft); }
.read span { display: block; height: 0.4rem; border-radius: 0.2rem; background: var(--a); width: calc(var(--w) * 100%); min-width: 1px; }
.read p { margin: 0; max-width: none; font-family: Georgia, "Noto Serif", serif; line-height: 1.7; overflow-wrap: anywhere; white-space: pre-wrap; }
@media (max-width: 600px) { .read { grid-template-columns: minmax(0, 1fr); } }
.definitions { color: var(--soft); font-size: 0.85rem; padding-left: 1.1rem; }
.scroll + h3, .grid + h3, p + h3 { margin-top: 1.4rem; }
table.words td, table.words th { text-align: left; }
table.words tr > :first-child { min-width: 16rem; }
table.words tbody tr > :first-child { font-family: Georgia, "Noto Serif", serif; overflow-wrap: anywhere; }
.confusion { width: auto; font-size: 0.85rem; }
.confusion td, .confusion th { border: 0; padding: 0.3rem 0.6rem; }
@media (max-width: 600px) {
  table { font-size: 0.85rem; }
  thead th { font-size: 0.8rem; }
  th, td { padding: 0.35rem 0.4rem; }
  table.words tr > :first-child { min-width: 9rem; }
}
:lang(zh) th { word-break: keep-all; }
small { color: var(--soft); }
footer { color: var(--soft); font-size: 0.85rem; margin-top: 3rem; }
@media print { :root { --paper: #ffffff; } section { break-inside: avoid; } }
"""

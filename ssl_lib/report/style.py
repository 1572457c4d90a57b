"""The style sheet: one system typeface, two themes by the reader's choice, nothing loaded."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #20242a; --muted: #5c636d; --line: #dedbd5;
  --grid: #ebe8e2;
  --after: #1f5f8b; --after-rgb: 31 95 139; --before: #86651f; --before-rgb: 134 101 31;
  --plain: #6b7280;
  --met: #23693c; --near: #7a5600; --missed: #a3322a; --missed-rgb: 163 50 42;
  --shade: rgb(0 0 0 / .16); }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --card: #1b1f24; --ink: #e7e8ea; --muted: #a3abb5; --line: #343a42;
  --grid: #282d34;
  --after: #7db9e0; --after-rgb: 125 185 224; --before: #d5ad62; --before-rgb: 213 173 98;
  --plain: #9aa3ae;
  --met: #7fc796; --near: #dfb45a; --missed: #f0968c; --missed-rgb: 240 150 140;
  --shade: rgb(255 255 255 / .22); } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.6; font-size: 1rem;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans",
    sans-serif;
  font-variant-numeric: tabular-nums lining-nums; overflow-wrap: break-word; }
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 3.5rem; }
footer { padding: 3rem 1.25rem; color: var(--muted); font-size: .875rem; }
section { padding-top: 1rem; margin-top: 2.75rem; border-top: 1px solid var(--line); }
h1 { font-size: 1rem; font-weight: 600; color: var(--muted); margin: 0 0 1rem; }
h2 { font-size: 1.375rem; font-weight: 600; margin: .75rem 0 .5rem; line-height: 1.3; }
h3 { font-size: 1rem; font-weight: 600; margin: 2rem 0 .5rem; }
p { margin: .5rem 0 1rem; max-width: 44rem; }
a { color: var(--after); }
:focus-visible { outline: 2px solid var(--after); outline-offset: 2px; }
.lead { font-size: 1.375rem; line-height: 1.5; max-width: 50rem; margin: 0 0 1.5rem; }
.note, figcaption, .absent { color: var(--muted); font-size: .9375rem; }
.absent { border-left: 3px solid var(--line); padding-left: .75rem; }
nav { margin: 2rem 0 0; font-size: .9375rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0;
  margin: 0; }
nav a { display: inline-block; padding: .3rem 0; text-decoration: none; }
nav a:hover { text-decoration: underline; }
.tiles, .grid { display: grid; gap: 1.25rem; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(min(100%, 14rem), 1fr)); }
.grid { grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); margin: 1rem 0;
  align-items: start; }
.grid > *, .tiles > * { min-width: 0; } .grid .caption { margin-top: 0; }
.tile, .figure, .card { background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: 1rem 1.125rem; margin: 0; }
.tile h3 { margin: 0; font-size: .9375rem; font-weight: 500; color: var(--muted); }
.tile .big { font-size: 2rem; line-height: 1.25; font-weight: 600; margin: .25rem 0 0;
  color: var(--after); }
.tile p { margin: .125rem 0; font-size: .875rem; color: var(--muted); }
.figure { max-width: 32rem; }
.figure svg { display: block; width: 100%; height: auto; }
figcaption { margin-top: .625rem; font-size: .875rem; line-height: 1.45; }
figcaption strong { color: var(--ink); font-weight: 600; }
.scroll { overflow-x: auto; max-width: 100%; margin: .25rem 0 1rem; background-repeat: no-repeat;
  background-image: linear-gradient(to right, var(--paper) 30%, transparent),
    linear-gradient(to left, var(--paper) 30%, transparent),
    linear-gradient(to right, var(--shade), transparent),
    linear-gradient(to left, var(--shade), transparent);
  background-position: left, right, left, right;
  background-size: 2rem 100%, 2rem 100%, .5rem 100%, .5rem 100%;
  background-attachment: local, local, scroll, scroll; }
table { border-collapse: collapse; font-size: .9375rem; line-height: 1.35; min-width: 100%; }
.caption { color: var(--muted); font-size: .875rem; margin: 1.25rem 0 0; max-width: none; }
th, td { padding: .5rem .875rem .5rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--grid); }
th { font-weight: 500; }
tbody th, tbody td:not(.n) { min-width: 8.5rem; } .heat tbody td { min-width: 2.5rem; }
thead th { color: var(--muted); font-size: .8125rem; border-bottom: 1px solid var(--line);
  vertical-align: bottom; }
tfoot th, tfoot td { border-top: 1px solid var(--line); border-bottom: 0; font-weight: 600; }
.n { text-align: right; white-space: nowrap; padding: .5rem 0 .5rem 1rem; }
.ci { display: block; color: var(--muted); font-size: .8125rem; font-weight: 400; }
.aside { white-space: normal; min-width: 11rem; }
.mark { display: inline-block; max-width: 9.5rem; white-space: normal; font-weight: 600;
  font-size: .875rem; }
.met { color: var(--met); } .near { color: var(--near); } .missed { color: var(--missed); }
.heat td { text-align: right; padding: .375rem .5rem; min-width: 2.5rem;
  border: 1px solid var(--card);
  background: rgb(var(--after-rgb) / calc(var(--w, 0) * .5)); }
.heat td.off { background: rgb(var(--missed-rgb) / calc(var(--w, 0) * .5)); }
.heat thead th.n { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  padding: .25rem .5rem; white-space: nowrap; vertical-align: bottom; }
.heat tbody th { padding-right: .75rem; min-width: 6.5rem; }
.heat table { min-width: 0; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 1rem 0 0;
  list-style: none; font-size: .875rem; color: var(--muted); }
.legend li::before { content: ""; display: inline-block; width: .75rem; height: .75rem;
  border-radius: 50%; margin-right: .5rem; background: var(--c); vertical-align: -.06rem; }
.examples { list-style: none; padding: 0; margin: .75rem 0; display: grid; gap: .75rem; }
.examples li { background: var(--card); border: 1px solid var(--line);
  border-left: 3px solid var(--met); border-radius: .375rem; padding: .625rem .875rem;
  font-size: .9375rem; }
.examples li.wrong { border-left-color: var(--missed); }
.examples p { margin: 0; max-width: none; }
.examples .what { color: var(--muted); font-size: .875rem; margin-top: .25rem; }
mark { background: rgb(var(--after-rgb) / .2); color: inherit; border-radius: .2rem;
  padding: 0 .15em; }
.wrong mark { background: rgb(var(--missed-rgb) / .22); }
details { margin: 1rem 0; }
summary { cursor: pointer; padding: .375rem 0; color: var(--after); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
  gap: .875rem 2rem; margin: 1rem 0; }
dt { color: var(--muted); font-size: .875rem; } dd { margin: 0; overflow-wrap: anywhere; }
svg text { fill: var(--muted); font-size: 12px; font-family: inherit; }
svg text.strong { fill: var(--ink); }
svg text.halo { stroke: var(--card); stroke-width: 3; paint-order: stroke; }
svg text.right { text-anchor: end; } svg text.mid { text-anchor: middle; }
svg .grid-line { stroke: var(--grid); stroke-width: 1; }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg .bar { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 3; }
svg .diagonal { --s: var(--muted); stroke-dasharray: 3 4; }
svg .line { fill: none; stroke-width: 1.75; stroke-linejoin: round; }
svg .thin { stroke-width: 1.1; opacity: .85; }
svg .interval { stroke-width: 2; stroke-linecap: round; } svg .dot { stroke: none; }
svg .after { --s: var(--after); } svg .before { --s: var(--before); }
svg .plain { --s: var(--plain); }
svg .line, svg .interval { stroke: var(--s); } svg .dot { fill: var(--s); }
svg .hollow { fill: var(--card); stroke: var(--s); stroke-width: 2; }
@media (max-width: 30rem) {
  .lead { font-size: 1.1875rem; } header { padding-top: 2rem; } section { margin-top: 2rem; }
  .figure { padding: .625rem; } svg text { font-size: 13px; }
  tbody th, tfoot th { position: sticky; left: 0; background: var(--paper); } }
@media print {
  body { background: none; } .scroll { overflow: visible; }
  details > * { display: block; } nav { display: none; } }
"""

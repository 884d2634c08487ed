"""What the page of hits is made of: its frame, its style, and its keys."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Final

from searchengine.catalog.paths import is_url

PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
 style-src 'unsafe-inline'; script-src 'sha256-{script_hash}'">
<title>{query} - {count}</title>
<style>{style}</style>
<header>
<h1>{query}</h1>
<p>{count} <button type="button" id="keys" aria-haspopup="dialog">Keys <kbd>?</kbd></button></p>
{notice}
</header>
<main><ol class="grid">
{items}
</ol></main>
<dialog id="help" aria-labelledby="help-title">
<h2 id="help-title">Keys</h2>
<dl>
<dt><kbd>&larr;</kbd> <kbd>&rarr;</kbd> <kbd>&uarr;</kbd> <kbd>&darr;</kbd></dt>
<dd>go from picture to picture</dd>
<dt><kbd>Home</kbd> <kbd>End</kbd></dt><dd>the first, the last</dd>
<dt><kbd>Enter</kbd></dt><dd>open the file</dd>
<dt><kbd>?</kbd> <kbd>Esc</kbd></dt><dd>show this, hide it</dd>
</dl>
<form method="dialog"><button>Close</button></form>
</dialog>
<script>{script}</script>
</html>
"""

FIGURE: Final = """<li class="hit {relevance}"><figure>
<a class="picture" href="{link}" title="{path}">{picture}</a>
<figcaption><b>{rank}. {name}</b>
<small class="facts">{facts}</small>{remarks}
</figcaption></figure></li>"""

STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif;
  --gap: clamp(.4rem, 1.5vw, 1rem); --ground: #fff; --text: #1b1b1b; --soft: #5c5c5c;
  --tile: #f0f0f0; --line: #c4c4c4; --focus: #0b57d0; --strong: #14713a; --likely: #7a5600; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --text: #ececec;
  --soft: #a9adb3; --tile: #24272b; --line: #4a4e54; --focus: #8ab4f8; --strong: #7fd6a0;
  --likely: #e5bd68; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: clamp(.6rem, 2.5vw, 1.75rem); max-width: 110rem;
  background: var(--ground); color: var(--text); }
header { margin-bottom: 1rem; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
header p { margin: .2rem 0 0; color: var(--soft); }
header .notice { margin-top: .6rem; padding: .5rem .8rem; border-left: 4px solid var(--line);
  background: var(--tile); color: var(--text); }
button { font: inherit; font-size: .85rem; color: inherit; background: none; cursor: pointer;
  border: 1px solid var(--line); border-radius: 5px; padding: .05rem .5rem; margin-left: .5rem; }
kbd { font: inherit; font-size: .85em; border: 1px solid var(--line); border-radius: 4px;
  padding: 0 .3em; }
.grid { display: grid; gap: calc(1.2 * var(--gap)) var(--gap); list-style: none; margin: 0;
  padding: 0; grid-template-columns:
    repeat(auto-fill, minmax(min(14rem, calc((100% - 2 * var(--gap)) / 3)), 1fr)); }
.hit { min-width: 0; }
figure { margin: 0; }
.picture { display: flex; aspect-ratio: 1; align-items: center; justify-content: center;
  overflow: hidden; border-radius: 6px; background: var(--tile); color: inherit;
  text-decoration: none; scroll-margin: 1rem 0 5rem; }
.picture img { width: 100%; height: 100%; object-fit: contain; }
.missing { padding: .6rem; color: var(--soft); overflow-wrap: anywhere; text-align: center; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
figcaption { padding: .35rem .1rem 0; }
figcaption b { display: block; font-weight: 600; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
small, details { display: block; font-size: .82rem; color: var(--soft); overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: 0 .7em; }
.facts span { white-space: nowrap; }
.relevance { font-weight: 600; }
.strong .relevance { color: var(--strong); }
.likely .relevance { color: var(--likely); }
details ul { margin: .2rem 0 0; padding-left: 1.1rem; }
details a { color: inherit; }
.divider { grid-column: 1 / -1; margin-top: .5rem; border-top: 1px solid var(--line);
  padding-top: .6rem; color: var(--soft); }
.divider:first-child { margin-top: 0; border: 0; padding: 0; }
.divider p, .divider h2 { margin: 0; }
.divider h2 { font-size: 1.05rem; color: var(--text); overflow-wrap: anywhere; }
dialog { border: 1px solid var(--line); border-radius: 8px; background: var(--ground);
  color: var(--text); padding: 1rem 1.4rem; max-width: 90vw; }
dialog::backdrop { background: #0008; }
dialog h2 { margin: 0 0 .6rem; font-size: 1.1rem; }
dialog button { margin: 0; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .5rem 1rem; margin: 0 0 1rem; }
dd { margin: 0; }
@media (max-width: 34rem) { :root { font-size: 14px; } .score { display: none; } }
@media print {
  :root { --ground: #fff; --text: #000; --soft: #333; --tile: #fff; --line: #999;
    --strong: #000; --likely: #000; color-scheme: light; }
  body { padding: 0; max-width: none; }
  .grid { grid-template-columns: repeat(4, 1fr); }
  .hit { break-inside: avoid; }
  .divider { break-after: avoid; }
  button { display: none; }
}
"""

SCRIPT: Final = """
const links = [...document.querySelectorAll(".picture")];
const help = document.getElementById("help");
document.getElementById("keys").addEventListener("click", () => help.showModal());

function middle(link) {
  const box = link.getBoundingClientRect();
  return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
}

// The nearest row above or below may be shorter, or beyond a divider: look where things are.
function inNextRow(from, down) {
  const here = middle(links[from]);
  let best = from, least = [Infinity, Infinity];
  links.forEach((link, number) => {
    const there = middle(link), away = Math.round((there.y - here.y) * (down ? 1 : -1));
    const aside = Math.abs(there.x - here.x);
    if (away > 1 && (away < least[0] - 1 || (away <= least[0] + 1 && aside < least[1]))) {
      best = number;
      least = [away, aside];
    }
  });
  return best;
}

function target(key, from) {
  const last = links.length - 1;
  if (key === "Home") return 0;
  if (key === "End") return last;
  if (!key.startsWith("Arrow")) return null;
  if (from < 0) return 0;
  if (key === "ArrowLeft") return Math.max(from - 1, 0);
  if (key === "ArrowRight") return Math.min(from + 1, last);
  return inNextRow(from, key === "ArrowDown");
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "?") {
    if (help.open) help.close(); else help.showModal();
    event.preventDefault();
    return;
  }
  if (help.open || !links.length) return;
  const next = target(event.key, links.indexOf(document.activeElement));
  if (next === null) return;
  event.preventDefault();
  links[next].focus();
});
"""


def as_link(path: str) -> str:
    """A file's path as the address of a link; one behind an address keeps that."""
    return html.escape(path if is_url(path) else Path(path).as_uri())


def as_html(text: str) -> str:
    """A text, such as a path, to stand in a page; bytes that are no text become `?`."""
    return html.escape(text.encode("utf-8", "replace").decode())

"""The pages of the report: tables and figures in words, in a quiet look, in light and in dark."""

from __future__ import annotations

from ..geometry.svg import Child, Markup, el
from ..geometry.svg import join as join
from ..geometry.svg import text as text

SHEET = """
:root { --paper: #f7f5f1; --panel: #ffffff; --ink: #23201c; --soft: #6c665d; --line: #e2ddd4; --faint: #efebe4;
  --accent: #a8481f; --good: #2f7d4f; --good-soft: #cfe6d6; --bad: #b3382c; --warn: #96690a; --warn-soft: #f2e3bd;
  --ours: #a8481f; --other: #7c8796; --tile: #efebe4; }
@media (prefers-color-scheme: dark) { :root { --paper: #161513; --panel: #201e1b; --ink: #ece7df; --soft: #a59e93;
  --line: #3a3630; --faint: #2a2723; --accent: #f0986c; --good: #79c797; --good-soft: #2b4a38;
  --bad: #f0897c; --warn: #e0b450; --warn-soft: #4a3d1c; --ours: #f0986c; --other: #93a0b1; --tile: #2a2723; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 1080px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 44px; } footer { padding-bottom: 60px; color: var(--soft); font-size: 14px; }
h1 { font-size: 34px; line-height: 1.15; margin: 0 0 6px; letter-spacing: -.015em; }
h2 { font-size: 24px; line-height: 1.25; margin: 64px 0 6px; letter-spacing: -.01em; }
h3 { font-size: 17px; margin: 32px 0 6px; }
h4 { font-size: 15px; margin: 0 0 4px; }
p { margin: 6px 0 12px; max-width: 46em; } .lead, .soft { color: var(--soft); } .lead { font-size: 17px; }
.small { font-size: 14px; } code { font: 13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 22px 0 0; padding: 12px 0;
  border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); font-size: 15px; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px; margin: 26px 0 8px; }
.tile, figure, .panel { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; }
.tile { padding: 16px 18px; } .tile b { display: block; font-size: 27px; line-height: 1.2; letter-spacing: -.02em; }
.tile span { color: var(--soft); font-size: 14px; line-height: 1.4; display: block; margin-top: 2px; }
figure { margin: 18px 0; padding: 16px 18px 12px; } figcaption { color: var(--soft); font-size: 14px;
  line-height: 1.45; margin-top: 8px; max-width: 64em; }
.panel { padding: 18px; margin: 18px 0; }
svg { display: block; max-width: 100%; height: auto; font-family: inherit; } svg text { fill: var(--ink); }
svg text.soft { fill: var(--soft); } .map > svg { width: 100%; }
.wide { overflow-x: auto; margin: 12px 0 18px; } table { border-collapse: collapse; width: 100%; font-size: 15px; }
th { text-align: left; font-weight: 600; font-size: 13px; color: var(--soft); padding: 6px 12px 6px 0;
  border-bottom: 1px solid var(--line); vertical-align: bottom; }
td { padding: 7px 12px 7px 0; border-bottom: 1px solid var(--faint); vertical-align: middle; }
th.n { text-align: right; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } td.w { min-width: 15em; }
td.chart { width: 260px; min-width: 200px; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); } .no { color: var(--soft); }
.badge { display: inline-block; border-radius: 99px; padding: 1px 10px; font-size: 13px; font-weight: 600;
  border: 1px solid currentColor; white-space: nowrap; }
.row { display: flex; flex-wrap: wrap; gap: 12px; } .row .shape { width: 104px; font-size: 13px; line-height: 1.35; }
.shape img { display: block; width: 100%; background: var(--tile); border-radius: 9px; padding: 4px; }
.shape span { color: var(--soft); display: block; } .mini img { width: 56px; display: block; }
.scan { display: grid; grid-template-columns: 230px 1fr; gap: 22px; } .scan > img { width: 100%; border-radius: 10px;
  background: var(--tile); } .scan p:first-child { margin-top: 0; } .scan > div { min-width: 0; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 14px; margin-top: 10px; }
.legend .key { white-space: nowrap; cursor: default; } .legend i { display: inline-block; width: 11px; height: 11px;
  border-radius: 50%; margin-right: 6px; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--accent); font-size: 15px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(225px, 1fr)); gap: 14px; margin: 14px 0; }
.grid figure { margin: 0; }
ul { padding-left: 20px; margin: 8px 0 14px; max-width: 46em; } li { margin: 3px 0; }
@media (max-width: 640px) { .scan { grid-template-columns: 1fr; } .scan > img { max-width: 260px; }
  h1 { font-size: 27px; } figure { padding: 12px; overflow-x: auto; } .map > svg { min-width: 620px; } }
@media print { nav { display: none; } body { background: #fff; } h2 { break-after: avoid; } figure, .panel, tr {
  break-inside: avoid; } }
"""


def table(head: list[str], rows: list[list[Markup]], right: tuple[int, ...] = ()) -> Markup:
    """A table; rows: of whole cells, see `cell`; right: columns of numbers. A wide one scrolls within the page."""
    names = (el("th", name, scope="col", class_="n" if number in right else None) for number, name in enumerate(head))
    body = el("tbody", *(el("tr", *row) for row in rows))
    return el("div", el("table", el("thead", el("tr", *names)), body), class_="wide")


def cell(*children: Child, class_: str | None = None) -> Markup:
    return el("td", *children, class_=class_)


def figure(value: float | None, digits: int = 3, style: str = "") -> Markup:
    """A cell with a number."""
    return cell(number(value, digits), class_=f"n {style}".rstrip())


def badge(word: str, style: str) -> Markup:
    """A word in a coloured frame."""
    return el("span", word, class_=f"badge {style}")


def number(value: float | None, digits: int = 3) -> str:
    """The number with so many significant digits, or a dash."""
    if value is None or value != value:
        return "\u2013"
    shown = f"{value:.{digits}g}"
    if "e" in shown:
        shown = f"{value:,.0f}" if 1 <= abs(value) < 1e9 else shown
    return shown.replace("-", "\u2212")


def percent(share: float | None) -> str:
    return "\u2013" if share is None or share != share else f"{100 * share:.0f} %"


def plural(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def page(title: str, *children: Child) -> bytes:
    """The file, UTF-8. Nothing in it can run or be fetched."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("style", Markup(SHEET)),
    )
    return f"<!DOCTYPE html>\n{el('html', head, el('body', *children), lang='en')}\n".encode()

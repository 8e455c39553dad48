"""The artist's manual as one page of HTML, which lies in the zip: what the "Online Manual" of Blender's menus opens."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

STYLE = "body{max-width:50em;margin:2em auto;font:16px/1.5 sans-serif}td,th{padding:.2em .6em;text-align:left}"
_ITEM = re.compile(r"(- |\d+\. )")


def page(markdown: str) -> str:
    """The page, without pictures, and with links to its own sections and to web sites alone."""
    title = re.findall(r"^# (.+)$", markdown, re.MULTILINE)[0]
    body = "\n".join(_blocks(markdown))
    head = f"<meta charset='utf-8'><title>Omomi: {html.escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n{body}\n</body></html>\n"


def anchor(heading: str) -> str:
    """Where links find a heading.

    >>> anchor("Edits, masks, results")
    'edits-masks-results'
    """
    return re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")


def _blocks(markdown: str) -> Iterator[str]:
    for number, part in enumerate(re.split(r"^```\w*\n(.*?)^```$", markdown, flags=re.MULTILINE | re.DOTALL)):
        if number % 2:
            yield f"<pre>{html.escape(part)}</pre>"
            continue
        for block in re.split(r"\n\s*\n", part.strip("\n")):
            if block.strip() and not block.startswith("!["):
                yield _block(block)


def _block(block: str) -> str:
    if heading := re.fullmatch(r"(#+) (.+)", block.strip()):
        level, text = len(heading[1]), heading[2]
        return f"<h{level} id='{anchor(text)}'>{_inline(text)}</h{level}>"
    lines = block.splitlines()
    if block.startswith("|"):
        rows = [line.strip().strip("|").split("|") for line in lines if not re.fullmatch(r"[|\s:-]+", line)]
        cells = ("".join(f"<td>{_inline(cell.strip())}</td>" for cell in row) for row in rows)
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
    if _ITEM.match(block):
        kind = "ul" if block.startswith("- ") else "ol"
        items = re.split(rf"\n(?={_ITEM.pattern})", block)[:: _ITEM.groups + 1]
        shown = "".join(f"<li>{_inline(_ITEM.sub('', item, count=1))}</li>" for item in items)
        return f"<{kind}>{shown}</{kind}>"
    return f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    parts = re.split(r"`([^`]+)`", text)
    return "".join(f"<code>{html.escape(part)}</code>" if n % 2 else _marked(part) for n, part in enumerate(parts))


def _marked(text: str) -> str:
    text = html.escape(text, quote=False)
    text = re.sub(r"\[([^\]]+)\]\((#[^)]*|https://[^)]*)\)", r"<a href='\2'>\1</a>", text)
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\*([^*]+)\*", r"<i>\1</i>", text)

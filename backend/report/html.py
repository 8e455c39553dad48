"""A page as text: elements whose contents are escaped."""

from __future__ import annotations

from html import escape
from typing import TypeAlias

from .stylesheet import SHEET

LONGEST = 600
"""Characters of a text from a file; what is longer was not written for people."""
_EMPTY = frozenset({"br", "col", "hr", "img", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | None"
"""A `Markup` stands in the page as it is, everything else is escaped; None is nothing."""


def text(value: object, longest: int = LONGEST) -> Markup:
    """Any text, escaped. What cannot be seen, such as marks that turn the direction of writing, becomes a question
    mark, and what is too long is cut."""
    shown = _visible(str(value)[: longest + 1])
    return Markup(escape(shown if len(shown) <= longest else shown[: longest - 1] + "\u2026"))


def el(name: str, /, *children: Child, **attributes: str | int | float | None) -> Markup:
    """An element. Attributes: ``class_`` is class, and an underscore elsewhere a hyphen; None leaves one out."""
    given = "".join(f' {_attribute(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    if name in _EMPTY:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def join(children: list[Child] | list[Markup] | tuple[Child, ...], between: str = "") -> Markup:
    return Markup(between.join(_child(child) for child in children if child is not None))


def table(head: list[str], rows: list[list[Markup]], right: tuple[int, ...] = (), class_: str | None = None) -> Markup:
    """rows: of whole cells, see `cell`; right: columns of numbers. A wide table scrolls within the page."""
    names = (el("th", name, scope="col", class_="n" if number in right else None) for number, name in enumerate(head))
    body = el("tbody", *(el("tr", *row) for row in rows))
    return el("div", el("table", el("thead", el("tr", *names)), body, class_=class_), class_="wide")


def cell(*children: Child, class_: str | None = None) -> Markup:
    return el("td", *children, class_=class_)


def number(value: float | None, digits: int = 3) -> str:
    """With so many digits that count, or a dash."""
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


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | int | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else escape(_visible(str(value)))


def _child(child: Child) -> str:
    return child if isinstance(child, Markup) else text(child)


def _visible(given: str) -> str:
    return given if given.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in given)
